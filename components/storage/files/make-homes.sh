#!/bin/bash
# Make the homes that were asked for, each a dataset of its own: make-homes
# Run by a path unit as soon as something lies in the folder of requests.
#   make-homes --look     the same, by a timer: what still lies there, the path unit has not seen
#   make-homes --make NAMESPACE CLAIM UID GID     makes one home, for an administrator or the `homes` step
#
# Whoever asks is not trusted: files come over the network, from a pod. So a request is read with the requester's own
# rights and through no link, names and ids are held against the plan, and what is there already is never changed.
set -Eeuo pipefail
shopt -s inherit_errexit nullglob
export LC_ALL=C PATH=${HOMES_PATH:+$HOMES_PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077

: "${HOMES_SETTINGS:=/etc/research-compute/homes/settings}"
: "${HOMES_STATE:=/var/lib/research-compute/homes}"
: "${HOMES_LOCK:=/run/research-compute-homes.lock}"
# Where file systems appear; only a test's are not beneath the root.
: "${HOMES_ROOT:=}"

# Homes made in an hour: a whole faculty's first day. A hub that somebody took over asks for no more than these, each
# empty and under its quota.
: "${MOST_PER_HOUR:=500}"
# Requests that wait at once; hubs start 64 servers at a time (hub.servers.concurrentSpawns). What is beyond goes unread.
: "${MOST_PENDING:=1000}"
# Requests that are answered together: an NFS server that has to be told of homes is told once for all of them.
readonly AT_ONCE=16
# Bytes of a request: five short lines.
readonly MOST_BYTES=1024
# Letters of a dataset's name. ZFS takes 255 (zfs(8)), of which a snapshot's name needs some.
readonly MOST_LETTERS=180
# How long answers and what nobody asked for any more are kept, in minutes.
readonly KEPT_MINUTES=1440
# After an error the path unit would start this at once again, and again.
: "${PAUSE_SECONDS:=5}"
# User property with whom a home was made for; set with the dataset in one command.
readonly MADE_FOR=research-compute:home
readonly PATH_UNIT=research-compute-homes.path
readonly LABEL='[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'

declare -A QUOTA_OF=()
# shellcheck source=/dev/null
. "$HOMES_SETTINGS"

STATUS='' REASON='' FOLDER='' ASKED_BY='requester'

say() { printf '%s\n' "$*"; }

fail() {
    printf 'failed: %s\n' "$*" >&2
    exit 70
}

ended() {
    local status=$?
    if ((status != 0)); then sleep "$PAUSE_SECONDS"; fi
}

# --- ZFS -------------------------------------------------------------------------------------------------------------

# One value of a dataset: property NAME PROPERTY. Of MADE_FOR only what was set on the dataset itself.
property() {
    local value source
    IFS=$'\t' read -r value source < <(zfs get -H -o value,source "$2" "$1")
    if [[ $2 == "$MADE_FOR" && $source != local && $source != received ]]; then value='-'; fi
    printf '%s' "$value"
}

# Whether there is such a dataset; ends this run where ZFS does not answer at all.
has_dataset() {
    local said
    if said=$(zfs list -H -o name "$1" 2>&1); then return 0; fi
    if [[ $said == *'does not exist'* ]]; then return 1; fi
    fail "zfs list $1: ${said##*$'\n'}"
}

# A dataset is there and where it belongs: mounted_at NAME, or a reason why not.
mounted_at() {
    local said
    if [[ $(property "$1" mountpoint) != "/$1" ]]; then
        refused "$1 is mounted somewhere else than /$1"
        return 1
    fi
    if [[ $(property "$1" mounted) == yes ]]; then return 0; fi
    if said=$(zfs mount "$1" 2>&1) || [[ $(property "$1" mounted) == yes ]]; then return 0; fi
    refused "$1 cannot be mounted: ${said##*$'\n'}"
    return 1
}

# --- a home ----------------------------------------------------------------------------------------------------------

refused() { STATUS='refused' REASON=$1; }

# The quota of a home in bytes, or none.
quota_of() { printf '%s' "${QUOTA_OF[$1]:-${HOME_QUOTA:-none}}"; }

# Bring a home about: make_home NAMESPACE CLAIM UID GID. Sets STATUS, and REASON where it is refused.
make_home() {
    local home=$1/$2 owner=$3:$4
    local dataset=$HOMES/$home
    STATUS='' REASON=''
    if ! valid "$@"; then return 0; fi
    if has_dataset "$dataset"; then
        look_at "$dataset" "$owner"
        return 0
    fi
    if [[ -e $HOMES_ROOT/$dataset || -L $HOMES_ROOT/$dataset ]]; then
        look_at_folder "$dataset" "$owner"
        return 0
    fi
    if ! has_parent "$HOMES/$1"; then return 0; fi
    if [[ $ASKED_BY != root ]] && ! within_the_hour; then return 0; fi
    create "$dataset" "$owner" "$(quota_of "$home")"
}

# Whether a home may be made at all: names of Kubernetes, ids of people.
valid() {
    local namespace=$1 claim=$2 uid=$3 gid=$4
    if ((${#namespace} > 63 || ${#claim} > 253)) || [[ ! $namespace =~ ^$LABEL$ || ! $claim =~ ^$LABEL(\.$LABEL)*$ ]]; then
        refused 'namespace and claim are no names of Kubernetes'
    elif ((${#HOMES} + 2 + ${#namespace} + ${#claim} > MOST_LETTERS)); then
        refused "the dataset's name would have more than $MOST_LETTERS letters"
    elif [[ ! $uid =~ ^[1-9][0-9]{0,9}$ || ! $gid =~ ^[1-9][0-9]{0,9}$ ]]; then
        refused 'user and group are no ids, or root'
    elif [[ $ASKED_BY == root ]]; then
        : # Whoever is root here may give a home to a service, too.
    elif ((uid < FIRST_UID || uid > LAST_UID || uid == REQUESTER_UID || uid == 65534)); then
        refused "user id $uid is not among those of people, $FIRST_UID to $LAST_UID"
    elif ((gid != USERS_GID && (gid < FIRST_UID || gid > LAST_UID))); then
        refused "group id $gid is neither $USERS_GID, the users', nor between $FIRST_UID and $LAST_UID"
    fi
    [[ -z $STATUS ]]
}

# A home that is there: its owner's, or refused. One that was made and not yet given away is given to whom it is for.
look_at() {
    local dataset=$1 owner=$2 path=$HOMES_ROOT/$1 kept found
    kept=$(property "$dataset" "$MADE_FOR")
    if [[ $kept != - && ${kept%:*} != "${owner%:*}" ]]; then
        refused "the home is user id ${kept%:*}'s"
        return 0
    fi
    if ! mounted_at "$dataset"; then return 0; fi
    found=$(stat -c '%u:%g' -- "$path")
    if [[ ${found%:*} == "${owner%:*}" ]]; then
        # Of one that came from elsewhere, by zfs receive without properties.
        if [[ $kept == - ]]; then zfs set "$MADE_FOR=$found" "$dataset"; fi
        STATUS='exists'
    elif [[ $kept == "$owner" && $found == 0:* && -z $(ls -A -- "$path") ]]; then
        give "$dataset" "$owner"
    else
        refused "the home's folder belongs to user id ${found%:*}"
    fi
}

# A folder where a dataset should be, as homes are that an NFS driver made: of use to its owner, though without a quota.
look_at_folder() {
    local dataset=$1 owner=$2 path=$HOMES_ROOT/$1 found
    found=$(stat -c '%u' -- "$path")
    if [[ -d $path && ! -L $path && $found == "${owner%:*}" ]]; then
        say "/$dataset is a folder and no dataset: it has no quota of its own"
        STATUS='exists'
    else
        refused "/$dataset is there, is no dataset, and belongs to user id $found"
    fi
}

# The dataset that holds a namespace's homes.
has_parent() {
    local said path=$HOMES_ROOT/$1
    if has_dataset "$1"; then
        mounted_at "$1"
        return
    fi
    # A newer OpenZFS would mount over what lies there, and hide it.
    if [[ -L $path || (-e $path && ! -d $path) || (-d $path && -n $(ls -A -- "$path")) ]]; then
        refused "/$1 holds something and is no dataset"
        return 1
    fi
    if ! said=$(umask 022 && zfs create "$1" 2>&1); then
        refused "zfs create $1: ${said##*$'\n'}"
        return 1
    fi
    mounted_at "$1"
}

# One command makes the dataset, its limit and the note of whom it is for: a run that ends right here leaves nothing
# that a later one could take for somebody else's.
create() {
    local dataset=$1 owner=$2 said options=(-o "$MADE_FOR=$2")
    if [[ $3 != none ]]; then options+=(-o "refquota=$3"); fi
    if [[ -n ${AFTER_MAKING:-} ]]; then : >>"$HOMES_STATE/untold"; fi
    if ! said=$(zfs create "${options[@]}" "$dataset" 2>&1) && ! has_dataset "$dataset"; then
        refused "zfs create $dataset: ${said##*$'\n'}"
        return 0
    fi
    if ! mounted_at "$dataset"; then return 0; fi
    printf '%(%s)T\n' -1 >>"$HOMES_STATE/made"
    give "$dataset" "$owner"
}

# The folder, still root's and empty, becomes its owner's; closed before it is given away.
give() {
    local path=$HOMES_ROOT/$1
    if ! chmod 0700 -- "$path" || ! chown -h -- "$2" "$path"; then
        refused "/$1 is made, and cannot be given to $2"
        return 0
    fi
    STATUS='made'
    say "made $1 for $2, quota $(quota_of "${1#"$HOMES/"}")"
}

# Tell the NFS server of new homes, where it has to be told. What is owed is on disk from before a home is made until
# the server took it, whenever this run ends.
tell_server() {
    if [[ ! -e $HOMES_STATE/untold ]]; then return 0; fi
    # Several words of one command.
    # shellcheck disable=SC2086
    if ! ${AFTER_MAKING:-true}; then
        say "homes were made, and '$AFTER_MAKING' failed: nodes do not see them yet"
        return 0
    fi
    rm -f -- "$HOMES_STATE/untold"
}

# Whether one more may be made in this hour.
within_the_hour() {
    local moment now recent=()
    printf -v now '%(%s)T' -1
    if [[ -f $HOMES_STATE/made ]]; then
        while read -r moment; do
            if [[ $moment =~ ^[0-9]+$ ]] && ((moment > now - 3600)); then recent+=("$moment"); fi
        done <"$HOMES_STATE/made"
        printf '%s\n' "${recent[@]}" >"$HOMES_STATE/made.new"
        mv -fT -- "$HOMES_STATE/made.new" "$HOMES_STATE/made"
    fi
    if ((${#recent[@]} < MOST_PER_HOUR)); then return 0; fi
    refused "$MOST_PER_HOUR homes were made within an hour, which is the most"
    return 1
}

# --- requests --------------------------------------------------------------------------------------------------------

# Run a command with the rights of whoever asks, which are none but to its own files.
as_requester() {
    if ((EUID != 0)); then
        "$@"
        return
    fi
    setpriv --reuid "$REQUESTER_UID" --regid "$REQUESTER_UID" --clear-groups --inh-caps=-all --no-new-privs -- "$@"
}

# Put the lines of a request into ASKED; false, with a reason, where it is none.
read_request() {
    local path=$1 text key value rest
    ASKED=()
    if [[ -L $path || ! -f $path ]]; then
        refused 'the request is no file'
    elif [[ $(stat -c %u -- "$path") != "$REQUESTER_UID" ]]; then
        refused "the request is not the requester's"
    # Neither follows a link put there meanwhile, nor waits for a pipe's other end, nor reads on without end.
    elif ! text=$(as_requester timeout 10 dd if="$path" iflag=nofollow,nonblock bs=$((MOST_BYTES + 1)) count=1 status=none |
        tr '\0' '?'); then
        refused 'the request cannot be read'
    elif ((${#text} > MOST_BYTES)); then
        refused "the request has more than $MOST_BYTES bytes"
    else
        while read -r key value rest; do
            if [[ ! $key =~ ^(version|namespace|claim|uid|gid)$ || -z $value || -n $rest || -n ${ASKED[$key]:-} ]]; then
                refused 'the request has other lines than version, namespace, claim, uid, gid'
                return 1
            fi
            ASKED[$key]=$value
        done <<<"$text"
        if ((${#ASKED[@]} != 5)); then
            refused 'the request lacks some of version, namespace, claim, uid, gid'
        elif [[ ${ASKED[version]} != 1 ]]; then
            refused 'the request is of another version than 1'
        fi
    fi
    [[ -z $STATUS ]]
}

# Do what one request asks for; its answer goes to STATUS, REASON and FOLDER.
serve() {
    local path=$1 name=${1##*/} home
    declare -gA ASKED=()
    STATUS='' REASON='' FOLDER=''
    if ! read_request "$path"; then return 0; fi
    home=${ASKED[namespace]}/${ASKED[claim]}
    # What the administrator reads in the folder is what is meant by it.
    if [[ $name != "${home/\//.}".* ]]; then
        refused 'the name of the request does not begin with its namespace and claim'
        return 0
    fi
    make_home "${ASKED[namespace]}" "${ASKED[claim]}" "${ASKED[uid]}" "${ASKED[gid]}"
    if [[ $STATUS != refused ]]; then FOLDER=/$HOMES/$home; fi
}

# Serve some requests, tell the server once of what was made, then answer them and take them away.
serve_some() {
    local path name
    local -A answers=()
    for path in "$@"; do
        name=${path##*/}
        if ((${#name} > 230)) || [[ ! $name =~ ^[a-z0-9][a-z0-9.-]*$ ]]; then
            printf 'a request with a name that is none was thrown away: %q\n' "${name:0:80}"
            rm -rf --one-file-system -- "$path"
            continue
        fi
        serve "$path"
        if [[ $STATUS == refused ]]; then say "refused $name: $REASON"; fi
        printf -v "answers[$name]" 'version 1\nstatus %s\npath %s\nreason %s\n' "$STATUS" "$FOLDER" "$REASON"
    done
    tell_server
    for name in "${!answers[@]}"; do
        answer "$name" "${answers[$name]}"
        rm -rf --one-file-system -- "$REQUESTS/requests/$name"
    done
}

# Whole or not at all, and readable: the folder of answers is root's alone to write to. answer NAME TEXT
answer() {
    local temporary=$REQUESTS/answers/.$1
    rm -f -- "$temporary"
    printf '%s' "$2" >"$temporary"
    chmod 0644 -- "$temporary"
    mv -fT -- "$temporary" "$REQUESTS/answers/$1"
}

serve_all() {
    local found
    while true; do
        # Those that begin with a dot are being written.
        found=("$REQUESTS"/requests/*)
        if ((${#found[@]} == 0)); then return 0; fi
        if ((${#found[@]} > MOST_PENDING)); then
            say "$((${#found[@]} - MOST_PENDING)) of ${#found[@]} requests at once were thrown away"
            printf '%s\0' "${found[@]:MOST_PENDING}" | xargs -0 rm -rf --one-file-system --
            found=("${found[@]:0:MOST_PENDING}")
        fi
        serve_some "${found[@]:0:AT_ONCE}"
    done
}

# Answers nobody reads any more, and what never became a request.
tidy() {
    find "$REQUESTS/answers" -mindepth 1 -maxdepth 1 -mmin "+$KEPT_MINUTES" -exec rm -rf --one-file-system -- {} +
    find "$REQUESTS/requests" -mindepth 1 -maxdepth 1 -mmin "+$KEPT_MINUTES" -exec rm -rf --one-file-system -- {} +
}

# What has lain there for a while although nobody is at work: the path unit watches a folder that is another by now.
rouse_path_unit() {
    local unseen
    unseen=$(find "$REQUESTS/requests" -mindepth 1 -maxdepth 1 ! -name '.*' ! -newermt '3 seconds ago' -print -quit)
    if [[ -z $unseen ]]; then return 0; fi
    say "$PATH_UNIT has not seen requests that lie there, and is started anew"
    systemctl restart --no-block "$PATH_UNIT"
}

# --- a run -----------------------------------------------------------------------------------------------------------

mkdir -p -- "$HOMES_STATE"
exec {LOCK}>>"$HOMES_LOCK"
flock --wait 120 "$LOCK" || fail 'another run goes on and on'
if [[ ${1:-} == --make ]]; then
    if (($# != 5)); then fail "write --make NAMESPACE CLAIM UID GID"; fi
    ASKED_BY='root'
    make_home "${@:2}"
    if [[ $STATUS == refused ]]; then
        printf 'refused: %s/%s: %s\n' "$2" "$3" "$REASON" >&2
        exit 65
    fi
    tell_server
    say "$STATUS"
    exit 0
fi
trap ended EXIT
# Before the pool is imported there is nothing to do, and nowhere to answer.
if [[ ! -d $REQUESTS/requests || ! -d $REQUESTS/answers ]]; then
    say "$REQUESTS is not there yet"
    exit 0
fi
if [[ ${1:-} == --look ]]; then rouse_path_unit; fi
serve_all
tidy
