# shellcheck shell=bash
# Every Secret written anew with the key that writes now, so that a former key can be taken away.
#
# Values: ADDRESS, and REWRITE_KEY, the first key of nodes.controlPlane.encryption.keys. Runs on one control-plane host, once per key.
#
# A Secret is written anew by a patch that changes nothing: the API server reads, decrypts, and stores it again because
# it finds it encrypted with another key. Reading and writing are one step of its own, so no update is lost and no
# Secret leaves it. What was written anew already is not written again: a run that was cut off goes on where it was.

# Secrets per page, of the API server's list and of etcd's.
: "${REWRITE_PAGE:=500}"
# A Secret that somebody writes at the very moment is looked at again; so often, before it is called an error.
readonly REWRITE_ROUNDS=3

desired() {
    local rewritten
    rewritten=$(encryption_rewritten admin)
    if [[ $rewritten == "$REWRITE_KEY" ]]; then
        result rewritten "$REWRITE_KEY"
        return 0
    fi
    changed "Secrets written anew with the key $REWRITE_KEY"
    if checking; then return 0; fi
    require_first_everywhere
    rewrite_secrets
    record_rewritten
    result rewritten "$REWRITE_KEY"
}

# What was written stays as it is: there is nothing to take back.
undo() { :; }

# Refuse unless the API server of every control-plane host writes with this key.
require_first_everywhere() {
    local name keys others=()
    while read -r name keys; do
        if [[ ${keys%% *} != "$REWRITE_KEY" ]]; then others+=("$name (${keys:-no encryption})"); fi
    done < <(
        # shellcheck disable=SC2016 # a Go template's variables
        admin get nodes --selector node-role.kubernetes.io/control-plane -o 'go-template={{range .items}}{{.metadata.name}} {{with .metadata.annotations}}{{with index . "research-compute/encryption-keys"}}{{.}}{{end}}{{end}}{{"\n"}}{{end}}'
    )
    if ((${#others[@]})); then
        refuse "the key $REWRITE_KEY does not write everywhere yet: ${others[*]}"
    fi
}

# The beginning of every value in etcd that this key encrypted, as `etcdctl --hex` prints it
# (k8s.io/apiserver, storage/value: k8s:enc:PROVIDER:v1:KEY:; the plain encoding begins with k8s and a zero byte).
encrypted_beginning() {
    local text="k8s:enc:secretbox:v1:$REWRITE_KEY:"
    if [[ $REWRITE_KEY == identity ]]; then
        printf '%s' '\x6b\x38\x73\x00'
        return
    fi
    printf '%s' "$text" | od -An -v -t x1 | tr -d '\n' | sed 's/ /\\x/g'
}

# Print the key in etcd of every Secret that this key did not encrypt. Of a Secret's value only the beginning is kept.
stale_secrets() {
    local beginning page last='' from
    beginning=$(encrypted_beginning)
    while true; do
        from=${last:-/registry/secrets/}
        # The range ends before `0`, the character after the slash.
        page=$(
            etcd get --hex --limit "$REWRITE_PAGE" "$from" /registry/secrets0 |
                BEGINNING=$beginning awk '
                    NR % 2 { key = $0; next }
                    { print (index($0, ENVIRON["BEGINNING"]) == 1 ? "fresh" : "stale"), key }
                '
        )
        if [[ -n $last ]]; then page=$(tail -n +2 <<<"$page"); fi
        if [[ -z $page ]]; then return 0; fi
        sed -n 's/^stale //p' <<<"$page" | while IFS= read -r key; do printf '%b\n' "$key"; done
        printf -v last '%b' "${page##* }"
    done
}

rewrite_secrets() {
    local round stale
    for ((round = 1; round <= REWRITE_ROUNDS; round++)); do
        stale=$(stale_secrets)
        if [[ -z $stale ]]; then return 0; fi
        log "rewrite: $(wc -l <<<"$stale") Secrets are not encrypted with the key $REWRITE_KEY yet"
        patch_secrets <<<"$stale"
    done
    stale=$(stale_secrets)
    if [[ -n $stale ]]; then
        fail "$(wc -l <<<"$stale") Secrets are still not encrypted with the key $REWRITE_KEY, such as $(head -n 3 <<<"$stale" | sed 's,^/registry/secrets/,,' | paste -sd ' ')"
    fi
}

# Have the API server store each Secret again: patch_secrets, with their keys in etcd on stdin.
# One curl for all of them keeps one connection; kubectl would ask its leave five times a second.
patch_secrets() {
    local folder server answers key refused
    rm -rf -- /run/research-compute-rewrite.*
    folder=$(mktemp -d --tmpdir=/run research-compute-rewrite.XXXXXX)
    # shellcheck disable=SC2064 # this folder is meant
    trap "rm -rf -- '$folder'" EXIT
    server=$(admin config view -o 'jsonpath={.clusters[0].cluster.server}')
    admin config view --raw -o 'jsonpath={.clusters[0].cluster.certificate-authority-data}' | base64 -d >"$folder/ca.crt"
    (
        umask 077
        admin config view --raw -o 'jsonpath={.users[0].user.client-certificate-data}' | base64 -d >"$folder/client.crt"
        admin config view --raw -o 'jsonpath={.users[0].user.client-key-data}' | base64 -d >"$folder/client.key"
        while IFS= read -r key; do
            key=${key#/registry/secrets/}
            printf 'url = "%s/api/v1/namespaces/%s/secrets/%s"\noutput = "/dev/null"\n' "$server" "${key%%/*}" "${key#*/}"
        done >"$folder/urls"
    )
    answers=$(
        curl --silent --show-error --cacert "$folder/ca.crt" --cert "$folder/client.crt" --key "$folder/client.key" \
            --connect-timeout 10 --retry 3 --retry-connrefused --request PATCH --header 'Content-Type: application/merge-patch+json' --data '{}' \
            --write-out '%{http_code} %{url_effective}\n' --config "$folder/urls"
    )
    rm -rf -- "$folder"
    trap - EXIT
    # Gone meanwhile (404), or written by somebody else at that moment (409, so with the new key): both are well.
    refused=$(grep -Ev '^(200|404|409) ' <<<"$answers" || true)
    if [[ -n $refused ]]; then
        fail "the API server does not write $(wc -l <<<"$refused") Secrets anew, such as $(head -n 3 <<<"$refused" | sed "s,$server,," | paste -sd ' ')"
    fi
}

record_rewritten() {
    admin apply --server-side --force-conflicts --field-manager research-compute -f - >&2 <<RECORD
apiVersion: v1
kind: ConfigMap
metadata:
  name: research-compute-encryption
  namespace: kube-system
data:
  rewritten: "$REWRITE_KEY"
RECORD
}
