# shellcheck shell=bash
# The file systems of a storage host: made, with their properties, and whose their top folder is. What is in them is
# never touched, and none is ever destroyed.
#
# Values: DATASETS, one per file system, each after the one it lies in:
# NAME KIND UID GID MODE READERS WRITERS [NAME=VALUE]...   (READERS, WRITERS: group ids with commas, or -)

readonly OWN_KIND=research-compute:kind

desired() {
    local line
    for line in "${DATASETS[@]}"; do
        # shellcheck disable=SC2086 # no value has a blank
        want_dataset $line
    done
    say_what_stays
}

undo() { log 'every file system stays, with all that is in it (zfs destroy is left to people)'; }

want_dataset() {
    local name=$1 kind=$2 uid=$3 gid=$4 mode=$5 readers=$6 writers=$7 item
    local -a arguments=() names=()
    shift 7
    if ! exists "$name"; then
        require_free_place "$name"
        changed "dataset $name"
        if checking; then return 0; fi
        for item in "$@"; do
            arguments+=(-o "$item")
            names+=("${item%%=*}")
        done
        # All at once: at no moment is there one without its quota.
        zfs create -p -o "$OWN_KIND=$kind" -o "$OWN_PROPERTIES=${names[*]}" "${arguments[@]}" "$name" ||
            fail "zfs create of $name gave up"
    fi
    want_properties "$name" "$@"
    if [[ $(zfs get -H -s local -o value "$OWN_KIND" "$name") != "$kind" ]]; then
        # Somebody else made it, or an earlier version of this program.
        changed "property $OWN_KIND=$kind of $name"
        act zfs set "$OWN_KIND=$kind" "$name"
    fi
    want_place "$name"
    if ! is_in_place "$name"; then return 0; fi
    want_top_folder "/$name" "$uid" "$gid" "$mode" "$readers" "$writers"
}

exists() {
    local type
    command -v zfs >/dev/null || return 1
    type=$(zfs get -H -o value type "$1" 2>/dev/null) || return 1
    if [[ $type != filesystem ]]; then refuse "$1 is a $type, and should be a file system: give the folder another path"; fi
}

# Files where a file system is to be mounted would disappear beneath it.
require_free_place() {
    if [[ -n $(ls -A -- "/$1" 2>/dev/null) ]]; then
        refuse "/$1 is a folder with files in it, and should be a file system of its own: move it away" \
            "(mv /$1 /$1.before), run again, and move what is in it back"
    fi
}

# Mounted where its name says.
want_place() {
    if [[ $(zfs get -H -o value mountpoint "$1") != "/$1" ]]; then
        changed "mountpoint of $1"
        act zfs set "mountpoint=/$1" "$1" || fail "$1 cannot be mounted at /$1"
    fi
    if [[ $(zfs get -H -o value mounted "$1") != yes ]]; then
        if ! checking; then require_free_place "$1"; fi
        changed "mounted $1"
        act zfs mount "$1" || fail "$1 cannot be mounted at /$1"
    fi
}

is_in_place() { [[ $(findmnt --noheadings --first-only --output SOURCE --mountpoint "/$1" 2>/dev/null) == "$1" ]]; }

# Owner, mode and access list of the top folder: want_top_folder PATH UID GID MODE READERS WRITERS
want_top_folder() {
    local path=$1 owner="$2:$3" mode=$4 wanted has
    wanted=$(access_list "$mode" "$5" "$6")
    if [[ $(stat -c '%u:%g' -- "$path") != "$owner" ]]; then
        changed "owner $owner of $path"
        act chown -- "$owner" "$path"
    fi
    if [[ -z $wanted ]]; then
        if has_list "$path"; then
            changed "no access list on $path"
            act setfacl --remove-all -- "$path"
        fi
        if [[ $(stat -c '%a' -- "$path") != "${mode#0}" ]]; then
            changed "mode $mode of $path"
            act chmod -- "$mode" "$path"
        fi
        return 0
    fi
    # With a list the group bits of the mode are its mask, so only what stands before the nine bits is the mode's.
    has=000$(stat -c '%a' -- "$path")
    if [[ ${has: -4:1} != "${mode:0:1}" ]]; then
        changed "mode $mode of $path"
        act chmod -- "$mode" "$path"
    fi
    if [[ $(list_of "$path") == "$wanted" ]]; then return 0; fi
    changed "access list of $path"
    if checking; then return 0; fi
    setfacl --set-file=- -- "$path" <<<"$wanted" || fail "the access list of $path cannot be set (acltype of its dataset?)"
}

list_of() { getfacl --absolute-names --numeric --omit-header -- "$1" 2>/dev/null | grep . || true; }

has_list() { command -v getfacl >/dev/null && list_of "$1" | grep -Eq '^(default:|mask:|(user|group):[0-9]+:)'; }

# The access list as getfacl prints it, or nothing where the mode says all: access_list MODE READERS WRITERS. What is
# made in the folder later gets the same list.
access_list() {
    local mode=$1 readers=$2 writers=$3 id entries='' list other group
    if [[ $readers == - && $writers == - ]]; then return 0; fi
    group=$(letters "${mode: -2:1}")
    other=$(letters "${mode: -1}")
    for id in $(tr ',' '\n' <<<"$readers,$writers" | grep -v '^-*$' | sort -n -u); do
        if [[ ",$writers," == *",$id,"* ]]; then entries+="group:$id:rwx"$'\n'; else entries+="group:$id:r-x"$'\n'; fi
    done
    # The owning group is root's, which nobody is in.
    list="user::rwx"$'\n'"group::$group"$'\n'"${entries}mask::rwx"$'\n'"other::$other"
    printf '%s\n' "$list" "default:${list//$'\n'/$'\n'default:}"
}

letters() {
    local bits=$1 text=''
    if ((bits & 4)); then text+=r; else text+=-; fi
    if ((bits & 2)); then text+=w; else text+=-; fi
    if ((bits & 1)); then text+=x; else text+=-; fi
    printf '%s' "$text"
}

# File systems that were in the stack file once.
say_what_stays() {
    local name kept=() planned=''
    if ! command -v zfs >/dev/null || ((${#DATASETS[@]} == 0)); then return 0; fi
    for name in "${DATASETS[@]}"; do planned+=" ${name%% *} "; done
    while read -r name _; do
        if [[ $planned != *" $name "* ]]; then kept+=("$name"); fi
    done < <(for name in $(printf '%s\n' "${DATASETS[@]%%/*}" | sort -u); do
        zfs get -r -s local -H -o name,value "$OWN_KIND" "$name" 2>/dev/null || true
    done)
    if ((${#kept[@]} == 0)); then return 0; fi
    log "no longer in the stack file, and kept with all that is in them: ${kept[*]}"
    result kept "${kept[*]}"
}
