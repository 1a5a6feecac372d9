# shellcheck shell=bash
# What every host step is written with. A step script defines `desired` (run by apply and by check) and `undo`.
#
# The rule that makes a step safe to be cut off at any line and run again: a change is recorded (`changed`) BEFORE it
# is made, and the record is on disk until the step has ended well. So the restart that a cut-off run still owed is
# found, and done, by the next one.

set -Eeuo pipefail
# lastpipe: `render | want_file ...` records its change in this shell, not in one that ends with the pipe.
shopt -s inherit_errexit lastpipe
# Without this, `&` in a replacement text means the matched text (bash 5.2).
shopt -u patsub_replacement 2>/dev/null || true
export LC_ALL=C
# sudo's secure_path has them; a root login over SSH need not.
export PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin"
umask 022

# Own folders. A text composed with other values (the tests') keeps those.
: "${STATE_FOLDER=/var/lib/research-compute}"
: "${CACHE_FOLDER=/var/cache/research-compute}"
: "${CONFIG_FOLDER=/etc/research-compute}"
# Not /run/lock: every user may write there, and could hold the lock.
: "${LOCK_FILE=/run/research-compute.lock}"
# How long another run on this host is waited for, in seconds: longer than most steps, shorter than anybody's patience.
: "${LOCK_WAIT_SECONDS=120}"

# sysexits(3): EX_DATAERR, what was asked for cannot be; EX_SOFTWARE, it could, and went wrong.
readonly REFUSED=65 FAILED=70

STEP='' MODE=''
CHANGED=() EVENTS=() RESULT_KEYS=() RESULT_VALUES=()
RELOADED_AT=-1

# --- what a run says -------------------------------------------------------------------------------------------------

log() { printf '%s\n' "$*" >&2; }

refuse() {
    printf 'refused: %s\n' "$*" >&2
    exit "$REFUSED"
}

fail() {
    printf 'failed: %s\n' "$*" >&2
    exit "$FAILED"
}

# Whether this run only looks.
checking() { [[ $MODE == check ]]; }

# Run a command, unless this run only looks.
act() {
    if checking; then return 0; fi
    "$@"
}

# Record a change that is about to be made (in check mode: what differs).
changed() {
    CHANGED+=("$1")
    note "$1"
    if ! checking; then log "$STEP: $1"; fi
}

# Remember an event, over the end of this run too if it does not end well.
note() {
    EVENTS+=("$1")
    if checking; then return 0; fi
    install -d -m 0700 -- "$STATE_FOLDER" "$STATE_FOLDER/pending"
    printf '%s\n' "${1//$'\n'/ }" >>"$STATE_FOLDER/pending/$STEP"
}

# Whether something recorded, by this run or by one that was cut off before it ended, matches the pattern: was_changed
# PATTERN [SINCE]; what lies before an event SINCE does not count.
was_changed() {
    local item found=1
    for item in "${EVENTS[@]}"; do
        if [[ -n ${2:-} && $item == "$2" ]]; then found=1; fi
        # shellcheck disable=SC2053 # a pattern is meant
        if [[ $item != done\ * && $item == $1 ]]; then found=0; fi
    done
    return "$found"
}

# A fact for the steps that depend on this one: the same text on every run, as long as the host is the same.
result() {
    RESULT_KEYS+=("$1")
    RESULT_VALUES+=("$2")
}

# Small state of a step, under the state folder.
marker_set() {
    if [[ $(marker_get "$1" || true) == "${2:-}" && -f $STATE_FOLDER/markers/$1 ]]; then return 0; fi
    if checking; then return 0; fi
    install -d -m 0700 -- "$STATE_FOLDER"
    printf '%s\n' "${2:-}" | write_atomically "$STATE_FOLDER/markers/$1" 0600 "$(id -un):$(id -gn)"
}

marker_get() {
    if [[ ! -f $STATE_FOLDER/markers/$1 ]]; then return 1; fi
    cat -- "$STATE_FOLDER/markers/$1"
}

# Poll a command until it succeeds: wait_until SECONDS DESCRIPTION COMMAND...; fails with the description.
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)); then fail "waited in vain for $what"; fi
        sleep 0.5
    done
}

# One JSON string. Bytes that are no UTF-8 are taken for Latin-1, so that the line can always be read.
json_string() {
    local text=$1 out='' char index code
    if [[ $text != *[!\ -~]* ]]; then
        text=${text//\\/\\\\}
        printf '"%s"' "${text//\"/\\\"}"
        return
    fi
    local utf8='true'
    iconv -f utf-8 -t utf-8 <<<"$text" >/dev/null 2>&1 || utf8='false'
    for ((index = 0; index < ${#text}; index++)); do
        char=${text:index:1}
        case $char in
            \" | \\) out+="\\$char" ;;
            [\ -~]) out+=$char ;;
            *)
                printf -v code '%d' "'$char"
                code=$((code & 255))
                if ((code >= 128)) && [[ $utf8 == true ]]; then
                    out+=$char
                else
                    printf -v char '\\u%04x' "$code"
                    out+=$char
                fi
                ;;
        esac
    done
    printf '"%s"' "$out"
}

json_report() {
    local index separator=''
    printf '{"step":%s,"host":%s,"mode":%s,"changed":[' \
        "$(json_string "$STEP")" "$(json_string "${STEP_HOST:-}")" "$(json_string "$MODE")"
    for ((index = 0; index < ${#CHANGED[@]}; index++)); do
        printf '%s%s' "$separator" "$(json_string "${CHANGED[index]}")"
        separator=','
    done
    printf '],"result":{'
    separator=''
    for ((index = 0; index < ${#RESULT_KEYS[@]}; index++)); do
        printf '%s%s:%s' "$separator" "$(json_string "${RESULT_KEYS[index]}")" "$(json_string "${RESULT_VALUES[index]}")"
        separator=','
    done
    printf '}}\n'
}

# --- files -----------------------------------------------------------------------------------------------------------

# Write stdin to a file that is either the old or the new one, whenever the power goes: write_atomically PATH MODE OWNER
write_atomically() {
    local path=$1 folder temporary
    folder=$(dirname -- "$path")
    # Dot files are passed over by everything that reads whole folders (apt, systemd, containerd, the kubelet).
    temporary="$folder/.$(basename -- "$path").research-compute"
    if [[ ! -d $folder ]]; then mkdir -p -- "$folder"; fi
    rm -f -- "$temporary"
    if ! (
        umask 077
        set -o noclobber
        cat >"$temporary"
    ) || ! chown -- "$3" "$temporary" || ! chmod -- "$2" "$temporary" || ! sync -- "$temporary"; then
        rm -f -- "$temporary"
        fail "cannot write $path ($(free_space "$folder"))"
    fi
    mv -fT -- "$temporary" "$path"
    sync -- "$folder"
}

free_space() {
    printf '%s free' "$(df -h --output=avail -- "$1" 2>/dev/null | tail -n 1 | tr -d ' ')"
}

# Whether a path has this mode and owner: has_mode PATH MODE OWNER:GROUP
has_mode() {
    local wanted
    printf -v wanted '%o %s' "0${2#0}" "$3"
    [[ $(stat -c '%a %U:%G' -- "$1") == "$wanted" ]]
}

# A regular file with stdin as its content: want_file PATH MODE [OWNER:GROUP]. Content is never printed.
want_file() {
    local path=$1 mode=$2 owner=${3:-$(id -un):$(id -gn)} content
    # The x keeps the newlines at the end, which a command substitution drops.
    content=$(
        cat
        printf x
    )
    content=${content%x}
    if [[ -d $path && ! -L $path ]]; then fail "$path is a folder, and should be a file"; fi
    if [[ -f $path && ! -L $path ]] && has_mode "$path" "$mode" "$owner" && cmp -s -- "$path" <(printf '%s' "$content"); then
        return 0
    fi
    changed "file $path"
    if checking; then return 0; fi
    printf '%s' "$content" | write_atomically "$path" "$mode" "$owner"
}

# A folder: want_folder PATH MODE [OWNER:GROUP]
want_folder() {
    local path=$1 mode=$2 owner=${3:-$(id -un):$(id -gn)}
    if [[ -d $path ]] && has_mode "$path" "$mode" "$owner"; then return 0; fi
    if [[ -e $path && ! -d $path ]]; then fail "$path is a file, and should be a folder"; fi
    changed "folder $path"
    act mkdir -p -- "$path"
    act chown -- "$owner" "$path"
    act chmod -- "$mode" "$path"
}

# A symbolic link, switched in one step: want_link PATH TARGET
want_link() {
    local path=$1 target=$2 temporary
    if [[ -L $path && $(readlink -- "$path") == "$target" ]]; then return 0; fi
    if [[ -d $path && ! -L $path ]]; then fail "$path is a folder, and should be a link"; fi
    changed "link $path"
    if checking; then return 0; fi
    temporary="$(dirname -- "$path")/.$(basename -- "$path").research-compute"
    mkdir -p -- "$(dirname -- "$path")"
    ln -sfnT -- "$target" "$temporary"
    mv -fT -- "$temporary" "$path"
    sync -- "$(dirname -- "$path")"
}

# A program that is made of scripts of this host, one after the other: want_made_of PATH SCRIPT...
want_made_of() {
    local path=$1 script
    shift
    for script in "$@"; do
        # A host whose scripts are gone has at least that to show in check mode; apply would not have come here.
        if [[ ! -f $script ]]; then
            changed "file $path"
            if checking; then return 0; fi
        fi
    done
    cat -- "$@" | want_file "$path" 0755
}

# Files or whole folders that are not there.
want_absent() {
    local path
    for path in "$@"; do
        if [[ ! -e $path && ! -L $path ]]; then continue; fi
        if [[ $path != /*/* || $path == *'/../'* ]]; then fail "$path is nothing to remove"; fi
        changed "absent $path"
        act rm -rf --one-file-system -- "$path"
    done
}

# --- services --------------------------------------------------------------------------------------------------------

# Tell systemd about unit files that changed since it was last told, if any.
reload_units() {
    if ((RELOADED_AT == ${#CHANGED[@]})); then return 0; fi
    if was_changed '* /etc/systemd/system/*' || was_changed '* /usr/local/lib/systemd/system/*'; then
        act systemctl daemon-reload
    fi
    RELOADED_AT=${#CHANGED[@]}
}

# A unit that starts at boot, whether or not it can run already.
want_enabled() {
    reload_units
    local state
    state=$(systemctl is-enabled -- "$1" 2>/dev/null || true)
    case $state in
        enabled | static | indirect | generated | alias | linked) return 0 ;;
    esac
    changed "enabled $1"
    if [[ $state == masked* ]]; then act systemctl unmask --quiet -- "$1"; fi
    act systemctl enable --quiet -- "$1"
}

# A unit that runs, and starts at boot: want_service UNIT [restart-if PATTERN...] [reload-if PATTERN...]
want_service() {
    local unit=$1 verb='' word kind='restart'
    shift
    want_enabled "$unit"
    if ! systemctl is-active --quiet -- "$unit"; then verb='start'; fi
    for word in "$@"; do
        case $word in
            restart-if) kind='restart' ;;
            reload-if) kind='reload-or-restart' ;;
            *)
                if [[ $verb != start && $verb != restart ]] && was_changed "$word" "done $unit"; then verb=$kind; fi
                ;;
        esac
    done
    if [[ -z $verb ]]; then return 0; fi
    changed "service $unit"
    if checking; then return 0; fi
    systemctl reset-failed -- "$unit" 2>/dev/null || true
    if ! systemctl "$verb" -- "$unit"; then
        systemctl status --no-pager --lines=15 -- "$unit" >&2 || true
        fail "$unit does not $verb"
    fi
    # A later step of this run may fail: the next run does not owe this again.
    note "done $unit"
}

# A unit that neither runs nor starts at boot; one that is not installed is just that.
want_no_service() {
    local unit=$1
    reload_units
    case $(systemctl is-enabled -- "$unit" 2>/dev/null || true) in
        enabled | enabled-runtime | linked) ;;
        *) if ! systemctl is-active --quiet -- "$unit"; then return 0; fi ;;
    esac
    changed "no service $unit"
    act systemctl disable --quiet --now -- "$unit"
}

# --- interfaces ------------------------------------------------------------------------------------------------------

# Name of the interface that has an address, or nothing.
interface_of() { ip -oneline address show to "$1" | sed -nE '1s/^[0-9]+: ([^ @]+).*$/\1/p'; }

# --- a run -----------------------------------------------------------------------------------------------------------

# Name what went wrong where nobody expected it; arguments may be secrets, so only the program is named.
unexpected() {
    local status=$1 line=$2 command=$3
    if ((status == REFUSED || status == FAILED)); then exit "$status"; fi
    command=${command%%[[:space:]]*}
    printf 'failed: step %s, %s, line %s: %s ended with status %s\n' \
        "${STEP:-?}" "${FUNCNAME[1]:-main}" "$line" "${command%%=*}" "$status" >&2
    exit "$FAILED"
}

# One run per host at a time; those that only look do not exclude each other.
take_lock() {
    local kind='--exclusive' holder
    if checking; then kind='--shared'; fi
    exec {LOCK}>>"$LOCK_FILE"
    if ! flock "$kind" --wait "$LOCK_WAIT_SECONDS" "$LOCK"; then
        holder=$(head -n 1 -- "$LOCK_FILE" 2>/dev/null || true)
        fail "another run holds $LOCK_FILE (pid ${holder:-unknown}), waited $LOCK_WAIT_SECONDS s"
    fi
    if ! checking; then printf '%s\n' "$$" >"$LOCK_FILE"; fi
}

# Do what the step is asked for: run_step NAME apply|undo|check. stdout gets one line of JSON, at the end.
run_step() {
    STEP=$1
    case ${2:-} in
        apply | undo | check) MODE=$2 ;;
        *) refuse "step $STEP is asked to '${2:-}': it can apply, undo or check" ;;
    esac
    exec {OUTPUT}>&1 1>&2
    trap 'unexpected $? $LINENO "$BASH_COMMAND"' ERR
    take_lock
    if [[ -f $STATE_FOLDER/pending/$STEP ]]; then mapfile -t EVENTS <"$STATE_FOLDER/pending/$STEP"; fi
    if [[ $MODE == undo ]]; then undo; else desired; fi
    if ! checking; then
        prune_downloads
        rm -f -- "$STATE_FOLDER/pending/$STEP"
    fi
    json_report >&"$OUTPUT"
}
