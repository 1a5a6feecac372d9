# shellcheck shell=bash
# Snapshots of file systems as folders that can be read: what backing data up and restoring it have in common.
# Comes after repository.sh.

: "${BACKUP_SETTINGS:=/etc/research-compute/data-backup/settings}"
: "${BACKUP_WORK:=/var/lib/research-compute/data-backup}"
: "${VIEW_FOLDER:=/run/research-compute/data-views}"
# Seconds that another run on this host is waited for.
: "${RUN_WAIT_SECONDS:=60}"
# Beginning of the name of the snapshots that backups are made from; nothing else may have it.
readonly BACKUP_SNAPSHOT=research-compute-backup
# File system, in every pool, beneath which snapshots are shown where they cannot be mounted as they are.
readonly VIEWS=research-compute-views
# Tag of the copies of data in a repository, which may hold others' as well.
readonly DATA_TAG=research-compute-data
# Seconds that something may still be used after whoever used it has ended.
readonly BUSY_SECONDS=30
# File systems or snapshots that one command is told about.
readonly NAMES_AT_ONCE=200
# File in every copy that says what the file systems were like: lines of file system, property, value, source.
readonly MANIFEST=manifest.tsv

# One backup or restore on a host at a time.
take_turn() {
    install -d -m 0700 -- "$BACKUP_WORK"
    exec 9>>"$BACKUP_WORK/lock"
    if ! flock --wait "$RUN_WAIT_SECONDS" 9; then
        printf 'failed: another backup or restore is under way on this host\n' >&2
        exit 75
    fi
}

# The folder that a file system has in a copy: names of file systems never have a plus.
copy_name() { printf '%s' "${1//\//+}"; }

# Have a snapshot appear as a folder that cannot be written to: show_snapshot SNAPSHOT FOLDER
# Mounting it costs nothing. Where that cannot be (ZFS in user space), a clone of it does the same.
show_snapshot() {
    local snapshot=$1 folder=$2 pool clone
    mkdir -p -- "$folder"
    if mount -t zfs -o ro -- "$snapshot" "$folder" 2>/dev/null; then return 0; fi
    pool=${snapshot%%[/@]*}
    if ! zfs list -H -o name "$pool/$VIEWS" >/dev/null 2>&1; then
        zfs create -o canmount=off -o mountpoint=none "$pool/$VIEWS"
    fi
    SHOWN=$((${SHOWN:-0} + 1))
    clone=$pool/$VIEWS/$SHOWN
    zfs clone -o readonly=on -o canmount=noauto -o mountpoint="$folder" "$snapshot" "$clone"
    # Some mount it although it is not to be mounted by itself.
    mounted_at "$clone" >/dev/null || zfs mount "$clone"
}

# End all that is shown, of this run or of one that was cut off.
clear_views() {
    local pool path
    while read -r pool; do
        if zfs list -H -o name "$pool/$VIEWS" >/dev/null 2>&1; then
            wait_until "$BUSY_SECONDS" "$pool/$VIEWS to be destroyed" zfs destroy -r "$pool/$VIEWS"
        fi
    done < <(zpool list -H -o name)
    if [[ ! -e $VIEW_FOLDER ]]; then return 0; fi
    # The deepest first.
    while IFS= read -r path; do
        wait_until "$BUSY_SECONDS" "$path to be unmounted" umount -- "$path"
    done < <(mounted_below "$VIEW_FOLDER")
    # Nothing is mounted there any more; should anything be, it is not followed.
    rm -rf --one-file-system -- "$VIEW_FOLDER"
}

mounted_below() {
    local path
    # Spaces are written as \040 in mountinfo.
    while read -r _ _ _ _ path _; do
        path=$(printf '%b' "$path")
        if [[ $path == "$1"/* ]]; then printf '%s\n' "$path"; fi
    done </proc/self/mountinfo | sort -r
}

# The folder a file system is mounted at now; status 1 where it is not.
mounted_at() {
    local mounted folder
    mounted=$(zfs get -H -o value mounted "$1" 2>/dev/null) || return 1
    folder=$(zfs get -H -o value mountpoint "$1")
    if [[ $mounted != yes || $folder != /* ]]; then return 1; fi
    printf '%s' "$folder"
}

# Pool and identity, a line of POOL=GUID for each of the pools that the file systems lie in.
pool_identities() {
    local name
    for name in "$@"; do printf '%s\n' "${name%%/*}"; done | sort -u | while read -r name; do
        printf '%s=%s\n' "$name" "$(zpool get guid "$name" | awk '$2 == "guid" { print $3 }')"
    done
}

accept_pools() { pool_identities "${DATASETS[@]}" >"$BACKUP_WORK/pools"; }

# The newest copy's pools, as pool_identities gives them; nothing where there is no copy of this host's.
copied_identities() {
    restic snapshots --quiet --json --host "$BACKUP_OF" --tag "$DATA_TAG" --latest 1 |
        grep -o '"pool:[^"]*"' | sed 's/^"pool:\(.*\)"$/\1/' | sort -u || true
}
