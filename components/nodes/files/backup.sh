# shellcheck shell=bash
# Backups of etcd and of what makes it readable (certificate authorities, encryption keys), encrypted by restic, on a
# timer. Every control-plane host has the timer; at each tick the one whose etcd member leads does it.
#
# Values: BACKUP_REPOSITORY, BACKUP_PASSWORD, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, BACKUP_SCHEDULE, KEEP_HOURLY,
# KEEP_DAILY, KEEP_WEEKLY, BACKUP_SCRIPT and RESTORE_SCRIPT (where they were put on this host).

: "${BACKUP_FOLDER:=$CONFIG_FOLDER/backup}"
readonly BACKUP_UNIT=research-compute-etcd-backup
readonly VERIFY_UNIT=research-compute-etcd-backup-verify

desired() {
    want_packages restic
    want_folder "$CONFIG_FOLDER" 0755
    want_folder "$BACKUP_FOLDER" 0700
    # Each secret in a file of its own: in no command line, no unit, and in need of nobody's quoting.
    printf '%s' "$BACKUP_PASSWORD" | want_file "$BACKUP_FOLDER/password" 0600
    if [[ -n $S3_ACCESS_KEY_ID ]]; then
        printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$S3_ACCESS_KEY_ID" "$S3_SECRET_ACCESS_KEY" |
            want_file "$BACKUP_FOLDER/s3-credentials" 0600
    else
        want_absent "$BACKUP_FOLDER/s3-credentials"
    fi
    settings | want_file "$BACKUP_FOLDER/settings" 0600
    want_copy "$BACKUP_SCRIPT" /usr/local/lib/research-compute/etcd-backup
    want_copy "$RESTORE_SCRIPT" /usr/local/sbin/research-compute-etcd-restore

    service_unit 'a backup of etcd' '' | want_file "/etc/systemd/system/$BACKUP_UNIT.service" 0644
    timer_unit 'backups of etcd' "$BACKUP_SCHEDULE" | want_file "/etc/systemd/system/$BACKUP_UNIT.timer" 0644
    service_unit 'a look through all backups of etcd' --verify | want_file "/etc/systemd/system/$VERIFY_UNIT.service" 0644
    timer_unit 'looks through all backups of etcd' weekly | want_file "/etc/systemd/system/$VERIFY_UNIT.timer" 0644
    want_service "$BACKUP_UNIT.timer" restart-if "file /etc/systemd/system/$BACKUP_UNIT.timer"
    want_service "$VERIFY_UNIT.timer" restart-if "file /etc/systemd/system/$VERIFY_UNIT.timer"
    if checking; then report_failures; else prove; fi
}

undo() {
    act systemctl disable --quiet --now "$BACKUP_UNIT.timer" "$VERIFY_UNIT.timer" 2>/dev/null || true
    want_absent "/etc/systemd/system/$BACKUP_UNIT.service" "/etc/systemd/system/$BACKUP_UNIT.timer" \
        "/etc/systemd/system/$VERIFY_UNIT.service" "/etc/systemd/system/$VERIFY_UNIT.timer" \
        /usr/local/lib/research-compute/etcd-backup /usr/local/sbin/research-compute-etcd-restore "$BACKUP_FOLDER"
    reload_units
}

# A program that is a copy of a script: want_copy SCRIPT PATH
want_copy() {
    # A host whose scripts are gone has at least that to show in check mode; apply would not have come here.
    if [[ ! -f $1 ]]; then
        changed "file $2"
        if checking; then return 0; fi
    fi
    want_file "$2" 0755 <"$1"
}

# What both scripts read, as shell assignments.
settings() {
    printf '%s=%q\n' RESTIC_REPOSITORY "$BACKUP_REPOSITORY" RESTIC_PASSWORD_FILE "$BACKUP_FOLDER/password" \
        AWS_SHARED_CREDENTIALS_FILE "$BACKUP_FOLDER/s3-credentials" \
        KEEP_HOURLY "$KEEP_HOURLY" KEEP_DAILY "$KEEP_DAILY" KEEP_WEEKLY "$KEEP_WEEKLY"
}

service_unit() {
    local mounts=''
    # A directory that is a file system of its own must be mounted, or the backup would lie on the host's own disk.
    if [[ $BACKUP_REPOSITORY == /* ]]; then mounts="RequiresMountsFor=$BACKUP_REPOSITORY"; fi
    cat <<UNIT
[Unit]
Description=Research Compute: $1
After=network-online.target
Wants=network-online.target
$mounts

[Service]
Type=oneshot
ExecStart=/usr/local/lib/research-compute/etcd-backup $2
Nice=10
IOSchedulingClass=idle
TimeoutStartSec=2h
UNIT
}

timer_unit() {
    cat <<UNIT
[Unit]
Description=Research Compute: $1

[Timer]
OnCalendar=$2
Persistent=true

[Install]
WantedBy=timers.target
UNIT
}

# Have one backup made after every change, so that a wrong password is found now and not when a backup is needed.
prove() {
    if ! was_changed '*'; then return 0; fi
    if ! systemctl start "$BACKUP_UNIT.service"; then
        journalctl --unit "$BACKUP_UNIT.service" --lines 12 --output cat --no-pager >&2 || true
        fail "no backup could be made on $STEP_HOST"
    fi
}

# A backup that failed is a difference that `labctl drift` shows.
report_failures() {
    local unit
    for unit in "$BACKUP_UNIT" "$VERIFY_UNIT"; do
        if systemctl is-failed --quiet "$unit.service"; then changed "$unit.service failed (journalctl --unit $unit)"; fi
    done
}
