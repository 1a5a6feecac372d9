# shellcheck shell=bash
# The second storage host: it fetches the first one's snapshots on a timer (replica-fetch), and sanoid prunes them by a
# retention of their own. The copies lie beneath a dataset that is read-only and has no mount point, so that none of
# them is ever mounted over anything.
#
# Values: FIRST (name of the first host), ADDRESS, PORT, LOGIN, HOST_KEY (of its SSH server), OWN_ADDRESS, SOURCES
# (datasets), POOL (that they are copied to), SCHEDULE, BANDWIDTH (bytes per second, or empty), LIMIT_SECONDS (how old
# the first host's newest snapshots may be), SANOID (its configuration), AGES_SCRIPT and FETCH_SCRIPT (where they were
# put on this host).

readonly REPLICA_FOLDER=$CONFIG_FOLDER/replica
readonly FETCH=/usr/local/lib/research-compute/replica-fetch
readonly REPLICA_UNIT=research-compute-replica

desired() {
    if ! systemd-analyze calendar -- "$SCHEDULE" >/dev/null 2>&1; then
        refuse "systemd takes nfs.replication.schedule '$SCHEDULE' for no time: try it with systemd-analyze calendar"
    fi
    want_packages openssh-client
    want_folder "$CONFIG_FOLDER" 0755
    want_folder "$REPLICA_FOLDER" 0700
    printf '%s %s\n' "$FIRST" "$HOST_KEY" | want_file "$REPLICA_FOLDER/known_hosts" 0600
    settings | want_file "$REPLICA_FOLDER/settings" 0600
    want_made_of "$AGES" "$AGES_SCRIPT"
    want_made_of "$FETCH" "$FETCH_SCRIPT"
    want_parents
    want_sanoid
    service_unit | want_file "$UNITS/$REPLICA_UNIT.service" 0644
    timer_unit | want_file "$UNITS/$REPLICA_UNIT.timer" 0644
    want_service "$REPLICA_UNIT.timer" restart-if "file $UNITS/$REPLICA_UNIT.timer"
    if checking; then report_failures; else prove; fi
}

# The copies stay, with all their snapshots; nothing prunes them any more.
undo() {
    act systemctl disable --quiet --now "$REPLICA_UNIT.timer" 2>/dev/null || true
    act systemctl stop "$REPLICA_UNIT.service" 2>/dev/null || true
    forget_sanoid
    want_absent "$UNITS/$REPLICA_UNIT.service" "$UNITS/$REPLICA_UNIT.timer" "$FETCH" \
        "$REPLICA_FOLDER/known_hosts" "$REPLICA_FOLDER/settings"
    reload_units
    act systemctl reset-failed "$REPLICA_UNIT.service" 2>/dev/null || true
}

settings() {
    printf '%s=%q\n' FIRST "$FIRST" ADDRESS "$ADDRESS" PORT "$PORT" LOGIN "$LOGIN" OWN_ADDRESS "$OWN_ADDRESS" POOL "$POOL" \
        SCHEDULE "$SCHEDULE" BANDWIDTH "$BANDWIDTH" LIMIT_SECONDS "$LIMIT_SECONDS"
    printf 'SOURCES=(%s)\n' "$(printf ' %q' "${SOURCES[@]}")"
}

# What the copies lie in: tank/homes is copied to POOL/tank/homes, so POOL/tank has to be there.
want_parents() {
    local source path part
    if ! zfs list -H -o name "$POOL" >/dev/null 2>&1; then
        if checking; then return 0; fi
        fail "there is no pool $POOL on $STEP_HOST"
    fi
    for source in "${SOURCES[@]}"; do
        path=$POOL
        while [[ $source == */* ]]; do
            part=${source%%/*} source=${source#*/} path=$path/$part
            want_parent "$path"
        done
    done
}

want_parent() {
    local property wanted='mountpoint=none'
    if ! zfs list -H -o name "$1" >/dev/null 2>&1; then
        changed "dataset $1"
        act zfs create -o mountpoint=none -o canmount=off -o readonly=on "$1"
        return 0
    fi
    for wanted in mountpoint=none canmount=off readonly=on; do
        property=${wanted%%=*}
        if [[ $(zfs get -H -o value "$property" "$1") == "${wanted#*=}" ]]; then continue; fi
        changed "property $property of $1"
        act zfs set "$wanted" "$1"
    done
}

service_unit() {
    cat <<UNIT
[Unit]
Description=Research Compute: fetch the snapshots of $FIRST
After=network-online.target zfs.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart=$FETCH
# syncoid keeps its connection's socket in /tmp, under a name that can be foreseen.
PrivateTmp=yes
Nice=10
# The first copy may take days.
TimeoutStartSec=infinity
UNIT
}

# At the full hour the first host takes the very snapshots that are to be fetched: a little later they are there.
timer_unit() {
    cat <<UNIT
[Unit]
Description=Research Compute: fetch the snapshots of $FIRST

[Timer]
OnCalendar=$SCHEDULE
RandomizedDelaySec=3min
Persistent=true

[Install]
WantedBy=timers.target
UNIT
}

# Talk to the first host now, so that a wrong key or a firewall is found while somebody looks; the first copy itself may
# take days, and goes on by itself.
prove() {
    if ! was_changed '*'; then return 0; fi
    if ! "$FETCH" --probe; then fail "$STEP_HOST cannot read from $FIRST"; fi
    systemctl start --no-block "$REPLICA_UNIT.service"
}

report_failures() {
    local line lines
    if systemctl is-failed --quiet "$REPLICA_UNIT.service"; then
        changed "$REPLICA_UNIT.service failed (journalctl --unit $REPLICA_UNIT)"
    fi
    if [[ ! -x $FETCH || ! -f $REPLICA_FOLDER/settings ]]; then return 0; fi
    lines=$("$FETCH" --ages 2>&1 || true)
    while read -r line; do
        if [[ -n $line ]]; then changed "$line"; fi
    done <<<"$lines"
}
