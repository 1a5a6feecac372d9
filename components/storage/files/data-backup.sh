# shellcheck shell=bash
# Copies of homes, groups' and shared folders in a restic repository elsewhere, on a timer, and the way back.
#
# Values: those of backups.sh; BACKUP_SCHEDULE, KEEP_DAILY, KEEP_WEEKLY, KEEP_MONTHLY; DATASETS (each with all beneath
# it); BACKUP_SCRIPTS and RESTORE_SCRIPTS (where the parts of the programs were put on this host).

: "${BACKUP_FOLDER:=$CONFIG_FOLDER/data-backup}"
readonly BACKUP_UNIT=research-compute-data-backup
readonly VERIFY_UNIT=research-compute-data-backup-verify
readonly BACKUP_PROGRAM=/usr/local/sbin/research-compute-data-backup
readonly RESTORE_PROGRAM=/usr/local/sbin/research-compute-data-restore
# The first copy of a full pool takes days.
readonly BACKUP_LIMIT=infinity
readonly LAST_SUCCESS=$STATE_FOLDER/data-backup/last-success

desired() {
    want_packages restic
    {
        printf '%s=%q\n' BACKUP_OF "$STEP_HOST" \
            KEEP_DAILY "$KEEP_DAILY" KEEP_WEEKLY "$KEEP_WEEKLY" KEEP_MONTHLY "$KEEP_MONTHLY"
        printf 'DATASETS=('
        printf ' %q' "${DATASETS[@]}"
        printf ' )\n'
    } | want_repository
    want_made_of "$BACKUP_PROGRAM" "${BACKUP_SCRIPTS[@]}"
    want_made_of "$RESTORE_PROGRAM" "${RESTORE_SCRIPTS[@]}"
    want_timer "$BACKUP_UNIT" 'backup of homes and shared folders' "$BACKUP_SCHEDULE" "$BACKUP_LIMIT" "$BACKUP_PROGRAM"
    want_timer "$VERIFY_UNIT" 'look through the backups of homes and shared folders' weekly "$BACKUP_LIMIT" \
        "$BACKUP_PROGRAM --verify"
    if checking; then
        report_failures "$BACKUP_UNIT" "$VERIFY_UNIT"
        report_overdue
    elif was_changed '*'; then
        prove
    fi
}

undo() {
    want_no_timers "$BACKUP_UNIT" "$VERIFY_UNIT"
    # The repository stays, and what it was of.
    want_absent "$BACKUP_PROGRAM" "$RESTORE_PROGRAM" "$BACKUP_FOLDER"
    reload_units
}

# Open the repository, so that a wrong password is found now and not when a backup is needed; the first copy is made
# in the background.
prove() {
    local status=0
    "$BACKUP_PROGRAM" --prove || status=$?
    case $status in
        0) if [[ ! -f $LAST_SUCCESS ]]; then systemctl start --no-block "$BACKUP_UNIT.service"; fi ;;
        # A run that is under way has opened it.
        75) ;;
        # New pools wait for what was in the old ones: a restore needs this host to be set up.
        65) if ! awaits_restore; then exit "$REFUSED"; fi ;;
        *) exit "$FAILED" ;;
    esac
}

# Whether the one reason to refuse is that the pools are new.
awaits_restore() {
    local said
    said=$("$BACKUP_PROGRAM" --prove 2>&1 >/dev/null) && return 1
    [[ $said == *'not those of the newest copy'* ]]
}

# A backup that is overdue is a difference: its timer has gone off since the last one that succeeded.
report_overdue() {
    local last=0 due
    if systemctl is-active --quiet "$BACKUP_UNIT.service" || [[ $(unit_state) == activating ]]; then return 0; fi
    if [[ -f $LAST_SUCCESS ]]; then last=$(stat -c %Y -- "$LAST_SUCCESS"); fi
    due=$(systemctl show --property LastTriggerUSec --value "$BACKUP_UNIT.timer" 2>/dev/null || true)
    due=$(date -d "$due" +%s 2>/dev/null || printf 0)
    if ((last == 0)); then
        changed 'no backup has succeeded yet'
    elif ((due > last)); then
        changed "no backup has succeeded since $(date -u -d "@$last" +%Y-%m-%dT%H:%M:%SZ)"
    fi
}

unit_state() { systemctl show --property ActiveState --value "$BACKUP_UNIT.service" 2>/dev/null || true; }
