# shellcheck shell=bash
# How this host's control plane is configured; where it runs already, its static pods are brought to it.
#
# Values: ADDRESS, API_SERVER (its address and port), API_SERVER_FILES and AUDIT_LOG_FOLDER (folders), AUDIT_POLICY,
# AUTHENTICATION, KUBEADM (documents), ENDPOINT, SAN (further names of the API server), KEY_NAMES (encryption keys, the
# one that writes first), KEY_0... (the keys), SCHEDULER (what kube-scheduler is told, empty for its defaults),
# SCHEDULER_FILE (where it reads it), SCHEDULER_FILES (the folder of that).

# Seconds after which the API server has read a changed encryption configuration: it looks once a minute
# (k8s.io/apiserver, encryptionconfig/controller).
readonly RELOAD_SECONDS=150

desired() {
    refuse_other_endpoint
    want_folder "$API_SERVER_FILES" 0700
    want_encryption
    want_text "$API_SERVER_FILES/audit-policy.yaml" "$AUDIT_POLICY"
    want_text "$API_SERVER_FILES/authentication.yaml" "$AUTHENTICATION"
    want_scheduler_file
    want_text "$CONFIG_FOLDER/kubeadm.yaml" "$KUBEADM"
    if [[ -n $AUDIT_POLICY ]]; then want_folder "$AUDIT_LOG_FOLDER" 0700; fi
    if is_control_plane; then
        want_static_pods
        want_no_former_scheduler_files
        want_serving_certificate
        want_configuration_uploaded
        act await_api "$API_SERVER"
        if [[ -f $API_SERVER_FILES/encryption.yaml ]]; then act await_encryption; fi
        announce_keys "${KEY_NAMES[*]}"
    fi
    marker_set encryption-keys "${KEY_NAMES[*]}"
}

undo() {
    want_absent "$API_SERVER_FILES" "$SCHEDULER_FILES" "$CONFIG_FOLDER/kubeadm.yaml" "$AUDIT_LOG_FOLDER"
}

# A file with this text, or none where the text is empty.
want_text() {
    if [[ -z $2 ]]; then
        want_absent "$1"
    else
        printf '%s' "$2" | want_file "$1" 0600
    fi
}

# It is there before the static pod that names it, and goes after it: a former pod that is put back needs its own.
want_scheduler_file() {
    if [[ -z $SCHEDULER ]]; then return 0; fi
    want_folder "$SCHEDULER_FILES" 0700
    want_text "$SCHEDULER_FILE" "$SCHEDULER"
}

want_no_former_scheduler_files() {
    local file
    if [[ -z $SCHEDULER ]]; then
        want_absent "$SCHEDULER_FILES"
        return 0
    fi
    for file in "$SCHEDULER_FILES"/*; do
        if [[ -e $file && $file != "$SCHEDULER_FILE" ]]; then want_absent "$file"; fi
    done
}

# --- encryption at rest ----------------------------------------------------------------------------------------------

want_encryption() {
    local file=$API_SERVER_FILES/encryption.yaml index name pairs=() reason text
    for index in "${!KEY_NAMES[@]}"; do
        name="KEY_$index"
        require_key "${KEY_NAMES[index]}" "${!name-}"
        pairs+=("${KEY_NAMES[index]}" "${!name-}")
    done
    if ! reason=$(encryption_same_secrets "$file" "${pairs[@]}"); then refuse "$reason (nodes.controlPlane.encryption)"; fi
    if is_control_plane; then require_transition "$file"; fi
    if ((${#pairs[@]} == 0)); then
        want_absent "$file"
    else
        text=$(encryption_configuration "${pairs[@]}")
        printf '%s\n' "$text" | want_file "$file" 0600
    fi
}

# secretbox takes 32 bytes (k8s.io/apiserver, encryptionconfig).
require_key() {
    local name=$1 secret=$2 bytes
    if [[ $name == identity ]]; then return 0; fi
    bytes=$(base64 --decode <<<"$secret" 2>/dev/null | wc -c) || bytes=0
    if [[ $bytes != 32 || $secret == *[[:space:]]* ]]; then
        refuse "the encryption key $name is not 32 bytes in base64 on one line (openssl rand -base64 32)"
    fi
}

# On a living cluster only those changes are made that leave every Secret readable on every host.
require_transition() {
    local file=$1 old new reason rewritten
    old=$(encryption_keys_in "$file")
    new=${KEY_NAMES[*]}
    if [[ $old == "$new" ]]; then return 0; fi
    rewritten=$(encryption_rewritten admin)
    if ! reason=$(encryption_transition "$old" "$new" "$(keys_everywhere)" "$rewritten"); then
        refuse "$reason (nodes.controlPlane.encryption.keys)"
    fi
    if [[ ${old%% *} != "${new%% *}" ]]; then act encryption_forget_rewritten admin; fi
}

# The keys that the API server of every control-plane host has.
keys_everywhere() {
    local nodes keys key everywhere='' first='true' kept
    nodes=$(admin get nodes --selector node-role.kubernetes.io/control-plane \
        -o 'jsonpath={range .items[*]}{.metadata.annotations.research-compute/encryption-keys}{"\n"}{end}')
    while IFS= read -r keys; do
        keys=${keys:-identity}
        if [[ $first == true ]]; then
            everywhere=$keys first='false'
            continue
        fi
        kept=''
        for key in $everywhere; do
            if [[ " $keys " == *" $key "* ]]; then kept+=" $key"; fi
        done
        everywhere=${kept# }
    done <<<"$nodes"
    printf '%s' "$everywhere"
}

# The API server says the SHA-256 of the configuration it works with (its metric is named so since Kubernetes 1.34).
await_encryption() {
    local sum
    sum=$(sha256sum -- "$API_SERVER_FILES/encryption.yaml")
    wait_until "$RELOAD_SECONDS" 'the API server to read its encryption keys anew' encryption_is_read "sha256:${sum%% *}"
}

encryption_is_read() {
    admin get --raw /metrics |
        grep -F 'apiserver_encryption_config_controller_last_config_info{' | grep -qF "hash=\"$1\""
}

# --- static pods -----------------------------------------------------------------------------------------------------

# kubeadm writes into a folder of ours what it would write for the kubelet; what differs is what has to change.
want_static_pods() {
    local folder=/run/research-compute-manifests name wanted actual file
    rm -rf -- "$folder"
    install -d -m 0700 -- "$folder"
    file=$(kubeadm_file "$(static_pod_version)")
    KUBEADM_INIT_DRYRUN_DIR=$folder quietly kubeadm init phase control-plane all --dry-run --config "$file"
    KUBEADM_INIT_DRYRUN_DIR=$folder quietly kubeadm init phase etcd local --dry-run --config "$file"
    # etcd first: the API server can wait for its etcd, and etcd for nobody.
    for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
        wanted=$(<"$folder/$name.yaml")
        actual=$(<"$KUBERNETES_FOLDER/manifests/$name.yaml")
        if [[ $name == etcd ]]; then wanted=$(keep_initial_cluster "$wanted" "$actual"); fi
        if [[ $wanted == "$actual" ]]; then continue; fi
        changed "static pod $name"
        act replace_static_pod "$name" "$wanted" "$actual"
    done
    rm -rf -- "$folder"
}

# Whom an etcd member began with is its history, and differs from member to member: keep_initial_cluster WANTED ACTUAL
keep_initial_cluster() {
    local line history=''
    while IFS= read -r line; do
        if [[ $line == *' - --initial-cluster'?(-state)=* ]]; then history+=$line$'\n'; fi
    done <<<"$2"
    while IFS= read -r line; do
        case $line in
            *' - --initial-cluster-state='*) ;;
            *' - --initial-cluster='*) printf '%s' "$history" ;;
            *) printf '%s\n' "$line" ;;
        esac
    done <<<"$1"
}

# One static pod replaced and waited for; put back where the new one does not come up.
replace_static_pod() {
    local name=$1 wanted=$2 actual=$3 before owner
    owner=$(id -un):$(id -gn)
    before=$(pods_of "$name")
    write_atomically "$KUBERNETES_FOLDER/manifests/$name.yaml" 0600 "$owner" <<<"$wanted"
    local deadline=$((SECONDS + READY_SECONDS))
    until has_new_pod "$name" "$before" && part_is_well "$name" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)); then
            write_atomically "$KUBERNETES_FOLDER/manifests/$name.yaml" 0600 "$owner" <<<"$actual"
            fail "$name did not come up with its new configuration within $READY_SECONDS s; the former one was put back. Its last words are under /var/log/pods"
        fi
        sleep 1
    done
}

# Whether a part runs, and in no pod that it ran in before: has_new_pod PROGRAM PODS_BEFORE
# The kubelet says so a while later: of an API server it can only once that answers, and after probes of ten seconds.
has_new_pod() {
    local pod now
    now=$(pods_of "$1")
    if [[ -z $now ]]; then return 1; fi
    for pod in $now; do
        if grep -qxF -- "$pod" <<<"$2"; then return 1; fi
    done
}

# --- what else kubeadm made once -------------------------------------------------------------------------------------

# The API server reads its certificate again when the file changes.
want_serving_certificate() {
    local name missing=() certificate=$KUBERNETES_FOLDER/pki/apiserver.crt file
    for name in "${SAN[@]}"; do
        if [[ $(openssl x509 -in "$certificate" -noout -checkhost "$name" 2>/dev/null || true) != *'does match certificate'* ]]; then
            missing+=("$name")
        fi
    done
    if ((${#missing[@]} == 0)) && [[ -s $certificate ]]; then return 0; fi
    changed "API server's certificate for ${missing[*]}"
    if checking; then return 0; fi
    file=$(kubeadm_file "$(static_pod_version)")
    rm -f -- "$certificate" "${certificate%.crt}.key"
    quietly kubeadm init phase certs apiserver --config "$file"
}

# The cluster keeps a copy, which upgrades and joining hosts read. Its version is the cluster's, whatever this host's.
want_configuration_uploaded() {
    local digest version file
    digest=$(configuration_digest)
    if [[ $(marker_get kubeadm-uploaded || true) == "$digest" ]]; then return 0; fi
    changed "kubeadm's configuration in the cluster"
    if checking; then return 0; fi
    version=$(admin --namespace kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterConfiguration}' |
        sed -nE 's/^kubernetesVersion: (v[^ ]+)$/\1/p')
    if [[ -z $version ]]; then fail "the cluster's kubeadm-config names no version"; fi
    file=$(kubeadm_file "$version")
    quietly kubeadm init phase upload-config all --config "$file"
    want_kube_proxy "$file"
    marker_set kubeadm-uploaded "$digest"
}

# kube-proxy reads its configuration when it starts.
want_kube_proxy() {
    local file=$1 before after
    before=$(kube_proxy_configuration)
    quietly kubeadm init phase addon kube-proxy --config "$file"
    after=$(kube_proxy_configuration)
    if [[ $before != "$after" ]]; then quietly admin --namespace kube-system rollout restart daemonset/kube-proxy; fi
}

kube_proxy_configuration() { admin --namespace kube-system get configmap kube-proxy -o 'jsonpath={.data}'; }
