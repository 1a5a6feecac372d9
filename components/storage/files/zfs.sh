# shellcheck shell=bash
# ZFS on a storage host: its packages, its module or service, the limit of its cache, and a look at its pools.
#
# Values: ZFS_PACKAGES, ARC_BYTES, HEALTH_SCRIPT (where it was put on this host).

: "${MODPROBE_CONF:=/etc/modprobe.d/research-compute-zfs.conf}"
: "${ARC_PARAMETER:=/sys/module/zfs/parameters/zfs_arc_max}"
: "${HOSTID_FILE:=/etc/hostid}"
readonly HEALTH_UNIT=research-compute-zfs-health
readonly HEALTH_PROGRAM=/usr/local/lib/research-compute/zfs-health
readonly SCRUB_UNIT=research-compute-zfs-scrub

desired() {
    want_hostid
    want_zfs_packages
    want_cache_limit
    want_running
    want_made_of "$HEALTH_PROGRAM" "$HEALTH_SCRIPT"
    scrub_service | want_file "/etc/systemd/system/$SCRUB_UNIT@.service" 0644
    health_service | want_file "/etc/systemd/system/$HEALTH_UNIT.service" 0644
    health_timer | want_file "/etc/systemd/system/$HEALTH_UNIT.timer" 0644
    want_service "$HEALTH_UNIT.timer" restart-if "file /etc/systemd/system/$HEALTH_UNIT.timer"
    if checking && systemctl is-failed --quiet "$HEALTH_UNIT.service"; then
        changed "$HEALTH_UNIT.service failed (journalctl --unit $HEALTH_UNIT)"
    fi
}

# What ZFS itself is stays: pools may be in use. Their scrubs end with their own steps.
undo() {
    want_no_service "$HEALTH_UNIT.timer"
    systemctl reset-failed "$HEALTH_UNIT.service" 2>/dev/null || true
    want_absent "/etc/systemd/system/$HEALTH_UNIT.timer" "/etc/systemd/system/$HEALTH_UNIT.service" \
        "/etc/systemd/system/$SCRUB_UNIT@.service" "$HEALTH_PROGRAM" "$MODPROBE_CONF" \
        "$STATE_FOLDER/zfs-health"
    reload_units
}

# The number by which a pool knows the host that uses it. Without a file every host has none, or one made from
# 127.0.1.1: then nothing keeps two hosts from importing the same pool. Never changed beneath an imported pool.
want_hostid() {
    if [[ -s $HOSTID_FILE ]]; then return 0; fi
    if command -v zpool >/dev/null && [[ -n $(zpool list -H -o name 2>/dev/null) ]]; then return 0; fi
    changed "file $HOSTID_FILE"
    if checking; then return 0; fi
    # Four bytes, none of them 0.
    local byte text=''
    for byte in $(od -An -v -N4 -tu1 /dev/urandom); do text+=$(printf '\\x%02x' $((byte % 255 + 1))); done
    printf '%b' "$text" | write_atomically "$HOSTID_FILE" 0644 root:root
}

want_zfs_packages() {
    local -a packages=("${ZFS_PACKAGES[@]}")
    if ((${#packages[@]} == 0)); then
        packages=(zfsutils-linux)
        # Ubuntu's kernels bring the module, Debian's have it built, from its section contrib.
        # shellcheck source=/dev/null
        if [[ $(. "${OS_RELEASE:-/etc/os-release}" && printf '%s' "$ID") == debian ]]; then
            packages+=(zfs-dkms "linux-headers-$(dpkg --print-architecture)")
            require_contrib
        fi
    fi
    want_packages acl "${packages[@]}"
}

# apt itself would only say that it cannot find the package.
require_contrib() {
    if checking || [[ -n ${MIRROR_URL:-} ]] || dpkg-query -W zfs-dkms >/dev/null 2>&1; then return 0; fi
    update_package_lists
    if ! apt-cache show zfs-dkms >/dev/null 2>&1; then
        refuse "Debian has ZFS in its section contrib, which $STEP_HOST does not read: add contrib to its sources" \
            '(/etc/apt), or name packages that bring zpool and zfs under storage.zfs.packages'
    fi
}

want_cache_limit() {
    if [[ -z $ARC_BYTES ]]; then
        want_absent "$MODPROBE_CONF"
        return 0
    fi
    printf 'options zfs zfs_arc_max=%s\n' "$ARC_BYTES" | want_file "$MODPROBE_CONF" 0644
    # A module that is loaded already read its options long ago.
    if [[ ! -w $ARC_PARAMETER || $(<"$ARC_PARAMETER") == "$ARC_BYTES" ]]; then return 0; fi
    changed "zfs_arc_max $ARC_BYTES"
    if checking; then return 0; fi
    printf '%s\n' "$ARC_BYTES" >"$ARC_PARAMETER" || fail "the module does not take zfs_arc_max=$ARC_BYTES (is it more than the memory?)"
}

want_running() {
    local unit
    if systemctl cat zfs-fuse.service >/dev/null 2>&1; then
        want_service zfs-fuse.service
        return 0
    fi
    if [[ ! -e /dev/zfs ]]; then
        changed 'module zfs'
        act modprobe zfs || fail 'the module zfs cannot be loaded (dkms status; with Secure Boot it has to be signed)'
    fi
    for unit in zfs-import-cache.service zfs-mount.service zfs-zed.service zfs.target; do
        if systemctl cat "$unit" >/dev/null 2>&1; then want_enabled "$unit"; fi
    done
}

scrub_service() {
    cat <<'UNIT'
[Unit]
Description=Research Compute: a scrub of the pool %i

[Service]
Type=oneshot
# One that runs already is as good; one beside a resilver is refused by zpool, and begins with the next timer.
ExecStart=/bin/sh -c 'if zpool status "$1" | grep -Eq "(scrub|resilver) in progress"; then exit 0; fi; exec zpool scrub "$1"' sh %i
UNIT
}

health_service() {
    cat <<UNIT
[Unit]
Description=Research Compute: a look at the pools of this host

[Service]
Type=oneshot
ExecStart=$HEALTH_PROGRAM
UNIT
}

health_timer() {
    cat <<UNIT
[Unit]
Description=Research Compute: looks at the pools of this host

[Timer]
OnCalendar=*:0/10
RandomizedDelaySec=30s

[Install]
WantedBy=timers.target
UNIT
}
