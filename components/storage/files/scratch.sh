# shellcheck shell=bash
# Scratch space whose claims are gone: csi-driver-nfs, a squashed root, can only put their folders aside (as
# archived-NAMESPACE/CLAIM); this host's root deletes them, every ten minutes.
#
# Values: SCRATCH (folder), IS_EMPTIED (whether what was put aside is to be deleted at all).

: "${UNITS=/etc/systemd/system}"
readonly SCRATCH_UNIT=research-compute-scratch

desired() {
    if [[ ! $SCRATCH =~ ^/[A-Za-z0-9/_.:-]+$ ]]; then refuse "$SCRATCH is no name of a dataset (storage.nfs.scratch.path)"; fi
    if [[ $IS_EMPTIED == false ]]; then
        undo
        return 0
    fi
    service_unit | want_file "$UNITS/$SCRATCH_UNIT.service" 0644
    timer_unit | want_file "$UNITS/$SCRATCH_UNIT.timer" 0644
    want_service "$SCRATCH_UNIT.timer" restart-if "file $UNITS/$SCRATCH_UNIT.timer"
    reload_units
    if checking && systemctl is-failed --quiet "$SCRATCH_UNIT.service"; then
        changed "$SCRATCH_UNIT.service failed (journalctl --unit $SCRATCH_UNIT)"
    fi
}

undo() {
    act systemctl disable --quiet --now "$SCRATCH_UNIT.timer" 2>/dev/null || true
    want_absent "$UNITS/$SCRATCH_UNIT.timer" "$UNITS/$SCRATCH_UNIT.service"
    reload_units
}

# Folders of claims lie two levels deep. rm follows no link and leaves the file system at no place; what else a user put
# into a folder of that name is the user's own.
service_unit() {
    cat <<UNIT
[Unit]
Description=Research Compute: deletes scratch space whose claims are gone
ConditionPathIsMountPoint=$SCRATCH

[Service]
Type=oneshot
ExecStart=/usr/bin/find -P $SCRATCH -mindepth 2 -maxdepth 2 -path '$SCRATCH/archived-*/*' -exec /bin/rm -rf --one-file-system -- {} +
ExecStart=/usr/bin/find -P $SCRATCH -mindepth 1 -maxdepth 1 -type d -name 'archived-*' -empty -delete
Nice=10
IOSchedulingClass=idle
NoNewPrivileges=yes
PrivateNetwork=yes
ProtectSystem=strict
ReadWritePaths=$SCRATCH
TimeoutStartSec=6h
UNIT
}

timer_unit() {
    cat <<UNIT
[Unit]
Description=Research Compute: deletes scratch space whose claims are gone

[Timer]
OnCalendar=*:0/10
RandomizedDelaySec=60

[Install]
WantedBy=timers.target
UNIT
}
