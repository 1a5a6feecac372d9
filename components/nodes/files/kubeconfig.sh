# shellcheck shell=bash
# An administrator's kubeconfig for whoever runs this program, with a name of its own in the audit log.
#
# Values: CLUSTER (its name), ENDPOINT. Result: kubeconfig (base64), valid for a year; a secret.

# Common name of its certificate.
readonly ADMINISTRATOR=research-compute
# Group that kubeadm binds to cluster-admin (kubeadm, constants: ClusterAdminsGroupAndClusterRoleBinding).
readonly ADMINISTRATORS=kubeadm:cluster-admins

desired() {
    local text
    if ! is_control_plane; then
        fail "$STEP_HOST is no control-plane member of the cluster $CLUSTER at $ENDPOINT; it cannot make a kubeconfig for it"
    fi
    changed "kubeconfig of $ADMINISTRATOR"
    if checking; then return 0; fi
    if ! text=$(kubeadm kubeconfig user --client-name "$ADMINISTRATOR" --org "$ADMINISTRATORS" \
        --config "$(kubeadm_file "$(static_pod_version)")" 2>/dev/null); then
        fail 'kubeadm makes no kubeconfig'
    fi
    result kubeconfig "$(base64 --wrap 0 <<<"$text")"
}

# A certificate cannot be taken back; it ends within a year.
undo() { :; }
