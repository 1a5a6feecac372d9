# shellcheck shell=bash
# Back up the file systems of homes, groups and shared folders: research-compute-data-backup [MODE]
# Comes after repository.sh and data-views.sh. The settings say DATASETS, BACKUP_OF and KEEP_DAILY, _WEEKLY, _MONTHLY.

# The repository is read through in a year, a part of it each week.
readonly PARTS_OF_REPOSITORY=52

usage() {
    cat <<'USAGE'
usage: research-compute-data-backup [--verify | --prove | --accept-pools]

                 make a copy now
--verify         read a part of the repository through, and free what no copy needs any more
--prove          open the repository, or make it, and do nothing else
--accept-pools   go on with pools that are not those of the newest copy: what is in them now is meant
USAGE
}

# Refuse a repository that would go down with what it protects.
require_elsewhere() {
    local name pool
    if [[ $RESTIC_REPOSITORY != /* ]]; then return 0; fi
    if [[ ! -d $RESTIC_REPOSITORY ]]; then refuse "there is no folder $RESTIC_REPOSITORY: mount it first"; fi
    pool=$(findmnt --noheadings --output SOURCE --target "$RESTIC_REPOSITORY" || true)
    for name in "${DATASETS[@]}"; do
        if [[ ${pool%%/*} == "${name%%/*}" ]]; then
            refuse "$RESTIC_REPOSITORY lies in the pool ${pool%%/*}: a backup must not be lost with what it is of"
        fi
    done
    if [[ $(stat -c %d -- "$RESTIC_REPOSITORY") == "$(stat -c %d /)" ]]; then
        refuse "$RESTIC_REPOSITORY lies on this host's own disk: mount a directory of another machine there"
    fi
}

# Refuse to go on with a pool that is not the one the newest copy is of. After the loss of a pool its successor is
# empty: its copies would take the place of those that everything has to be restored from.
require_known_pools() {
    local known now
    now=$(pool_identities "${DATASETS[@]}")
    if [[ -f $BACKUP_WORK/pools && $(<"$BACKUP_WORK/pools") == "$now" ]]; then return 0; fi
    known=$(copied_identities)
    if [[ -n $known && $known != "$now" ]]; then
        refuse "the pools of this host ($(tr '\n' ' ' <<<"$now")) are not those of the newest copy" \
            "($(tr '\n' ' ' <<<"$known")). Restore first (labctl restore everything); or, if what is in them now is" \
            'meant, run research-compute-data-backup --accept-pools on this host'
    fi
    accept_pools
}

# No snapshots of runs before.
clear_snapshots() {
    local pool name
    while read -r pool; do
        while read -r name; do
            if [[ $name == "$pool@$BACKUP_SNAPSHOT"* ]]; then destroy_snapshot -r "$name"; fi
        done < <(zfs list -H -d 1 -t snapshot -o name "$pool")
        # A run that was cut off may have kept some of them only.
        while read -r name; do
            if [[ $name == *"@$BACKUP_SNAPSHOT"* ]]; then destroy_snapshot "$name"; fi
        done < <(zfs list -H -r -t snapshot -o name "$pool")
    done < <(pool_names)
}

destroy_snapshot() { wait_until "$BUSY_SECONDS" "${!#} to be destroyed" zfs destroy "$@"; }

pool_names() { printf '%s\n' "${DATASETS[@]%%/*}" | sort -u; }

# All of a pool at one moment; SNAPSHOTS are those of what is backed up. The others are not held any longer than that:
# scratch space that is freed meanwhile is to be free.
take_snapshots() {
    local pool name label=$BACKUP_SNAPSHOT-$1
    local -A wanted=()
    SNAPSHOTS=()
    while read -r pool; do zfs snapshot -r "$pool@$label"; done < <(pool_names)
    # Volumes have no files.
    while IFS= read -r name; do wanted[$name]=1; done < <(zfs list -H -r -t filesystem -o name "${DATASETS[@]}")
    while read -r pool; do
        while IFS= read -r name; do
            if [[ $name != *"@$label" ]]; then continue; fi
            if [[ -n ${wanted[${name%@*}]:-} ]]; then SNAPSHOTS+=("$name"); else zfs destroy "$name"; fi
        done < <(zfs list -H -r -t snapshot -o name "$pool")
    done < <(pool_names)
    if ((${#SNAPSHOTS[@]} == 0)); then refuse "none of these file systems is there: ${DATASETS[*]}"; fi
}

# What the file systems are like, for one that has to be made anew.
write_manifest() {
    local columns=name,property,value,source
    printf '%s\0' "${SNAPSHOTS[@]%@*}" | xargs -0 -n "$NAMES_AT_ONCE" zfs get -Hp -o "$columns" used,referenced
    printf '%s\0' "${SNAPSHOTS[@]%@*}" | xargs -0 -n "$NAMES_AT_ONCE" zfs get -Hp -s local,received -o "$columns" all
}

back_up() {
    local name moment
    moment=$(date -u +%Y%m%dT%H%M%SZ)
    clear_views
    clear_snapshots
    trap 'clear_views; clear_snapshots' EXIT
    take_snapshots "$moment"
    for name in "${SNAPSHOTS[@]}"; do show_snapshot "$name" "$VIEW_FOLDER/$(copy_name "${name%@*}")"; done
    write_manifest >"$VIEW_FOLDER/$MANIFEST"
    cd -- "$VIEW_FOLDER" || fail "$VIEW_FOLDER is gone"
    local tags=()
    while read -r name; do tags+=(--tag "pool:$name"); done < <(pool_identities "${DATASETS[@]}")
    patiently backup --quiet --host "$BACKUP_OF" --tag "$DATA_TAG" "${tags[@]}" \
        --time "${moment:0:4}-${moment:4:2}-${moment:6:2} ${moment:9:2}:${moment:11:2}:${moment:13:2}" --exclude-caches . ||
        fail 'no copy, or not a complete one, was made'
    cd /
    # The last few are kept in any case: of several made within one day, all but one would go.
    patiently forget --quiet --host "$BACKUP_OF" --tag "$DATA_TAG" --group-by host \
        --keep-last 3 --keep-daily "$KEEP_DAILY" --keep-weekly "$KEEP_WEEKLY" --keep-monthly "$KEEP_MONTHLY"
    date -u +%Y-%m-%dT%H:%M:%SZ >"$BACKUP_WORK/last-success"
}

verify() {
    patiently prune --quiet
    # The week's number has a leading zero, and is not octal.
    patiently check --quiet --read-data-subset="$((10#$(date -u +%V) % PARTS_OF_REPOSITORY + 1))/$PARTS_OF_REPOSITORY"
}

case ${1:-} in
    '' | --verify | --prove | --accept-pools) ;;
    --help | -h)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 64
        ;;
esac
open_settings
take_turn
if [[ ${1:-} == --accept-pools ]]; then
    accept_pools
    exit 0
fi
require_elsewhere
open_repository
case ${1:-} in
    --verify) verify ;;
    --prove) require_known_pools ;;
    *)
        require_known_pools
        back_up
        ;;
esac
