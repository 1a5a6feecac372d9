# shellcheck shell=bash
# What the steps about the cluster share: who a host is to it, its API server, its etcd, kubeadm.
#
# A host's membership is a marker beside kubeadm's own files, because those are there before a join or an init is done:
#   (none)     no attempt was ever made here
#   beginning  `kubeadm init` was begun, on a host that held nothing, and has not ended well yet
#   joining    `kubeadm join` was begun, on a host that held nothing, and has not ended well yet
#   member     done

: "${KUBERNETES_FOLDER=/etc/kubernetes}"
: "${ETCD_FOLDER=/var/lib/etcd}"
: "${KUBELET_FOLDER=/var/lib/kubelet}"
: "${PROCESSES_FOLDER=/proc}"
# Seconds an API server may take to answer after its static pod was written: kubeadm's own patience with one.
: "${READY_SECONDS=240}"
# Seconds a reset may take; unmounting a volume whose server is gone can hang for good.
: "${RESET_SECONDS=90}"

membership() { marker_get membership || true; }

is_member() { [[ $(membership) == member && -s $KUBERNETES_FOLDER/kubelet.conf ]]; }

is_control_plane() { is_member && [[ -s $KUBERNETES_FOLDER/admin.conf && -s $KUBERNETES_FOLDER/manifests/kube-apiserver.yaml ]]; }

# Whether this host has what makes a cluster: its CA's key, or etcd's data.
holds_cluster() { [[ -e $KUBERNETES_FOLDER/pki/ca.key || -e $ETCD_FOLDER/member ]]; }

# --- programs --------------------------------------------------------------------------------------------------------

# kubectl as the administrator, at this host's own API server: the endpoint may lead to one that is just being taken away.
admin() { kubectl --kubeconfig "$KUBERNETES_FOLDER/admin.conf" --server "$(own_api)" --request-timeout 30s "$@"; }

# URL of this control-plane host's own API server, which its kubelet talks to (kubeadm: ControlPlaneKubeletLocalMode).
own_api() { sed -nE '/^ *server: /{s///p;q}' "$KUBERNETES_FOLDER/kubelet.conf"; }

# etcdctl at one etcd, by its client URL: etcd_at URL COMMAND...
etcd_at() {
    local url=$1 pki=$KUBERNETES_FOLDER/pki/etcd
    shift
    etcdctl --endpoints "$url" --cacert "$pki/ca.crt" --cert "$pki/healthcheck-client.crt" \
        --key "$pki/healthcheck-client.key" --command-timeout 15s "$@"
}

# etcdctl at this host's own etcd, or at the one ASKED_ETCD names.
ASKED_ETCD=''
etcd() {
    local here='127.0.0.1'
    if [[ $ADDRESS == *:* ]]; then here='[::1]'; fi
    etcd_at "${ASKED_ETCD:-https://$here:2379}" "$@"
}

# A program whose output is worth reading only when it fails.
quietly() {
    local output status=0
    output=$("$@" 2>&1) || status=$?
    if ((status)); then tail -n 30 <<<"$output" >&2; fi
    return "$status"
}

# An address and a port as a URL has them.
authority() {
    if [[ $1 == *:* ]]; then printf '[%s]:%s' "$1" "$2"; else printf '%s:%s' "$1" "$2"; fi
}

# --- API servers -----------------------------------------------------------------------------------------------------

# Whether an API server, at ADDRESS:PORT, says that it is ready.
api_ready() { [[ $(curl --silent --insecure --max-time 5 --output /dev/null --write-out '%{http_code}' -- "https://$1/readyz") == 200 ]]; }

# Whether anything there speaks TLS and HTTP, ready or not. A load balancer with nothing behind it does not.
api_answers() { curl --silent --insecure --max-time 5 --output /dev/null -- "https://$1/livez"; }

await_api() { wait_until "$READY_SECONDS" "the API server at $1 to be ready" api_ready "$1"; }

# --- static pods -----------------------------------------------------------------------------------------------------

# The pods of this host in which a part of the control plane runs, by the kubelet's name for each (its UID, of a static
# pod a digest of its manifest): pods_of PROGRAM. The processes know before anybody can ask an API server that begins.
pods_of() {
    local folder program
    for folder in "$PROCESSES_FOLDER"/[0-9]*; do
        program=$(readlink -- "$folder/exe" 2>/dev/null || true)
        if [[ ${program##*/} == "$1" ]]; then
            sed -nE 's,^.*[-/]pod([0-9a-f_-]+)\.slice.*$,\1,p' "$folder/cgroup" 2>/dev/null | head -n 1 || true
        fi
    done | sort -u
}

# Whether a part of the control plane says that it is well. Needs API_SERVER, its address and port.
part_is_well() {
    case $1 in
        etcd) etcd endpoint health ;;
        kube-apiserver) api_ready "$API_SERVER" ;;
        # These two serve nothing but metrics and health, on loopback, with certificates they make themselves.
        kube-controller-manager) curl --silent --fail --insecure --max-time 5 https://127.0.0.1:10257/healthz ;;
        kube-scheduler) curl --silent --fail --insecure --max-time 5 https://127.0.0.1:10259/healthz ;;
    esac
}

# --- kubeadm ---------------------------------------------------------------------------------------------------------

# Write kubeadm's configuration for a version of Kubernetes to a file in memory, and print its path.
kubeadm_file() {
    local version=$1 path=/run/research-compute-kubeadm.yaml text
    text=$(<"$CONFIG_FOLDER/kubeadm.yaml")
    printf '%s\n' "${text//@KUBERNETES_VERSION@/$version}" | write_atomically "$path" 0600 "$(id -un):$(id -gn)"
    printf '%s' "$path"
}

# The version this host's static pods are at.
static_pod_version() { sed -nE 's,^ *image: .*/kube-apiserver:(v[^@ ]+).*$,\1,p' "$KUBERNETES_FOLDER/manifests/kube-apiserver.yaml"; }

# A cluster is made for one endpoint: every certificate, and the kubelet of every node, names it.
refuse_other_endpoint() {
    local made_for
    if [[ -z $(membership) || ! -f $CONFIG_FOLDER/kubeadm.yaml ]]; then return 0; fi
    made_for=$(sed -nE "s/^controlPlaneEndpoint: '?([^']+)'?\$/\\1/p" "$CONFIG_FOLDER/kubeadm.yaml")
    if [[ -n $made_for && $made_for != "$ENDPOINT" ]]; then
        refuse "the cluster was made for the endpoint $made_for, which every node and certificate names; it cannot become $ENDPOINT. Set nodes.endpoint as it was"
    fi
}

# What stands for kubeadm's configuration where it is remembered that the cluster has it.
configuration_digest() {
    local sum
    sum=$(sha256sum -- "$CONFIG_FOLDER/kubeadm.yaml")
    printf '%s' "${sum%% *}"
}

# Undo whatever kubeadm did on this host; best effort, with a deadline.
reset_membership() {
    local output status=0
    systemctl stop kubelet 2>/dev/null || true
    output=$(timeout --kill-after 10 "$RESET_SECONDS" kubeadm reset --force --cleanup-tmp-dir \
        --cri-socket unix:///run/containerd/containerd.sock 2>&1) || status=$?
    if ((status)); then
        log "kubeadm reset ended with status $status:"
        tail -n 10 <<<"$output" >&2
    fi
    end_containers
    rm -rf --one-file-system -- "${ETCD_FOLDER:?}/member" "$KUBERNETES_FOLDER/pki" "$KUBERNETES_FOLDER/manifests" \
        "$KUBERNETES_FOLDER/tmp" "$KUBERNETES_FOLDER"/{admin,super-admin,kubelet,bootstrap-kubelet,controller-manager,scheduler}.conf \
        "$KUBELET_FOLDER"/{config.yaml,instance-config.yaml,kubeadm-flags.env,cpu_manager_state,memory_manager_state} \
        "$KUBELET_FOLDER"/{pki,plugins_registry,device-plugins/kubelet_internal_checkpoint}
    forget_pod_network
    rm -f -- "$STATE_FOLDER"/markers/{membership,kubeadm-uploaded}
}

# End containers of Kubernetes that kubeadm could not: the kubelet that would is stopped.
end_containers() {
    local container
    while IFS= read -r container; do
        ctr --namespace k8s.io task kill --signal SIGKILL "$container" >/dev/null 2>&1 || true
        ctr --namespace k8s.io task delete --force "$container" >/dev/null 2>&1 || true
        ctr --namespace k8s.io container delete "$container" >/dev/null 2>&1 || true
    done < <(timeout 20 ctr --namespace k8s.io container list --quiet 2>/dev/null || true)
}

# Remove what the pod network and kube-proxy leave behind: the next cluster brings its own.
forget_pod_network() {
    local link rules family
    rm -rf -- /etc/cni/net.d/* /var/lib/cni /run/calico /var/lib/calico
    while IFS= read -r link; do
        case $link in
            cni0 | vxlan.calico | vxlan-v6.calico | cali* | kube-ipvs0 | nodelocaldns | flannel.*) ip link delete "$link" 2>/dev/null || true ;;
        esac
    done < <(ip -o link show | sed -nE 's/^[0-9]+: ([^:@]+).*$/\1/p')
    if type -P nft >/dev/null; then
        for family in ip ip6; do nft delete table "$family" kube-proxy 2>/dev/null || true; done
    fi
    for family in iptables ip6tables; do
        if ! type -P "$family-save" >/dev/null; then continue; fi
        rules=$("$family-save" 2>/dev/null || true)
        if ! grep -qE '(KUBE-|cali-)' <<<"$rules"; then continue; fi
        grep -vE '(KUBE-|cali-)' <<<"$rules" | "$family-restore" || true
    done
}

# --- etcd's members --------------------------------------------------------------------------------------------------

# Set FOUND to the id of the etcd member at a peer URL (empty: there is none), and refuse where the others could not go
# on without it: only voters count, and of those that are left a majority has to be well right now.
FOUND=''
find_etcd_member() {
    local peer=$1 list id started _ peers clients learner counts='false' voters=0 well=0
    FOUND=''
    list=$(etcd member list)
    while IFS=, read -r id started _ peers clients learner; do
        if [[ ${peers// /} == "$peer" ]]; then
            FOUND=$id
            if [[ ${learner// /} == false ]]; then counts='true'; fi
        elif [[ ${learner// /} == false ]]; then
            voters=$((voters + 1))
            if [[ ${started// /} == started ]] && etcd_at "${clients// /}" endpoint health >/dev/null 2>&1; then
                well=$((well + 1))
            fi
        fi
    done <<<"$list"
    if [[ $counts == true ]] && ((well < voters / 2 + 1)); then
        refuse "without $peer etcd would have $voters voting members, of which $well are well: no majority. Bring the others back first"
    fi
}

# Remove the etcd member at a peer URL, if there is one and the others can go on without it: remove_etcd_member PEER_URL
remove_etcd_member() {
    find_etcd_member "$1"
    if [[ -n $FOUND ]]; then
        log "removing the etcd member at $1"
        quietly etcd member remove "$FOUND"
    fi
}

# Remove members that are silent and that no control-plane host is meant to be any more: remove_lost_members ADDRESS...
# A host that joins asks every member whether it is well, and gives up where one is not.
remove_lost_members() {
    local list _ peers clients meant peer
    list=$(etcd member list)
    while IFS=, read -r _ _ _ peers clients _; do
        peer=${peers// /}
        for meant in "$@"; do
            if [[ $peer == "https://$(authority "$meant" 2380)" ]]; then continue 2; fi
        done
        if [[ -n ${clients// /} ]] && etcd_at "${clients// /}" endpoint health >/dev/null 2>&1; then continue; fi
        remove_etcd_member "$peer"
    done <<<"$list"
}

# --- what other hosts can see -----------------------------------------------------------------------------------------

# Say on this host's node which encryption keys its API server has, so that a rotation can tell.
announce_keys() {
    local names=$1 said
    said=$(admin get node "$STEP_HOST" -o 'jsonpath={.metadata.annotations.research-compute/encryption-keys}')
    if [[ $said == "$names" ]]; then return 0; fi
    changed "encryption keys said on the node: $names"
    act quietly admin annotate --overwrite node "$STEP_HOST" "research-compute/encryption-keys=$names"
}
