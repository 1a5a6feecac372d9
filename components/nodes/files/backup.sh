# shellcheck shell=bash
# Backups of etcd and of what makes it readable (certificate authorities, encryption keys), encrypted by restic, on a
# timer. Every control-plane host has the timer; at each tick the one whose etcd member leads does it.
#
# Values: those of backups.sh; BACKUP_SCHEDULE, KEEP_HOURLY, KEEP_DAILY, KEEP_WEEKLY; REPOSITORY_SCRIPT, BACKUP_SCRIPT
# and RESTORE_SCRIPT (where they were put on this host).

: "${BACKUP_FOLDER:=$CONFIG_FOLDER/backup}"
readonly BACKUP_UNIT=research-compute-etcd-backup
readonly VERIFY_UNIT=research-compute-etcd-backup-verify
readonly BACKUP_PROGRAM=/usr/local/lib/research-compute/etcd-backup
readonly RESTORE_PROGRAM=/usr/local/sbin/research-compute-etcd-restore
# Longest that one run may take.
readonly BACKUP_LIMIT=2h

desired() {
    want_packages restic
    printf '%s=%q\n' KEEP_HOURLY "$KEEP_HOURLY" KEEP_DAILY "$KEEP_DAILY" KEEP_WEEKLY "$KEEP_WEEKLY" | want_repository
    want_made_of "$BACKUP_PROGRAM" "$REPOSITORY_SCRIPT" "$BACKUP_SCRIPT"
    want_made_of "$RESTORE_PROGRAM" "$REPOSITORY_SCRIPT" "$RESTORE_SCRIPT"
    want_timer "$BACKUP_UNIT" 'backup of etcd' "$BACKUP_SCHEDULE" "$BACKUP_LIMIT" "$BACKUP_PROGRAM"
    want_timer "$VERIFY_UNIT" 'look through all backups of etcd' weekly "$BACKUP_LIMIT" "$BACKUP_PROGRAM --verify"
    if checking; then
        report_failures "$BACKUP_UNIT" "$VERIFY_UNIT"
    elif was_changed '*'; then
        # After every change, so that a wrong password is found now and not when a backup is needed.
        run_unit "$BACKUP_UNIT" 'no backup could be made'
    fi
}

undo() {
    want_no_timers "$BACKUP_UNIT" "$VERIFY_UNIT"
    want_absent "$BACKUP_PROGRAM" "$RESTORE_PROGRAM" "$BACKUP_FOLDER"
    reload_units
}
