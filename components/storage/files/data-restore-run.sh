# shellcheck shell=bash
# Bring file systems, or parts of them, back from snapshots of this host or from the repository.
# Comes after repository.sh and data-views.sh. `labctl restore` sends it with the values below and calls it; at the
# host's own console it is research-compute-data-restore (data-restore.sh).
#
# Values: WHAT (list, one, everything), DATASET, SUB_PATH (empty: all of it), SOURCE (local, repository), COPY (name of
# a snapshot or id of a copy), LABEL (of the folder that is made), IN_PLACE, IS_DATABASE, DRY_RUN.
# What a program reads is lines on standard output, their fields separated by tabs; the first says what it is.

# Folder, in the file system itself, in which files arrive; only root looks into it.
readonly ARRIVING=.research-compute-arriving
# The same, when all have arrived that are to take the others' place.
readonly ARRIVED=.research-compute-arrived
# Beginning of the name of the snapshot that is taken before anything is replaced. It stays.
readonly BEFORE=research-compute-before-restore
# Property of a file system that is being restored as a whole.
readonly UNDER_WAY=research-compute:restoring
# The same, when it has been: the copy it comes from.
readonly COMES_FROM=research-compute:restored-from
# Seconds between two words about how far it is.
readonly PROGRESS_SECONDS=2

report() {
    local IFS=$'\t'
    printf '%s\n' "$*"
}

# --- what there is ---------------------------------------------------------------------------------------------------

list() {
    local name names=() said
    if [[ -n $DATASET ]] && zfs list -H -o name "$DATASET" >/dev/null 2>&1; then
        while IFS= read -r name; do
            if [[ $name == *@* && $name != *"@$BACKUP_SNAPSHOT"* ]]; then names+=("$name"); fi
        done < <(zfs list -H -d 1 -t snapshot -o name "$DATASET" 2>/dev/null)
        report there "$DATASET"
    fi
    if ((${#names[@]})); then
        printf '%s\0' "${names[@]}" | xargs -0 -n "$NAMES_AT_ONCE" zfs get -Hp -o name,property,value creation,referenced |
            sed 's/^/local\t/'
    fi
    report host "$(uname -n)"
    if [[ ! -f $BACKUP_SETTINGS ]]; then
        report no-repository 'backups are not set up on this host'
        return 0
    fi
    open_settings
    report of "$BACKUP_OF"
    if said=$(patiently snapshots --quiet --json --tag "$DATA_TAG" 2>&1); then
        report repository "$said"
    elif ! is_repository "$said"; then
        report no-repository 'there is no repository yet'
    fi
}

# --- the two sources ---------------------------------------------------------------------------------------------------

# Have what is wanted of a copy arrive in the working folder, at NAME OF THE FILE SYSTEM/PATH.
fetch() {
    local name from way
    name=$(copy_name "$DATASET")
    if [[ $SOURCE == local ]]; then
        from=$VIEW_FOLDER/$name${SUB_PATH:+/$SUB_PATH}
        way=$name${SUB_PATH:+/$SUB_PATH}
        mkdir -p -- "$(dirname -- "./$way")"
        cp -a --sparse=auto --reflink=auto -T -- "$from" "./$way"
    else
        # By the shell's own working folder: whoever renames it while files arrive does not lead them elsewhere.
        get_from_repository "/proc/$$/cwd" "/$name${SUB_PATH:+/$SUB_PATH}"
        if [[ ! -e ./$name${SUB_PATH:+/$SUB_PATH} && ! -L ./$name${SUB_PATH:+/$SUB_PATH} ]]; then nothing_there; fi
    fi
}

# Have restic restore some paths of the copy: get_from_repository FOLDER PATH...
get_from_repository() {
    local folder=$1 path arguments=()
    shift
    for path in "$@"; do arguments+=(--include "$(as_pattern "$path")"); done
    patiently restore --quiet "$COPY" --target "$folder" "${arguments[@]}" >/dev/null ||
        fail "not all of the copy $COPY could be restored"
}

# What means something in a pattern is to mean itself.
as_pattern() {
    local path=$1 sign
    # shellcheck disable=SC1003 # a backslash is meant
    for sign in '\' '[' ']' '*' '?'; do path=${path//"$sign"/"\\$sign"}; done
    printf '%s' "$path"
}

nothing_there() { refuse "the copy $COPY has no ${SUB_PATH:+$SUB_PATH in }$DATASET"; }

# Number of files and of bytes that would come.
count() {
    local name from
    name=$(copy_name "$DATASET")
    if [[ $SOURCE == local ]]; then
        from=$VIEW_FOLDER/$name${SUB_PATH:+/$SUB_PATH}
        if [[ ! -e $from && ! -L $from ]]; then nothing_there; fi
        find "$from" -type f -printf '%s\n' | total
    else
        patiently ls --quiet --json "$COPY" "/$name${SUB_PATH:+/$SUB_PATH}" |
            sed -n '/"type":"file"/s/.*"size":\([0-9]*\).*/\1/p' | total
    fi
}

total() { awk '{ files++; bytes += $1 } END { printf "%d\t%.0f\n", files, bytes }'; }

# --- one ---------------------------------------------------------------------------------------------------------------

restore_one() {
    local files bytes free
    if [[ $SOURCE == local && $COPY != "$DATASET@"* ]]; then refuse "$COPY is no snapshot of $DATASET"; fi
    if ! zfs list -H -o name "$DATASET" >/dev/null 2>&1 || is_under_way "$DATASET"; then
        if [[ $SOURCE == local || -n $SUB_PATH ]]; then
            refuse "there is no file system $DATASET: restore all of it, from the repository, first"
        fi
        restore_missing
        return
    fi
    TARGET=$(mounted_at "$DATASET") || refuse "the file system $DATASET is not mounted"
    if [[ $IN_PLACE == true && -e $TARGET/$ARRIVED ]]; then
        report note "everything had arrived before; going on from there"
    else
        require_place
        if [[ $SOURCE == local ]]; then show_snapshot "$COPY" "$VIEW_FOLDER/$(copy_name "$DATASET")"; fi
        count >"$BACKUP_WORK/count" || refuse "the copy $COPY cannot be read"
        IFS=$'\t' read -r files bytes <"$BACKUP_WORK/count"
        free=$(zfs get -Hp -o value available "$DATASET")
        report counted "$files" "$bytes"
        if ((bytes >= free)); then
            refuse "$bytes bytes would come, and $DATASET has room for $free: raise its quota, or restore a part (--path)"
        fi
        if [[ $DRY_RUN == true ]]; then
            report would "$(destination)"
            return 0
        fi
        watch_progress "$DATASET"
        enter "$TARGET"
        rm -rf --one-file-system -- "./$ARRIVING"
        mkdir -m 0700 -- "./$ARRIVING"
        enter "$TARGET/$ARRIVING"
        fetch
        if [[ $IS_DATABASE == true ]]; then check_databases; fi
        sync -f .
    fi
    if [[ $IN_PLACE == true ]]; then replace; else put_beside; fi
    end_progress
}

# Where it would be put.
destination() {
    if [[ $IN_PLACE == true ]]; then
        printf '%s' "$TARGET${SUB_PATH:+/$SUB_PATH}"
    else
        printf '%s' "$TARGET/$LABEL${SUB_PATH:+/$SUB_PATH}"
    fi
}

# Refuse to write over anything.
require_place() {
    local place
    place=$(destination)
    if [[ $IN_PLACE == false && (-e $place || -L $place) ]]; then refuse "$place is there already: it was restored before"; fi
}

# Make a folder the working one, by what it is and not by a name: owners of a home may put a link in its place at any
# moment, and root must not follow it. Everything is then done by paths that begin with a dot.
enter() {
    cd -P -- "$1" || fail "there is no folder $1"
    if [[ $(readlink -- "/proc/$$/cwd") != "$1" ]]; then refuse "$1 is, or lies behind, a link"; fi
}

# Make the folder that a path lies in the working one; what is missing on the way is made, and owned as the top is.
enter_parent() {
    local place=$1 part way
    enter "$TARGET"
    way=${place#"$TARGET/"}
    while [[ $way == */* ]]; do
        part=${way%%/*}
        way=${way#*/}
        if [[ ! -e ./$part && ! -L ./$part ]]; then
            mkdir -- "./$part"
            own "./$part"
        fi
        enter "$PWD/$part"
    done
}

# A folder owned as the top is.
own() {
    chown --no-dereference --reference="$TARGET" -- "$1"
    chmod --reference="$TARGET" -- "$1"
}

put_beside() {
    local name chosen=$LABEL number=1 way part
    name=$(copy_name "$DATASET")
    # Folders on the way to what was asked for came without their owners.
    if [[ -n $SUB_PATH ]]; then
        own "./$name"
        way=./$name
        part=$SUB_PATH
        while [[ $part == */* ]]; do
            way+=/${part%%/*}
            part=${part#*/}
            own "$way"
        done
    fi
    # Another part of the same copy was restored before.
    while [[ -e $TARGET/$chosen || -L $TARGET/$chosen ]]; do
        number=$((number + 1))
        chosen=$LABEL-$number
    done
    mv -nT -- "./$name" "$TARGET/$chosen"
    enter "$TARGET"
    rmdir -- "./$ARRIVING"
    report restored "$DATASET" "$TARGET/$chosen${SUB_PATH:+/$SUB_PATH}"
}

# What has arrived takes the place of what is there, of which a snapshot stays.
replace() {
    local from now
    enter "$TARGET"
    if [[ ! -e ./$ARRIVED ]]; then
        now=$(date -u +%Y%m%dT%H%M%SZ)
        zfs snapshot "$DATASET@$BEFORE-$now"
        report kept "$DATASET@$BEFORE-$now"
        mv -T -- "./$ARRIVING" "./$ARRIVED"
        sync -f .
    fi
    enter "$TARGET/$ARRIVED"
    exec 8<.
    from=/proc/$$/fd/8/$(copy_name "$DATASET")${SUB_PATH:+/$SUB_PATH}
    if [[ -n $SUB_PATH ]]; then
        enter_parent "$(destination)"
        # Gone already where a run was cut off right after the last step.
        if [[ -e $from || -L $from ]]; then
            rm -rf --one-file-system -- "./${SUB_PATH##*/}"
            mv -T -- "$from" "./${SUB_PATH##*/}"
        fi
    else
        enter "$TARGET"
        replace_all "$from"
    fi
    enter "$TARGET"
    # Everything that is moved changes the time of the folder it is moved from or to.
    now=$(cat -- "/proc/$$/fd/8/time" 2>/dev/null || true)
    rm -rf --one-file-system -- "./$ARRIVED"
    if [[ -n $now ]]; then touch --date="$now" .; fi
    exec 8<&-
    report restored "$DATASET" "$(destination)"
}

# Entry by entry, so that a run that is cut off goes on: what has moved already is not among what has arrived any more,
# and is told from what was there before by a list.
replace_all() {
    local from=$1 list=/proc/$$/fd/8/names entry
    local -A wanted=()
    shopt -s dotglob nullglob
    if [[ ! -e $list ]]; then
        stat -c %y -- "$from" >/proc/$$/fd/8/time
        for entry in "$from"/*; do printf '%s\0' "${entry##*/}"; done >"$list.part"
        mv -T -- "$list.part" "$list"
    fi
    while IFS= read -r -d '' entry; do wanted[$entry]=1; done <"$list"
    for entry in ./*; do
        entry=${entry#./}
        # Other file systems beneath this one are none of its content.
        if [[ $entry == "$ARRIVED" ]] || mountpoint --quiet -- "./$entry"; then continue; fi
        if [[ -e $from/$entry || -L $from/$entry || -z ${wanted[$entry]:-} ]]; then
            rm -rf --one-file-system -- "./$entry"
        fi
    done
    for entry in "$from"/*; do
        if ! mountpoint --quiet -- "./${entry##*/}"; then mv -T -- "$entry" "./${entry##*/}"; fi
    done
    shopt -u dotglob nullglob
    # Owner, mode and attributes of the top folder itself.
    find "$from/" -mindepth 1 -delete
    cp -a -T -- "$from" .
}

# Refuse a database that is damaged. A copy of it is looked at: looking finishes or undoes what was under way in it.
check_databases() {
    local database folder said
    folder=$(mktemp -d)
    while IFS= read -r -d '' database; do
        find "$(dirname -- "$database")" -maxdepth 1 -name "$(basename -- "$database")*" -exec cp -t "$folder" -- {} +
        said=$(integrity "$folder/$(basename -- "$database")")
        rm -rf -- "${folder:?}"/*
        case $said in
            ok) report note "$(basename -- "$database") is whole (PRAGMA integrity_check)" ;;
            '') report note "$(basename -- "$database") was not looked at: this host has neither sqlite3 nor python3" ;;
            *)
                rm -rf -- "$folder"
                refuse "the copy's $(basename -- "$database") is damaged: $said"
                ;;
        esac
    done < <(find . -name '*.sqlite' -type f -print0)
    rm -rf -- "$folder"
}

integrity() {
    local check='PRAGMA integrity_check'
    if command -v sqlite3 >/dev/null; then
        sqlite3 "$1" "$check" 2>&1 | head -n 1 || true
    elif command -v python3 >/dev/null; then
        python3 -c '
import sqlite3, sys
try:
    print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])
except sqlite3.Error as error:
    print(error)
' "$1" "$check"
    fi
}

# --- how far it is -----------------------------------------------------------------------------------------------------

# Say every few seconds how much has been written to file systems: watch_progress NAME...
watch_progress() {
    local before
    before=$(used_by "$@")
    {
        # Ends with the run, however that ends.
        while sleep "$PROGRESS_SECONDS" && kill -0 "$$" 2>/dev/null; do
            report progress "$(($(used_by "$@") - before))" 2>/dev/null || exit 0
        done
    } 9>&- &
    WATCHER=$!
}

used_by() { zfs get -Hp -o value referenced "$@" | awk '{ sum += $1 } END { printf "%.0f\n", sum }'; }

end_progress() {
    if [[ -n ${WATCHER:-} ]]; then kill "$WATCHER" 2>/dev/null || true; fi
    WATCHER=''
}

finish() {
    cd /
    end_progress
    # What has not arrived to the end is of no use to anybody.
    if [[ -n ${TARGET:-} ]]; then rm -rf --one-file-system -- "${TARGET:?}/$ARRIVING"; fi
    clear_views
}

run_restore() {
    if [[ $WHAT != list ]]; then
        RUN_WAIT_SECONDS=10 take_turn
        clear_views
        trap finish EXIT
        trap 'exit 130' INT TERM HUP
    fi
    if [[ $SOURCE == repository && $WHAT != list ]]; then
        open_settings
    fi
    case $WHAT in
        list) list ;;
        one) restore_one ;;
        everything) restore_everything ;;
    esac
}
