# shellcheck shell=bash
# What the steps that use sanoid have in common: its configuration, which one step of a host owns at a time.

: "${SANOID_CONF=/etc/sanoid/sanoid.conf}"
: "${UNITS=/etc/systemd/system}"
readonly PROGRAMS=/usr/local/lib/research-compute
readonly AGES=$PROGRAMS/snapshot-ages
readonly OURS='# Written by research-compute for its step '

# sanoid with this configuration (the value SANOID), and the distribution's timer that runs it every quarter of an hour.
want_sanoid() {
    want_packages sanoid
    if [[ -s $SANOID_CONF ]] && ! grep -q "^$OURS" -- "$SANOID_CONF"; then
        refuse "$SANOID_CONF on $STEP_HOST is somebody else's: move it away, with what it keeps taken into nfs.snapshots"
    fi
    want_folder "$(dirname -- "$SANOID_CONF")" 0755
    printf '%s%s: it is written anew.\n%s\n' "$OURS" "$STEP" "$SANOID" | want_file "$SANOID_CONF" 0644
    want_service sanoid.timer
}

# Without its configuration sanoid does nothing (ConditionFileNotEmpty); its snapshots stay. A file that another step
# has written since, as after the two hosts changed places, stays, too.
forget_sanoid() {
    if [[ -f $SANOID_CONF ]] && grep -q "^$OURS$STEP:" -- "$SANOID_CONF"; then want_absent "$SANOID_CONF"; fi
}

# Say what snapshot-ages finds as differences: report_ages ARGUMENT...
report_ages() {
    local line lines
    if [[ ! -x $AGES ]]; then return 0; fi
    lines=$("$AGES" "$@" 2>&1 || true)
    while read -r line; do
        if [[ -n $line ]]; then changed "$line"; fi
    done <<<"$lines"
}
