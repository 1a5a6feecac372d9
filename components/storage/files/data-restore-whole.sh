# shellcheck shell=bash
# File systems that are restored as a whole: one that is gone, or everything onto a new pool.
# Comes after data-restore-run.sh.

# File systems restored by one run of restic: what is done stays done when a run is cut off, and the repository is not
# opened once for each of a thousand homes.
readonly DATASETS_AT_ONCE=32
# Properties that say what a file system is; they cannot be set.
readonly FIXED_PROPERTIES=' encryption keyformat keylocation pbkdf2iters utf8only normalization casesensitivity volsize '

restore_missing() {
    get_manifest
    if [[ -z ${KNOWN[$DATASET]:-} ]]; then refuse "the copy $COPY has no file system $DATASET"; fi
    require_pool "$DATASET"
    if [[ $DRY_RUN == true ]]; then
        report would-make "$DATASET" "$(manifest_value "$DATASET" referenced)"
        return 0
    fi
    make_dataset "$DATASET" true
    restore_batch "$DATASET"
    tell_server
}

restore_everything() {
    local name state batch=() skipped=0
    get_manifest
    for name in "${NAMES[@]}"; do require_pool "$name"; done
    require_room
    for name in "${NAMES[@]}"; do
        state=$(state_of "$name")
        case $state in
            restored)
                report already "$name"
                continue
                ;;
            full)
                report skipped "$name" 'it has files, or is not mounted; restore it by its own name'
                skipped=1
                continue
                ;;
        esac
        if [[ $DRY_RUN == true ]]; then
            report would-make "$name" "$(manifest_value "$name" referenced)"
            continue
        fi
        if [[ $state == missing ]]; then make_dataset "$name" true; else zfs set "$UNDER_WAY=$COPY" "$name"; fi
        batch+=("$name")
    done
    if [[ $DRY_RUN == true ]]; then return 0; fi
    local index
    for ((index = 0; index < ${#batch[@]}; index += DATASETS_AT_ONCE)); do
        restore_batch "${batch[@]:index:DATASETS_AT_ONCE}"
    done
    tell_server
    # Now they are what was backed up: backups go on.
    install -d -m 0700 -- "$BACKUP_WORK"
    if ((skipped == 0)); then accept_pools; else report pools-not-accepted; fi
}

# What the file systems of the copy were like: KNOWN, and NAMES with each after the one it lies in.
get_manifest() {
    local name
    declare -gA KNOWN=() PROPERTIES=()
    local property value source
    patiently dump --quiet "$COPY" "/$MANIFEST" >"$BACKUP_WORK/$MANIFEST" ||
        refuse "the copy $COPY cannot be read from $RESTIC_REPOSITORY"
    while IFS=$'\t' read -r name property value source; do
        KNOWN[$name]=1
        if [[ $property == referenced ]]; then PROPERTIES[$name/$property]=$value; fi
    done <"$BACKUP_WORK/$MANIFEST"
    mapfile -t NAMES < <(printf '%s\n' "${!KNOWN[@]}" | sort)
}

manifest_value() { printf '%s' "${PROPERTIES[$1/$2]:-0}"; }

require_pool() {
    if ! zpool list -H -o name "${1%%/*}" >/dev/null 2>&1; then
        refuse "$1 cannot be made: this host has no pool ${1%%/*}; bring it up first (labctl up)"
    fi
}

require_room() {
    local pool name needed free
    while read -r pool; do
        needed=0
        for name in "${NAMES[@]}"; do
            if [[ ${name%%/*} == "$pool" && $(state_of "$name") =~ ^(missing|empty)$ ]]; then
                needed=$((needed + $(manifest_value "$name" referenced)))
            fi
        done
        free=$(zfs get -Hp -o value available "$pool")
        report counted "$pool" "$needed"
        if ((needed >= free)); then refuse "$needed bytes would come, and the pool $pool has room for $free"; fi
    done < <(printf '%s\n' "${NAMES[@]%%/*}" | sort -u)
}

# Properties of one's own are inherited: only one that was set on the file system itself counts.
is_under_way() { [[ -n $(zfs get -H -s local -o value "$UNDER_WAY" "$1" 2>/dev/null) ]]; }

# missing, empty (or half restored), restored (from the same copy, by a run before), or full. Folders alone are what
# other file systems are mounted on.
state_of() {
    local folder
    if ! zfs list -H -o name "$1" >/dev/null 2>&1; then
        printf missing
    elif is_under_way "$1"; then
        printf empty
    elif [[ $(zfs get -H -s local -o value "$COMES_FROM" "$1") == "$COPY" ]]; then
        printf restored
    elif folder=$(mounted_at "$1") && [[ -z $(find "$folder" -xdev ! -type d -print -quit) ]]; then
        printf empty
    else
        printf full
    fi
}

# A file system with the properties it had; what this host's ZFS does not know is said and left out: make_dataset NAME
# IS_RESTORED (whether its files are to come, too).
make_dataset() {
    local name=$1 is_restored=$2 parent=${1%/*} property value
    if zfs list -H -o name "$name" >/dev/null 2>&1; then return 0; fi
    if [[ $parent == */* ]]; then make_dataset "$parent" false; fi
    if [[ $is_restored == true ]]; then zfs create -o "$UNDER_WAY=$COPY" "$name"; else zfs create "$name"; fi
    while IFS=$'\t' read -r _ property value _; do
        if [[ $property == used || $property == referenced ]]; then continue; fi
        if [[ $property == "$UNDER_WAY" || $property == "$COMES_FROM" ]]; then continue; fi
        if [[ $FIXED_PROPERTIES == *" $property "* ]]; then continue; fi
        if ! zfs set "$property=$value" "$name" 2>/dev/null; then report note "$name: left out $property=$value"; fi
    done < <(awk -F '\t' -v name="$name" '$1 == name' "$BACKUP_WORK/$MANIFEST")
    report made "$name"
}

# nfs-ganesha sees file systems that are new only when it reads its exports again; the kernel's server sees them.
tell_server() {
    if systemctl is-active --quiet nfs-ganesha.service; then systemctl reload nfs-ganesha.service; fi
}

# File systems that are restored as a whole, by one run of restic.
restore_batch() {
    local name folder place paths=()
    place=$VIEW_FOLDER
    for name in "$@"; do
        folder=$(mounted_at "$name") || { zfs mount "$name" && folder=$(mounted_at "$name"); } || fail "$name cannot be mounted"
        # What a run that was cut off has left.
        find "$folder" -xdev -mindepth 1 ! -type d -delete
        mkdir -p -- "$place/$(copy_name "$name")"
        mount --bind -- "$folder" "$place/$(copy_name "$name")"
        paths+=("/$(copy_name "$name")")
    done
    watch_progress "$@"
    get_from_repository "$place" "${paths[@]}"
    end_progress
    for name in "$@"; do
        folder=$(mounted_at "$name")
        sync -f -- "$folder"
        umount -- "$place/$(copy_name "$name")"
        zfs set "$COMES_FROM=$COPY" "$name"
        zfs inherit "$UNDER_WAY" "$name"
        report restored "$name" "$folder"
    done
}
