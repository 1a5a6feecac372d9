# shellcheck shell=bash
# The container runtime: containerd, runc and the reference CNI plugins, from upstream's own archives.
#
# CONTAINERD_VERSION CONTAINERD RUNC_VERSION RUNC CNI_PLUGINS_VERSION CNI_PLUGINS CONTAINERD_CONF REGISTRIES
# REGISTRY_HOSTS REGISTRY_CA MIRROR_URL

readonly UNIT=/etc/systemd/system/containerd.service
readonly CONF=/etc/containerd/config.toml
readonly CERTS=/etc/containerd/certs.d
# First line of every hosts.toml of ours: the others in that folder are somebody else's.
readonly OURS='# research-compute'

desired() {
    refuse_packages containerd containerd.io docker.io docker-ce
    want_runc
    want_cni_plugins
    want_containerd
    want_registries
    want_folder /etc/containerd/conf.d 0755
    want_containerd_conf
    containerd_unit | want_file "$UNIT" 0644
    # Containers live on under their shims while containerd itself is restarted (KillMode=process).
    want_service containerd.service restart-if "link $PROGRAMS/containerd/current" "file $CONF" "file $UNIT"
    if ! checking; then
        wait_until 60 'containerd to answer on /run/containerd/containerd.sock' /usr/local/bin/ctr version
    fi
    prune_programs containerd
    prune_programs cni-plugins
    prune_runc
    result socket unix:///run/containerd/containerd.sock
}

undo() {
    local space plugin
    if [[ -S /run/containerd/containerd.sock ]]; then
        for space in $(timeout 20 /usr/local/bin/ctr namespaces list --quiet || true); do
            timeout 60 /usr/local/bin/ctr --namespace "$space" tasks list --quiet 2>/dev/null |
                xargs -r -n 1 timeout 20 /usr/local/bin/ctr --namespace "$space" tasks kill --signal KILL -- || true
        done
    fi
    want_no_service containerd.service
    pkill -KILL -f "^($PROGRAMS/containerd/[^/]+|/usr/local)/bin/containerd-shim-runc-v2 " || true
    # Each needs the one mounted on it to go first.
    awk '$2 ~ "^/(run|var/lib)/containerd/" { print $2 }' /proc/mounts | sort -r | xargs -r -n 1 umount --lazy -- || true
    for plugin in /opt/cni/bin/*; do
        if [[ $(readlink -- "$plugin") == "$PROGRAMS"/cni-plugins/* ]]; then want_absent "$plugin"; fi
    done
    want_absent "$UNIT" "$CONF" /usr/local/bin/containerd /usr/local/bin/ctr /usr/local/bin/containerd-shim-runc-v2 \
        /usr/local/sbin/runc "$PROGRAMS/containerd" "$PROGRAMS/runc" "$PROGRAMS/cni-plugins" /run/containerd \
        /var/lib/containerd "$CACHE_FOLDER/runtime"
    prune_registries
    reload_units
    systemctl reset-failed containerd.service 2>/dev/null || true
    rm -f -- "$STATE_FOLDER"/programs/{containerd,cni-plugins}%* || true
}

want_runc() {
    pinned "${RUNC[@]}"
    fetch "$PIN_URL" "$PIN_SHA256" "$PROGRAMS/runc/$RUNC_VERSION/runc" 0755
    want_link /usr/local/sbin/runc "$PROGRAMS/runc/$RUNC_VERSION/runc"
}

prune_runc() {
    local folder
    for folder in "$PROGRAMS"/runc/*; do
        if [[ -d $folder && ${folder##*/} != "$RUNC_VERSION" ]]; then act rm -rf --one-file-system -- "$folder"; fi
    done
}

# A CNI that brings a plugin of the same name (Calico does) puts its own file there, which is left alone.
want_cni_plugins() {
    local plugin link
    want_program cni-plugins "$CNI_PLUGINS_VERSION" "${CNI_PLUGINS[@]}"
    want_current cni-plugins "$PROGRAM_FOLDER"
    for plugin in "$PROGRAM_FOLDER"/*; do
        if [[ ! -x $plugin || -d $plugin ]]; then continue; fi
        link=/opt/cni/bin/${plugin##*/}
        if [[ -e $link && $(readlink -- "$link") != "$PROGRAMS"/cni-plugins/* ]]; then continue; fi
        want_link "$link" "$PROGRAMS/cni-plugins/current/${plugin##*/}"
    done
    for link in /opt/cni/bin/*; do
        if [[ -L $link && ! -e $link && $(readlink -- "$link") == "$PROGRAMS"/cni-plugins/* ]] && ! checking; then
            want_absent "$link"
        fi
    done
}

want_containerd() {
    local program
    want_program containerd "$CONTAINERD_VERSION" "${CONTAINERD[@]}"
    want_current containerd "$PROGRAM_FOLDER"
    for program in containerd ctr containerd-shim-runc-v2; do
        want_link "/usr/local/bin/$program" "$PROGRAMS/containerd/current/bin/$program"
    done
}

# containerd's configuration, tried before it takes the place of one that works.
want_containerd_conf() {
    local trial
    if [[ -f $CONF ]] && cmp -s -- "$CONF" <(printf '%s\n' "$CONTAINERD_CONF") && has_mode "$CONF" 0644 root:root; then
        return 0
    fi
    if ! checking; then
        trial=$(mktemp)
        printf '%s\n' "$CONTAINERD_CONF" >"$trial"
        if ! /usr/local/bin/containerd --config "$trial" config dump >/dev/null; then
            rm -f -- "$trial"
            fail "containerd $CONTAINERD_VERSION does not read its configuration"
        fi
        rm -f -- "$trial"
    fi
    want_file "$CONF" 0644 <<<"$CONTAINERD_CONF"
}

# Where images come from. containerd reads these at every pull, so nothing is restarted.
want_registries() {
    local index
    if [[ -n $REGISTRY_CA ]]; then want_file /etc/containerd/research-compute-ca.pem 0644 <<<"$REGISTRY_CA"; fi
    for ((index = 0; index < ${#REGISTRIES[@]}; index++)); do
        printf '%s\n%s\n' "$OURS" "${REGISTRY_HOSTS[index]}" |
            want_file "$CERTS/${REGISTRIES[index]}/hosts.toml" 0644
    done
    prune_registries "${REGISTRIES[@]}"
    if [[ -z $REGISTRY_CA ]]; then want_absent /etc/containerd/research-compute-ca.pem; fi
}

# Remove our settings of registries but those named.
prune_registries() {
    local file registry wanted
    for file in "$CERTS"/*/hosts.toml; do
        if [[ ! -f $file || $(head -n 1 -- "$file") != "$OURS" ]]; then continue; fi
        registry=$(basename -- "$(dirname -- "$file")")
        for wanted in "$@"; do
            if [[ $registry == "$wanted" ]]; then continue 2; fi
        done
        want_absent "$file"
        act rmdir --ignore-fail-on-non-empty -- "$(dirname -- "$file")"
    done
}

# As upstream's containerd.service, and the open files that containers inherit: upstream leaves systemd's soft limit
# of 1024, on which data loaders with many workers fail.
containerd_unit() {
    cat <<'END'
[Unit]
Description=containerd container runtime
Documentation=https://containerd.io
After=network.target dbus.service

[Service]
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
LimitNOFILE=65536:1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
END
}
