#!/bin/bash
# Answer the second storage host: replica-serve COMMAND
# The forced command of its login (authorized_keys), run as root through sudo. What it asks is taken apart here, word by
# word and without a shell, and done only if it reads the datasets that are replicated, or says which of their snapshots
# it has last. It can change nothing else, and destroy nothing.
set -Eeuo pipefail
shopt -s inherit_errexit
export LC_ALL=C PATH="${REPLICA_PATH:-}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
umask 077

: "${REPLICA_SETTINGS:=/etc/research-compute/replica-access/settings}"
: "${REPLICA_STATE:=/var/lib/research-compute/replica-access}"
# Tag of the holds (zfs-hold(8)): a snapshot with one cannot be destroyed, by sanoid neither.
readonly TAG=research-compute-replica
readonly DATASET='[A-Za-z][A-Za-z0-9_.:-]*(/[A-Za-z0-9_.:-]+)*'
readonly LIST='[A-Za-z0-9_.:,@-]+'

# shellcheck source=/dev/null
. "$REPLICA_SETTINGS" # SOURCES

refuse() {
    printf 'refused: %s\n' "$1" >&2
    logger --tag research-compute-replica --priority auth.warning -- "refused ${2:0:300}" 2>/dev/null || true
    exit 65
}

# Take a command apart as a shell would, as far as syncoid needs one: words and single quotes. Sets WORDS.
take_apart() {
    local text=$1 word='' open='false'
    WORDS=()
    while [[ -n $text ]]; do
        if [[ $text =~ ^[\ ]+ ]]; then
            if [[ $open == true ]]; then WORDS+=("$word"); fi
            word='' open='false'
        elif [[ $text =~ ^\'([^\']*)\' ]]; then
            word+=${BASH_REMATCH[1]} open='true'
        elif [[ $text =~ ^[A-Za-z0-9_./:@,=+#-]+ ]]; then
            word+=${BASH_REMATCH[0]} open='true'
        else
            return 1
        fi
        text=${text:${#BASH_REMATCH[0]}}
    done
    if [[ $open == true ]]; then WORDS+=("$word"); fi
}

# Whether it is one of the datasets that are replicated, lies beneath one, or is a snapshot or bookmark of such a one.
is_ours() {
    local dataset=${1%%[@#]*} source
    if [[ ! $1 =~ ^$DATASET([@#][A-Za-z0-9_.:-]+)?$ ]]; then return 1; fi
    for source in "${SOURCES[@]}"; do
        if [[ $dataset == "$source" || $dataset == "$source/"* ]]; then return 0; fi
    done
    return 1
}

is_our_pool() {
    local source
    for source in "${SOURCES[@]}"; do
        if [[ $1 == "${source%%/*}" ]]; then return 0; fi
    done
    return 1
}

# Whether words are options, then (but for `list`) properties, then our datasets: may_read get|list WORD...
may_read() {
    local verb=$1 names=0
    shift
    while (($#)) && [[ $1 == -* ]]; do
        case $1 in
            -o | -t | -s | -S | -d) if [[ ! ${2:-} =~ ^$LIST$ ]]; then return 1; else shift; fi ;;
            -Hpd | -Hprt | -Hpt) if [[ ! ${2:-} =~ ^$LIST$ ]]; then return 1; else shift; fi ;;
            *) if [[ ! $1 =~ ^-[Hpr]+$ ]]; then return 1; fi ;;
        esac
        shift
    done
    if [[ $verb == get ]]; then
        if [[ ! ${1:-} =~ ^[a-z]$LIST$ ]]; then return 1; fi
        shift
    fi
    while (($#)); do
        if ! is_ours "$1"; then return 1; fi
        names=$((names + 1))
        shift
    done
    ((names))
}

# Whether words are those of a `zfs send` of our snapshots.
may_send() {
    local snapshots=0 subject
    while (($#)); do
        case $1 in
            -i | -I)
                # The base of an increment: a snapshot or bookmark of ours.
                if [[ ${2:-} != *[@#]* ]] || ! is_ours "$2"; then return 1; fi
                shift
                ;;
            -t)
                # A receive that is taken up again says in its token what it is of.
                if [[ ! ${2:-} =~ ^[0-9a-f-]+$ ]]; then return 1; fi
                subject=$(zfs send -nvt "$2" 2>&1 | sed -n 's/^[[:space:]]*toname = //p')
                if [[ $subject != *@* ]] || ! is_ours "$subject"; then return 1; fi
                snapshots=1
                shift
                ;;
            -*) if [[ ! $1 =~ ^-[LPcehnpvw]+$ ]]; then return 1; fi ;;
            *)
                if [[ $1 != *@* ]] || ! is_ours "$1"; then return 1; fi
                snapshots=$((snapshots + 1))
                ;;
        esac
        shift
    done
    ((snapshots == 1))
}

# Leave out what is said of snapshots that are not the schedule's. They travel with those that are, but no copy ends with
# one: a backup's, say, is gone an hour later, and nothing could follow it.
scheduled() { awk -F '\t' '$1 !~ /@/ || $1 ~ /@autosnap_/'; }

# Hold the snapshots named on standard input, and let go of those held before. They are the last that the copy has of
# each file system: without them no increment could follow, however long the second host is away. What is held is noted
# before it is done, so that nothing stays held for ever.
keep() {
    local line held=$REPLICA_STATE/held wanted=() before=() kept=()
    local -A is_wanted=()
    mkdir -p -- "$REPLICA_STATE"
    while read -r line; do
        if [[ $line != *@* ]] || ! is_ours "$line"; then refuse "$line is none of the snapshots that are replicated" keep; fi
        wanted+=("$line")
        is_wanted[$line]=yes
    done
    exec 9>"$REPLICA_STATE/lock"
    flock 9
    if [[ -f $held ]]; then mapfile -t before <"$held"; fi
    printf '%s\n' "${before[@]}" "${wanted[@]}" | sed '/^$/d' | sort -u >"$held.new"
    mv -f -- "$held.new" "$held"
    for line in "${wanted[@]}"; do
        # One that is held already, or is gone, changes nothing.
        zfs hold "$TAG" "$line" 2>/dev/null || true
    done
    for line in "${before[@]}"; do
        if [[ -n ${is_wanted[$line]:-} ]]; then continue; fi
        if ! zfs release "$TAG" "$line" 2>/dev/null && is_held "$line"; then kept+=("$line"); fi
    done
    printf '%s\n' "${wanted[@]}" "${kept[@]}" | sed '/^$/d' >"$held.new"
    mv -f -- "$held.new" "$held"
}

is_held() {
    [[ $(zfs get -H -o value userrefs "$1" 2>/dev/null || printf 0) != 0 ]]
}

asked=${1:-}
if ((${#asked} > 8192)) || ! take_apart "$asked"; then refuse 'this is no command of a replication' "$asked"; fi
case ${WORDS[*]} in
    exit | 'echo -n') exit 0 ;;
    'command -v '*) exit 1 ;; # No compression and no buffer on this side: syncoid goes on without.
    keep)
        keep
        exit 0
        ;;
esac
case "${WORDS[0]:-} ${WORDS[1]:-}" in
    'zfs get' | 'zfs list')
        if may_read "${WORDS[@]:1}"; then
            "${WORDS[@]}" | scheduled
            exit 0
        fi
        ;;
    'zfs send') if may_send "${WORDS[@]:2}"; then exec "${WORDS[@]}"; fi ;;
    'zpool get')
        if [[ ${WORDS[*]:2:3} == '-o value -H' && ${WORDS[5]:-} =~ ^feature@[a-z_]+$ ]] &&
            ((${#WORDS[@]} == 7)) && is_our_pool "${WORDS[6]}"; then exec "${WORDS[@]}"; fi
        ;;
esac
refuse 'this login may read the datasets that are replicated, and do nothing else' "$asked"
