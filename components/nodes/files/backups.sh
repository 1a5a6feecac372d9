# shellcheck shell=bash
# What every step that keeps backups with restic has in common: the repository's settings in files that only root
# reads, the programs, two timers, and a backup that failed as something that differs.
#
# The step names BACKUP_UNIT, VERIFY_UNIT and BACKUP_FOLDER. Values: BACKUP_REPOSITORY, BACKUP_PASSWORD,
# S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY.

# How the repository is opened: each secret in a file of its own, in no command line, no unit, and in need of nobody's
# quoting. What else the programs read comes from stdin, as shell assignments.
want_repository() {
    want_folder "$CONFIG_FOLDER" 0755
    want_folder "$BACKUP_FOLDER" 0700
    printf '%s' "$BACKUP_PASSWORD" | want_file "$BACKUP_FOLDER/password" 0600
    if [[ -n $S3_ACCESS_KEY_ID ]]; then
        printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$S3_ACCESS_KEY_ID" "$S3_SECRET_ACCESS_KEY" |
            want_file "$BACKUP_FOLDER/s3-credentials" 0600
    else
        want_absent "$BACKUP_FOLDER/s3-credentials"
    fi
    {
        printf '%s=%q\n' RESTIC_REPOSITORY "$BACKUP_REPOSITORY" RESTIC_PASSWORD_FILE "$BACKUP_FOLDER/password" \
            AWS_SHARED_CREDENTIALS_FILE "$BACKUP_FOLDER/s3-credentials"
        cat
    } | want_file "$BACKUP_FOLDER/settings" 0600
}

# A service for a program, and the timer that starts it: want_timer UNIT WHAT WHEN LIMIT COMMAND...
want_timer() {
    local unit=$1 what=$2 when=$3 limit=$4
    shift 4
    service_unit "$what" "$limit" "$*" | want_file "/etc/systemd/system/$unit.service" 0644
    timer_unit "$what" "$when" | want_file "/etc/systemd/system/$unit.timer" 0644
    want_service "$unit.timer" restart-if "file /etc/systemd/system/$unit.timer"
}

want_no_timers() {
    local unit
    for unit in "$@"; do
        act systemctl disable --quiet --now "$unit.timer" 2>/dev/null || true
        want_absent "/etc/systemd/system/$unit.service" "/etc/systemd/system/$unit.timer"
    done
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
ExecStart=$3
Nice=10
IOSchedulingClass=idle
TimeoutStartSec=$2
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

# Have a unit run once, and show what it said if it does not succeed: run_unit UNIT WHAT
run_unit() {
    if systemctl start "$1.service"; then return 0; fi
    journalctl --unit "$1.service" --lines 12 --output cat --no-pager >&2 || true
    fail "$2 on $STEP_HOST"
}

# A run that failed is a difference that `labctl drift` shows: report_failures UNIT...
report_failures() {
    local unit
    for unit in "$@"; do
        if systemctl is-failed --quiet "$unit.service"; then changed "$unit.service failed (journalctl --unit $unit)"; fi
    done
}
