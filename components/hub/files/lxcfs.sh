# shellcheck shell=bash
# LXCFS on a worker: files of /proc that show whoever reads them its own CPUs, memory and load. What mounts them, and
# why these, is in components/hub/lxcfs.py.
#
# FILES PACKAGES

: "${LXCFS_MOUNT=/var/lib/lxcfs}" "${UNITS_FOLDER=/etc/systemd/system}" "${PROCESSES=/proc}"

readonly LXCFS_UNIT='lxcfs.service'
readonly LXCFS_SETTINGS="$UNITS_FOLDER/$LXCFS_UNIT.d/research-compute.conf"

desired() {
    # There before the package is: the service has it from its first start. The distributions' unit shows the node's load.
    want_file "$LXCFS_SETTINGS" 0644 <<'END'
[Service]
ExecStart=
ExecStart=/usr/bin/lxcfs --enable-loadavg /var/lib/lxcfs
END
    # fuse3 has the fusermount that the unit cleans up with; without it a service that died cannot be mounted again.
    want_packages "${PACKAGES[@]}"
    # Never restarted: each server has its files mounted, and could not read /proc/meminfo any more.
    want_service "$LXCFS_UNIT"
    want_files
    result load "$(if shows_own_load; then printf 'own'; else printf 'of the node until %s is restarted' "$LXCFS_UNIT"; fi)"
}

# Servers that still run have its files mounted, and break without it: then it goes with the next boot.
undo() {
    want_absent "$(dirname -- "$LXCFS_SETTINGS")"
    if [[ -z $(servers_with_files) ]]; then
        want_no_service "$LXCFS_UNIT"
    elif systemctl is-enabled --quiet -- "$LXCFS_UNIT" 2>/dev/null; then
        changed "not enabled $LXCFS_UNIT"
        act systemctl disable --quiet -- "$LXCFS_UNIT"
        log "$STEP_HOST: processes have files of LXCFS mounted; it runs until the host is booted"
    fi
}

# Every file a server mounts can be read: a node without one would refuse each server.
want_files() {
    local name
    if checking && ! systemctl is-active --quiet -- "$LXCFS_UNIT"; then return 0; fi
    for name in "${FILES[@]}"; do
        wait_until 10 "$LXCFS_MOUNT/proc/$name, which this version of lxcfs does not have or $LXCFS_UNIT does not show" \
            head -c 1 -- "$LXCFS_MOUNT/proc/$name"
    done
}

# Whether the service that runs has the setting; an older one, of the host's own, may not.
shows_own_load() {
    local pid
    pid=$(systemctl show --property MainPID --value -- "$LXCFS_UNIT" 2>/dev/null || printf 0)
    if [[ ! -r $PROCESSES/$pid/cmdline ]]; then return 1; fi
    tr '\0' '\n' <"$PROCESSES/$pid/cmdline" | grep -qxE -e '--enable-loadavg|-l'
}

# Processes, by number, in which a file of LXCFS lies over one of /proc.
servers_with_files() {
    grep -lsE ' /proc/[a-z]+ .* fuse\.lxcfs ' "$PROCESSES"/[0-9]*/mountinfo || true
}
