# shellcheck shell=bash
# Snapshots on a schedule, taken and pruned by sanoid. Users find theirs in the folder .zfs/snapshot of each file system.
#
# Values: SANOID (its configuration), ROOTS (datasets that are in it, each with all beneath it), LIMIT_SECONDS (how old
# the newest snapshot may become), AGES_SCRIPT (where it was put on this host).

readonly DROP_IN=$UNITS/sanoid.service.d/research-compute.conf

desired() {
    want_made_of "$AGES" "$AGES_SCRIPT"
    drop_in | want_file "$DROP_IN" 0644
    want_sanoid
    reload_units
    if checking; then report_failures; else prove; fi
}

# Snapshots stay, and so does sanoid: without a configuration it does nothing.
undo() {
    forget_sanoid
    want_absent "$DROP_IN"
    reload_units
    act systemctl reset-failed sanoid.service 2>/dev/null || true
}

# sanoid ends well even where no snapshot could be taken, so what came of it is looked at.
drop_in() {
    cat <<UNIT
[Service]
ExecStartPost=$AGES $LIMIT_SECONDS ${ROOTS[*]}
UNIT
}

# Have the first ones taken now, and not in a quarter of an hour: by then everybody has gone.
prove() {
    local root
    if ! was_changed '*'; then return 0; fi
    for root in "${ROOTS[@]}"; do
        if ! zfs list -H -o name "$root" >/dev/null 2>&1; then fail "there is no dataset $root on $STEP_HOST"; fi
    done
    if ! systemctl start sanoid.service; then
        journalctl --unit sanoid.service --lines 12 --output cat --no-pager >&2 || true
        fail "sanoid does not run on $STEP_HOST"
    fi
    for root in "${ROOTS[@]}"; do
        if [[ $(zfs list -H -d 1 -t snapshot -o name "$root") != *"$root@autosnap_"* ]]; then
            journalctl --unit sanoid.service --lines 12 --output cat --no-pager >&2 || true
            fail "sanoid took no snapshot of $root on $STEP_HOST"
        fi
    done
}

report_failures() {
    if systemctl is-failed --quiet sanoid.service; then changed 'sanoid.service failed (journalctl --unit sanoid)'; fi
    report_ages "$LIMIT_SECONDS" "${ROOTS[@]}"
}
