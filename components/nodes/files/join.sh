# shellcheck shell=bash
# This host is a member of the cluster.
#
# Values: ADDRESS, ROLE, ENDPOINT, CERTIFICATE, CLUSTER_CA (base64 PEM), PKI (base64 CMS, of a control-plane host): what
# the host that admitted this one answered; ETCD_URLS (of etcd's members then); KUBEADM_JOIN (JoinConfiguration),
# DISCOVERY (where it expects a kubeconfig).

# Seconds after which a node whose machine is silent counts as not ready (kube-controller-manager,
# node-monitor-grace-period: 50 since Kubernetes 1.32), and a few more.
readonly SILENCE_SECONDS=70
# Seconds that etcd is given to come back after a host with a member of it was switched on again.
readonly ETCD_SECONDS=120

desired() {
    adopt_membership
    if ! is_member; then
        changed 'membership'
        act join
    fi
    act forget_key
}

undo() {
    changed 'membership ended'
    reset_membership
    if [[ -e $KUBERNETES_FOLDER/kubelet.conf ]] || systemctl is-active --quiet kubelet; then
        fail "$STEP_HOST could not be reset: its kubelet may still run"
    fi
    want_absent "$STATE_FOLDER/join" "${DISCOVERY%/*}" "$STATE_FOLDER/markers/encryption-keys"
}

# A host that is a member without this program's marker: the cluster's CA tells whether it is this cluster's.
adopt_membership() {
    if [[ -n $(membership) || ! -s $KUBERNETES_FOLDER/kubelet.conf ]]; then return 0; fi
    if [[ -n $CLUSTER_CA ]] && cmp --silent -- "$KUBERNETES_FOLDER/pki/ca.crt" <(base64 --decode <<<"$CLUSTER_CA"); then
        marker_set membership member
        return 0
    fi
    refuse "$STEP_HOST belongs to a cluster that this program did not join it to. If nobody needs it there any more: kubeadm reset --force"
}

join() {
    local folder=$STATE_FOLDER/join/$RECONVERGE
    if [[ -z $CERTIFICATE || ! -s $folder/key.pem ]]; then
        refuse "nobody has admitted $STEP_HOST as it is now. Raise nodes.hosts.$STEP_HOST.reconverge by one: it asks anew, and is admitted"
    fi
    if [[ -n $(membership) ]]; then
        log 'an earlier attempt to join was cut off; beginning anew'
        if [[ $ROLE == control-plane ]]; then leave_etcd "$folder"; fi
        reset_membership
    elif holds_cluster; then
        refuse "$STEP_HOST holds a cluster's CA or etcd data that is not of this program's making. If nobody needs it any more: kubeadm reset --force"
    fi
    marker_set membership joining
    write_discovery "$folder"
    if [[ $ROLE == control-plane ]]; then open_keys "$folder"; fi
    await_silence
    if ! quietly kubeadm join --config "${DISCOVERY%/*}/join.yaml"; then
        fail "kubeadm join did not succeed on $STEP_HOST; it is tried again by the next run"
    fi
    wait_until 120 "the node $STEP_HOST to be registered" kubectl --kubeconfig "$KUBERNETES_FOLDER/kubelet.conf" --request-timeout 10s get node "$STEP_HOST"
    if [[ $ROLE == control-plane ]]; then
        await_api "$(authority "$ADDRESS" 6443)"
        announce_keys "$(marker_get encryption-keys || true)"
        marker_set kubeadm-uploaded "$(configuration_digest)"
    fi
    marker_set membership member
}

# The kubeconfig kubeadm discovers the cluster with, and its own configuration; both in memory alone.
write_discovery() {
    local folder=$1 owner
    owner=$(id -un):$(id -gn)
    if ! cmp --silent <(openssl pkey -in "$folder/key.pem" -pubout) <(base64 --decode <<<"$CERTIFICATE" | openssl x509 -noout -pubkey); then
        refuse "$STEP_HOST was admitted with another key than it has. Raise nodes.hosts.$STEP_HOST.reconverge by one: it asks anew, and is admitted"
    fi
    install -d -m 0700 -- "${DISCOVERY%/*}"
    printf '%s' "$KUBEADM_JOIN" | write_atomically "${DISCOVERY%/*}/join.yaml" 0600 "$owner"
    write_atomically "$DISCOVERY" 0600 "$owner" <<KUBECONFIG
apiVersion: v1
kind: Config
clusters:
  - name: cluster
    cluster:
      server: https://$ENDPOINT
      certificate-authority-data: $CLUSTER_CA
users:
  - name: host
    user:
      client-certificate-data: $CERTIFICATE
      client-key-data: $(base64 --wrap 0 "$folder/key.pem")
contexts:
  - name: join
    context: {cluster: cluster, user: host}
current-context: join
KUBECONFIG
}

# The keys that every control-plane host shares, in their place.
open_keys() {
    local folder=$1
    install -d -m 0755 -- "$KUBERNETES_FOLDER/pki"
    if ! base64 --decode <<<"$PKI" |
        openssl cms -decrypt -binary -inform DER -inkey "$folder/key.pem" -recip "$folder/recipient.pem" 2>/dev/null |
        tar --extract --directory "$KUBERNETES_FOLDER/pki" --no-same-owner; then
        fail "the cluster's keys that $STEP_HOST was sent cannot be opened with its key"
    fi
}

# Take the etcd member of an attempt that was cut off out of etcd: without its data it could never come back. Nothing is
# stopped before that: with it running, two members are a majority of two. (kubeadm reset leaves it there, since the
# host has no node yet.)
leave_etcd() {
    open_keys "$1"
    rm -f -- "$KUBERNETES_FOLDER"/pki/etcd/healthcheck-client.{crt,key}
    quietly kubeadm init phase certs etcd-healthcheck-client --config "$(kubeadm_file "$(kubeadm version -o short)")"
    wait_until "$ETCD_SECONDS" 'a member of etcd to answer' choose_etcd
    remove_etcd_member "https://$(authority "$ADDRESS" 2380)"
    # shellcheck disable=SC2034 # of kube.sh
    ASKED_ETCD=''
}

# Set ASKED_ETCD to a member of etcd that is well and not this host's own.
choose_etcd() {
    local url
    for url in $ETCD_URLS; do
        if [[ $url == "https://$(authority "$ADDRESS" 2379)" ]]; then continue; fi
        # shellcheck disable=SC2034 # of kube.sh
        ASKED_ETCD=$url
        if etcd endpoint health; then return 0; fi
    done
    return 1
}

# kubeadm does not join beside a node of that name that is well. One of this machine's former life falls silent.
await_silence() {
    if ! node_is_ready; then return 0; fi
    log "a node $STEP_HOST of an earlier life is still called ready; waiting for the cluster to notice that it is silent"
    wait_until "$SILENCE_SECONDS" "the former node $STEP_HOST to be called silent (is another machine using this name?)" node_is_silent
}

node_is_ready() {
    [[ $(kubectl --kubeconfig "$DISCOVERY" --request-timeout 15s get node "$STEP_HOST" --ignore-not-found \
        -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null) == True ]]
}

node_is_silent() { ! node_is_ready; }

# The key has done its work: the kubelet has one of its own by now.
forget_key() { rm -rf -- "$STATE_FOLDER/join/$RECONVERGE/key.pem" "${DISCOVERY%/*}"; }
