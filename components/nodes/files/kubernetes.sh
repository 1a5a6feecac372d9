# shellcheck shell=bash
# kubelet, kubeadm and kubectl of one version, and what a kubelet needs to start with.
#
# KUBERNETES_VERSION KUBELET KUBEADM KUBECTL ETCD_VERSION ETCD KUBELET_SETTINGS IMAGES
#
# A host that is a member of a cluster keeps the version it runs: the new one is put beside it, and the `version` step
# switches to it, host by host.

readonly UNIT=/etc/systemd/system/kubelet.service
readonly UNIT_SETTINGS=/etc/systemd/system/kubelet.service.d/10-kubeadm.conf
readonly SETTINGS=/etc/kubernetes/kubelet.conf.d/90-research-compute.conf
readonly MEMBERSHIP=/etc/kubernetes/kubelet.conf
# More at a time only wait for the same line and the same disk.
readonly PULLS_AT_ONCE=3

desired() {
    refuse_packages kubelet kubeadm kubectl
    want_kubernetes_programs
    want_etcd_programs
    want_file "$SETTINGS" 0644 <<<"$KUBELET_SETTINGS"
    want_folder /etc/kubernetes/manifests 0700
    kubelet_unit | want_file "$UNIT" 0644
    kubelet_unit_settings | want_file "$UNIT_SETTINGS" 0644
    if [[ -e $MEMBERSHIP ]]; then
        want_service kubelet.service restart-if "file $SETTINGS" "file $UNIT" "file $UNIT_SETTINGS"
    else
        want_enabled kubelet.service
    fi
    want_images
}

undo() {
    local program
    want_no_service kubelet.service
    for program in kubelet kubeadm kubectl etcdctl etcdutl; do
        if [[ $(readlink -- "/usr/local/bin/$program") == "$PROGRAMS"/* ]]; then want_absent "/usr/local/bin/$program"; fi
    done
    want_absent "$UNIT" "$UNIT_SETTINGS" "$SETTINGS" "$PROGRAMS/kubernetes" "$PROGRAMS/etcd" "$CACHE_FOLDER/kubernetes"
    reload_units
    systemctl reset-failed kubelet.service 2>/dev/null || true
    rmdir --ignore-fail-on-non-empty -- /etc/kubernetes/manifests /etc/kubernetes/kubelet.conf.d /etc/kubernetes \
        "${UNIT_SETTINGS%/*}" 2>/dev/null || true
    rm -f -- "$STATE_FOLDER"/programs/etcd%* || true
}

want_kubernetes_programs() {
    local folder=$PROGRAMS/kubernetes/$KUBERNETES_VERSION program old
    pinned "${KUBELET[@]}"
    fetch "$PIN_URL" "$PIN_SHA256" "$folder/kubelet" 0755
    pinned "${KUBEADM[@]}"
    fetch "$PIN_URL" "$PIN_SHA256" "$folder/kubeadm" 0755
    pinned "${KUBECTL[@]}"
    fetch "$PIN_URL" "$PIN_SHA256" "$folder/kubectl" 0755
    for program in kubelet kubeadm kubectl; do
        if [[ -e $MEMBERSHIP && -x /usr/local/bin/$program ]]; then continue; fi
        want_link "/usr/local/bin/$program" "$folder/$program"
    done
    for old in "$PROGRAMS"/kubernetes/*; do
        if [[ ! -d $old || $old == "$folder" ]] || is_linked "$old"; then continue; fi
        act rm -rf --one-file-system -- "$old"
    done
}

# Whether one of the links in use points into a folder.
is_linked() {
    local program
    for program in kubelet kubeadm kubectl; do
        if [[ $(readlink -- "/usr/local/bin/$program") == "$1"/* ]]; then return 0; fi
    done
    return 1
}

# etcdctl and etcdutl, where there is an etcd to look after.
want_etcd_programs() {
    local program
    if ((${#ETCD[@]} == 0)); then return 0; fi
    want_program etcd "$ETCD_VERSION" "${ETCD[@]}"
    want_current etcd "$PROGRAM_FOLDER"
    pinned "${ETCD[@]}"
    program=${PIN_URL##*/}
    program=${program%.tar.gz}
    want_link /usr/local/bin/etcdctl "$PROGRAMS/etcd/current/$program/etcdctl"
    want_link /usr/local/bin/etcdutl "$PROGRAMS/etcd/current/$program/etcdutl"
    prune_programs etcd
}

# Images that are there before anybody waits for them, some at a time.
want_images() {
    local image present pulls=() status=0
    if ((${#IMAGES[@]} == 0)); then return 0; fi
    present=$(/usr/local/bin/ctr --namespace k8s.io images list --quiet 2>/dev/null || true)
    for image in "${IMAGES[@]}"; do
        if grep -q -x -F -- "$image" <<<"$present"; then continue; fi
        changed "image $image"
        if checking; then continue; fi
        pull "$image" &
        pulls+=("$!")
        if ((${#pulls[@]} >= PULLS_AT_ONCE)); then
            wait "${pulls[0]}" || status=$?
            pulls=("${pulls[@]:1}")
        fi
    done
    for image in "${pulls[@]}"; do
        wait "$image" || status=$?
    done
    # Why, each pull has said itself.
    if ((status != 0)); then exit "$FAILED"; fi
}

pull() {
    local attempt output=''
    for attempt in 1 2 3; do
        # Half an hour: a notebook image of 10 GiB over a line of 100 Mbit/s takes a quarter of one.
        if output=$(timeout 1800 /usr/local/bin/ctr --namespace k8s.io images pull \
            --hosts-dir /etc/containerd/certs.d -- "$1" 2>&1); then
            return 0
        fi
        if ((attempt < 3)); then sleep "$((attempt * 2))"; fi
    done
    fail "$1 cannot be pulled, tried $attempt times: $(tail -n 1 <<<"$output")"
}

# As kubeadm's package has it. It starts at boot, and keeps trying until kubeadm has written its configuration.
kubelet_unit() {
    cat <<'END'
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target containerd.service
After=network-online.target containerd.service
# Without a cluster it would only fail again and again.
ConditionPathExists=/var/lib/kubelet/config.yaml

[Service]
ExecStart=/usr/local/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
END
}

kubelet_unit_settings() {
    cat <<'END'
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml --config-dir=/etc/kubernetes/kubelet.conf.d"
# Written by kubeadm when the host joins.
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
# For whoever looks after the host: KUBELET_EXTRA_ARGS.
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
END
}
