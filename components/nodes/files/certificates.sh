# shellcheck shell=bash
# The control plane's certificates renewed, and served, once for every time that nodes.certificates.renewal is raised.
#
# Values: RENEWAL, ADDRESS, API_SERVER (its address and port). A host that joins later has new certificates already, so it begins with the number as it is.
# The kubelet's own certificates are no concern of this: it renews them by itself.

# Seconds one part of the control plane may take to come back; the kubelet waits longer and longer with one that it has
# started again not long ago.
: "${RESTART_SECONDS:=180}"
# Seconds between asking a process to end and ending it: an API server from before `shutdown-send-retry-after` waits for
# its watchers for a minute. Being ended costs none of the four anything: what they have answered is in etcd, and etcd's
# own log is on disk.
: "${GRACE_SECONDS:=15}"
# In the order in which they need each other.
readonly PARTS=(etcd kube-apiserver kube-controller-manager kube-scheduler)

desired() {
    local done_before
    if ! is_control_plane; then
        log 'certificates: this host has no control plane'
        return 0
    fi
    if checking; then result days_left "$(days_left)"; fi
    if ! done_before=$(marker_get certificates); then
        marker_set certificates "$RENEWAL"
        return 0
    fi
    if ((RENEWAL <= done_before)); then return 0; fi
    changed "certificates, renewal $RENEWAL"
    if checking; then return 0; fi
    # A run that was cut off begins anew: a certificate renewed twice is as good.
    if ! quietly kubeadm certs renew all; then fail 'kubeadm certs renew all did not succeed'; fi
    local part
    for part in "${PARTS[@]}"; do restart "$part"; done
    require_served etcd "$KUBERNETES_FOLDER/pki/etcd/server.crt" "$(authority "$ADDRESS" 2379)"
    require_served kube-apiserver "$KUBERNETES_FOLDER/pki/apiserver.crt" "$API_SERVER"
    marker_set certificates "$RENEWAL"
}

# A renewed certificate is not taken back.
undo() { rm -f -- "$STATE_FOLDER/markers/certificates"; }

# Whole days until the first certificate of this control plane ends; authorities, which live for ten years, left out.
days_left() {
    local file now least='' end text
    now=$(date +%s)
    for file in "$KUBERNETES_FOLDER"/pki/*.crt "$KUBERNETES_FOLDER"/pki/etcd/*.crt "$KUBERNETES_FOLDER"/*.conf; do
        case $file in
            */ca.crt | */front-proxy-ca.crt | */kubelet.conf) continue ;;
            *.crt) text=$(<"$file") ;;
            *) text=$(sed -n 's/^ *client-certificate-data: *//p' "$file" | head -n 1 | base64 -d) ;;
        esac
        end=$(openssl x509 -noout -enddate <<<"$text" | cut -d= -f2)
        end=$((($(date -d "$end" +%s) - now) / 86400))
        if [[ -z $least ]] || ((end < least)); then least=$end; fi
    done
    printf '%s' "$least"
}

# Processes of a part, in a pod of this host: each with its start time, so that a number given out again is not taken
# for the process that had it.
processes_of() {
    local folder program start
    for folder in /proc/[0-9]*; do
        program=$(readlink -- "$folder/exe" 2>/dev/null || true)
        if [[ ${program##*/} != "$1" ]] || ! grep -q kubepods "$folder/cgroup" 2>/dev/null; then continue; fi
        # The name in the second field may hold spaces; the start time is the 20th after it.
        start=$(sed 's/^.*) //' "$folder/stat" 2>/dev/null | cut -d ' ' -f 20)
        printf '%s:%s\n' "${folder#/proc/}" "$start"
    done
}

# End a part; the kubelet starts it again, with its new certificates. It is never left out of the kubelet's hands, so a
# run that is cut off here leaves a control plane that works.
restart() {
    local part=$1 old waited
    mapfile -t old < <(processes_of "$part")
    if ((${#old[@]} == 0)); then fail "$part does not run on $STEP_HOST"; fi
    log "certificates: restarting $part"
    kill -TERM "${old[@]%%:*}" 2>/dev/null || true
    for ((waited = 0; waited < GRACE_SECONDS * 2; waited++)); do
        if gone "$part" "${old[@]}"; then break; fi
        sleep 0.5
    done
    if ! gone "$part" "${old[@]}"; then kill -KILL "${old[@]%%:*}" 2>/dev/null || true; fi
    wait_until "$RESTART_SECONDS" "$part to be well again" is_well "$part" "${old[@]}"
}

gone() {
    local part=$1 now process
    shift
    now=$(processes_of "$part")
    for process in "$@"; do
        if grep -qxF -- "$process" <<<"$now"; then return 1; fi
    done
}

is_well() {
    if [[ -z $(processes_of "$1") ]] || ! gone "$@"; then return 1; fi
    part_is_well "$1"
}

# Fail unless a part shows the certificate that lies on disk.
require_served() {
    local part=$1 file=$2 where=$3 pki=$KUBERNETES_FOLDER/pki/etcd served
    served=$(
        openssl s_client -connect "$where" -cert "$pki/healthcheck-client.crt" -key "$pki/healthcheck-client.key" \
            </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256
    ) || true
    if [[ $served != "$(openssl x509 -noout -fingerprint -sha256 -in "$file")" ]]; then
        fail "$part on $STEP_HOST still shows another certificate than $file at $where"
    fi
}
