# shellcheck shell=bash
# Files by URL and checksum: from where their publisher has them, or from the lab's mirror where it has one.

# Pause before the first retry of a download, in seconds; it doubles with each.
: "${RETRY_DELAY_SECONDS=1}"
FETCHED=()

# Whether a file has this SHA-256. What was found once is remembered by inode, size and times, so that looking at a
# host does not read hundreds of megabytes; any write to the file changes its ctime, and with it the answer.
has_checksum() {
    local path=$1 expected=$2 note actual
    if [[ ! -f $path ]]; then return 1; fi
    note=$STATE_FOLDER/checksums/${path//\//%}
    if [[ -f $note && $(<"$note") == "$(checksum_stamp "$path" "$expected")" ]]; then return 0; fi
    actual=$(sha256sum <"$path")
    if [[ ${actual%% *} != "$expected" ]]; then return 1; fi
    act remember_checksum "$path" "$expected"
}

checksum_stamp() { printf '%s %s' "$2" "$(stat -Lc '%d %i %s %Y %z' -- "$1")"; }

remember_checksum() {
    install -d -m 0700 -- "$STATE_FOLDER" "$STATE_FOLDER/checksums"
    checksum_stamp "$1" "$2" >"$STATE_FOLDER/checksums/${1//\//%}"
}

# Where a public URL is really had from.
mirrored() {
    if [[ -n $MIRROR_URL ]]; then
        printf '%s/files/%s' "${MIRROR_URL%/}" "${1#*://}"
    else
        printf '%s' "$1"
    fi
}

# A downloaded file: fetch URL SHA256 PATH [MODE]. Resumed where a cut-off run left it; never seen half or wrong.
fetch() {
    local url path=$3 expected=$2 mode=${4:-0644} part got
    FETCHED+=("$path" "$expected.part")
    if has_checksum "$path" "$expected"; then
        if has_mode "$path" "$mode" "$(id -un):$(id -gn)"; then return 0; fi
        changed "mode of $path"
        act chown -- "$(id -un):$(id -gn)" "$path"
        act chmod -- "$mode" "$path"
        return 0
    fi
    changed "file $path"
    if checking; then return 0; fi
    url=$(mirrored "$1")
    install -d -m 0755 -- "$CACHE_FOLDER" "$CACHE_FOLDER/$STEP"
    part=$CACHE_FOLDER/$STEP/$expected.part
    local resumed='false'
    if [[ -s $part ]]; then resumed='true'; fi
    download "$url" "$part"
    got=$(sha256sum -- "$part")
    if [[ ${got%% *} != "$expected" && $resumed == true ]]; then
        # What was there from before may have been another file's beginning.
        rm -f -- "$part"
        download "$url" "$part"
        got=$(sha256sum -- "$part")
    fi
    if [[ ${got%% *} != "$expected" ]]; then
        rm -f -- "$part"
        fail "$url is not what is pinned: expected sha256 $expected, got ${got%% *}"
    fi
    install_download "$part" "$path" "$mode"
    remember_checksum "$path" "$expected"
}

# Move a verified download to its place, across file systems too, in one step.
install_download() {
    local part=$1 path=$2 mode=$3 folder temporary
    folder=$(dirname -- "$path")
    temporary="$folder/.$(basename -- "$path").research-compute"
    mkdir -p -- "$folder"
    chmod -- "$mode" "$part"
    if ! { mv -fT -- "$part" "$temporary" && sync -- "$temporary"; }; then
        rm -f -- "$temporary"
        fail "cannot write $path ($(free_space "$folder"))"
    fi
    mv -fT -- "$temporary" "$path"
    sync -- "$folder"
}

# Get a URL into a file, going on where the file ends; three retries where trying again can help.
download() {
    local url=$1 part=$2 attempt delay=$RETRY_DELAY_SECONDS status code ca=()
    if [[ -n $MIRROR_CA && -n $MIRROR_URL ]]; then
        install -d -m 0700 -- "$STATE_FOLDER"
        printf '%s' "$MIRROR_CA" | write_atomically "$STATE_FOLDER/mirror-ca.pem" 0600 "$(id -un):$(id -gn)"
        ca=(--cacert "$STATE_FOLDER/mirror-ca.pem")
    fi
    for attempt in 1 2 3 4; do
        status=0
        code=$(
            curl --silent --show-error --fail --location --connect-timeout 10 --speed-limit 1000 --speed-time 30 \
                "${ca[@]}" --continue-at - --output "$part" --write-out '%{http_code}' -- "$url"
        ) || status=$?
        case $status:$code in
            0:*) return 0 ;;
            # The server does not continue files, or this one is longer than its: from the beginning, then.
            33:* | 22:416) rm -f -- "$part" ;;
            22:5?? | 22:408 | 22:429 | [5-7]:* | 18:* | 28:* | 35:* | 52:* | 55:* | 56:* | 92:*) ;;
            22:*) fail "$url answers $code" ;;
            23:*) fail "cannot write $part ($(free_space "$(dirname -- "$part")"))" ;;
            *) fail "$url cannot be had (curl's status $status)" ;;
        esac
        if ((attempt < 4)) && [[ $status:$code != 33:* && $status:$code != 22:416 ]]; then
            sleep "$delay"
            delay=$((delay * 2))
        fi
    done
    if ((status == 22)); then fail "$url answers $code, tried $attempt times"; fi
    fail "$url cannot be reached, tried $attempt times (curl's status $status)"
}

# Remove the downloads of this step that it no longer wants.
prune_downloads() {
    local file wanted
    for file in "$CACHE_FOLDER/$STEP"/*; do
        if [[ ! -e $file ]]; then continue; fi
        for wanted in "${FETCHED[@]}"; do
            if [[ $file == "$wanted" || ${file##*/} == "$wanted" ]]; then continue 2; fi
        done
        rm -rf -- "$file"
    done
}
