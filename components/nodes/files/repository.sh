#!/bin/bash
# The beginning of every program that a step puts on a host to back up or to restore: how it ends, and how it opens a
# restic repository as the step has left it. BACKUP_SETTINGS names a file of shell assignments.
set -Eeuo pipefail
shopt -s inherit_errexit
export LC_ALL=C TZ=UTC PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077

: "${RESTIC_CACHE_DIR:=/var/cache/research-compute/restic}"
# Seconds that another host's run may hold the repository: a look through all of it excludes whoever writes.
: "${REPOSITORY_WAIT_SECONDS:=7200}" "${REPOSITORY_PAUSE_SECONDS:=10}"

say() { printf '%s\n' "$*"; }

fail() {
    printf 'failed: %s\n' "$*" >&2
    exit 70
}

refuse() {
    printf 'refused: %s\n' "$*" >&2
    exit 65
}

# Poll until a command succeeds: wait_until SECONDS WHAT COMMAND...
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)); then fail "waited in vain for $what"; fi
        sleep 0.5
    done
}

open_settings() {
    if [[ ! -f $BACKUP_SETTINGS ]]; then refuse "there is no $BACKUP_SETTINGS: backups are not set up on this host"; fi
    # shellcheck source=/dev/null
    . "$BACKUP_SETTINGS"
    export RESTIC_REPOSITORY RESTIC_PASSWORD_FILE RESTIC_CACHE_DIR AWS_SHARED_CREDENTIALS_FILE
    install -d -m 0700 -- "$RESTIC_CACHE_DIR"
}

# The last thing restic said that is worth telling.
last_line() { grep -v '^ *$' <<<"$1" | tail -n 1; }

# Open the repository: no locks of dead runs are left in it. Its status: 0 open, 1 there is none.
find_repository() {
    local said
    # What a killed run left goes; a lock of one that lives stays.
    if said=$(restic unlock --quiet 2>&1); then return 0; fi
    is_repository "$said"
}

# Whether there is a repository, by what restic said when it did not open; one that is there and does not open is told.
is_repository() {
    if [[ $1 == *'Is there a repository at the following location'* ]]; then return 1; fi
    fail "the repository $RESTIC_REPOSITORY does not open: $(last_line "$1")"
}

# Open the repository, or make it where there is none.
open_repository() {
    if find_repository; then return 0; fi
    if ! restic init; then fail "the repository $RESTIC_REPOSITORY can be neither opened nor made"; fi
}

# Run restic; while another run holds the repository, wait and try again. Its status is restic's.
patiently() {
    local deadline=$((SECONDS + REPOSITORY_WAIT_SECONDS)) said status
    while true; do
        status=0
        { said=$(restic "$@" 2>&1 >&3 3>&-) || status=$?; } 3>&1
        if ((status == 0)); then return 0; fi
        if [[ $said != *'already locked'* ]] || ((SECONDS >= deadline)); then
            printf '%s\n' "$said" >&2
            return "$status"
        fi
        sleep "$REPOSITORY_PAUSE_SECONDS"
        # A run that died since leaves its lock; restic takes those away, and only those.
        restic unlock --quiet || true
    done
}
