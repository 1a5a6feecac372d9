# shellcheck shell=bash
# The cluster's beginning, on this host, if there is none anywhere.
#
# Values: ADDRESS, ENDPOINT, HOSTS (every control-plane host), HOLDS_CLUSTER_0... (what each of them said about itself, in
# that order), KUBERNETES_VERSION.
# Results: ca (base64 PEM) and ca_hash (as kubeadm writes it) of the cluster, if this host is a member of it.

desired() {
    if ! is_member; then
        if [[ $(membership) == beginning ]]; then
            changed 'the cluster, whose beginning was cut off'
            act go_on
        elif may_begin; then
            changed 'the cluster'
            act begin
        fi
    fi
    if [[ -s $KUBERNETES_FOLDER/pki/ca.crt ]] && is_member; then
        result ca "$(base64 --wrap 0 "$KUBERNETES_FOLDER/pki/ca.crt")"
        result ca_hash "sha256:$(ca_hash)"
    fi
}

# The cluster outlives this step.
undo() { :; }

ca_hash() {
    local sum
    sum=$(openssl x509 -in "$KUBERNETES_FOLDER/pki/ca.crt" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum)
    printf '%s' "${sum%% *}"
}

# Whether there is no cluster at all; refuses where that cannot be told, or where there is one that does not answer.
may_begin() {
    local index name
    if api_answers "$ENDPOINT"; then
        log "a cluster answers at $ENDPOINT; this host joins it"
        return 1
    fi
    if holds_cluster; then
        refuse "$STEP_HOST holds a cluster's CA or etcd data that is not of this program's making. If nobody needs it any more: kubeadm reset --force"
    fi
    for index in "${!HOSTS[@]}"; do
        name="HOLDS_CLUSTER_$index"
        if [[ ${HOSTS[index]} != "$STEP_HOST" && ${!name} != false ]]; then
            refuse "${HOSTS[index]} holds a cluster's CA or etcd data, but no API server answers at $ENDPOINT. Bring that cluster back (or reset that host, and raise its reconverge by one); no second one is begun beside it"
        fi
    done
}

begin() {
    # From here on, whatever lies in etcd's folder and among the keys is this attempt's.
    marker_set membership beginning
    initialise
}

# What was begun and cut off: finished where the API server runs, else done anew. All of it is this program's own.
go_on() {
    if [[ -s $KUBERNETES_FOLDER/admin.conf ]] && api_ready "$(authority "$ADDRESS" 6443)"; then
        initialise --skip-phases preflight,show-join-command
        return
    fi
    reset_membership
    marker_set membership beginning
    initialise
}

initialise() {
    local file
    file=$(kubeadm_file "$KUBERNETES_VERSION")
    if ! quietly kubeadm init --config "$file" "$@"; then
        fail "kubeadm init did not succeed on $STEP_HOST; it is tried again by the next run"
    fi
    # kubeadm makes a bootstrap token, which nobody uses: hosts are admitted by certificates.
    quietly admin --namespace kube-system delete secrets --field-selector type=bootstrap.kubernetes.io/token
    await_api "$ENDPOINT"
    announce_keys "$(marker_get encryption-keys || true)"
    marker_set kubeadm-uploaded "$(configuration_digest)"
    marker_set membership member
}
