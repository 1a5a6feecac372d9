#!/bin/bash
# Fetch the snapshots of the first storage host:
#   replica-fetch            fetch what is new
#   replica-fetch --probe    see whether the first host answers, and do nothing
#   replica-fetch --ages     say which copies are older than they should be
# Run by a timer on the second host. It pulls: the first host has no way here, so whoever breaks into that one can make
# the copies stop, and cannot destroy them. For the same reason nothing is ever rolled back or deleted here to make a
# stream fit: what does not follow the last snapshot of a copy is refused, and somebody has to look.
set -Eeuo pipefail
shopt -s inherit_errexit
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077

: "${REPLICA_FOLDER:=/etc/research-compute/replica}"
: "${REPLICA_STATE:=/var/lib/research-compute/replica}"
: "${REPLICA_LOCK:=/run/research-compute-replica.lock}"
: "${AGES:=/usr/local/lib/research-compute/snapshot-ages}"
# The user property that says for whom a home was made (make-homes).
readonly OWNER_PROPERTY=research-compute:home
# Beginning of the name of snapshots that backups are made from (data-views).
readonly PASSING=research-compute-backup

# shellcheck source=/dev/null
. "$REPLICA_FOLDER/settings"

fail() {
    printf 'failed: %s\n' "$*" >&2
    exit 70
}

readonly OPTIONS=(
    BatchMode=yes
    BindAddress="$OWN_ADDRESS"
    ConnectTimeout=20
    GlobalKnownHostsFile=/dev/null
    HostKeyAlias="$FIRST"
    HostName="$ADDRESS"
    IdentitiesOnly=yes
    LogLevel=ERROR
    # A first host that lost its power or its network is noticed in a minute.
    ServerAliveCountMax=4
    ServerAliveInterval=15
    StrictHostKeyChecking=yes
    UpdateHostKeys=no
    UserKnownHostsFile="$REPLICA_FOLDER/known_hosts"
)

# Ask the first host: ask WORD...; each word as it is, since the other side knows single quotes only. All questions
# share a connection, which outlasts the last one by a moment.
ask() {
    local options=(-o ControlMaster=auto -o ControlPersist=10 -o ControlPath="$REPLICA_STATE/connection") option
    mkdir -p -- "$REPLICA_STATE"
    for option in "${OPTIONS[@]}"; do options+=(-o "$option"); done
    ssh "${options[@]}" -i "$REPLICA_FOLDER/key" -p "$PORT" "$LOGIN@$FIRST" "$*"
}

probe() {
    if ! ask zfs list -H -o name "${SOURCES[@]}" </dev/null >/dev/null; then
        fail "$FIRST ($ADDRESS port $PORT) does not let $LOGIN read ${SOURCES[*]}:" \
            "look at its host key, its firewall, and AllowUsers of its SSH server"
    fi
}

# The options of zfs-send(8): blocks as they lie on the disks, where both pools can have them so.
send_options() {
    local there here
    here=$(zpool get -o value -H feature@zstd_compress "$POOL" 2>/dev/null || true)
    there=$(ask zpool get -o value -H feature@zstd_compress "${SOURCES[0]%%/*}" </dev/null 2>/dev/null || true)
    if [[ $here =~ ^(enabled|active)$ && $there =~ ^(enabled|active)$ ]]; then printf 'Lce'; fi
}

# The options of zfs-receive(8): never mounted; and where this ZFS can, whatever a stream says of mounting is left out.
receive_options() {
    local usage
    usage=$(zfs receive 2>&1 || true)
    printf 'u'
    if [[ $usage == *'[-x <property>]'* ]]; then printf ' x mountpoint x canmount x readonly'; fi
}

# Datasets of the first host, each after `+` if it can be fetched, after `-` if not: it, or one it lies in, has no
# snapshot yet, or is a volume, which nobody's files are in.
look_over() {
    ask zfs list -H -r -o name,type -t filesystem,volume,snapshot "${SOURCES[@]}" </dev/null | awk -F '\t' '
        $2 == "snapshot" { sub(/@.*/, "", $1); has[$1] = 1; next }
        { names[++count] = $1; if ($2 == "volume") without[$1] = 1 }
        END {
            for (i = 1; i <= count; i++) {
                parent = names[i]
                sub(/\/[^\/]*$/, "", parent)
                if ((names[i] in has) && !(names[i] in without) && !(parent in without)) { print "+" names[i]; continue }
                without[names[i]] = 1
                print "-" names[i]
            }
        }'
}

fetch() {
    local found name source excluded status=0 options=() option send
    mkdir -p -- "$REPLICA_STATE"
    found=$(look_over) || fail "$FIRST does not say what it has"
    sed -n "s|^+|$POOL/|p" <<<"$found" >"$REPLICA_STATE/datasets.new"
    mv -f -- "$REPLICA_STATE/datasets.new" "$REPLICA_STATE/datasets"
    for option in "${OPTIONS[@]}"; do options+=("--sshoption=$option"); done
    send=$(send_options)
    if [[ -n $send ]]; then options+=("--sendoptions=$send"); fi
    if [[ -n $BANDWIDTH ]]; then options+=("--target-bwlimit=$BANDWIDTH"); fi
    options+=("--recvoptions=$(receive_options)")
    for source in "${SOURCES[@]}"; do
        if ! grep -qxF -- "+$source" <<<"$found"; then
            echo "$source has no snapshot yet" >&2
            status=1
            continue
        fi
        excluded=()
        while read -r name; do
            if [[ $name == "-$source/"* ]]; then excluded+=("--exclude=^${name#-}\$"); fi
        done <<<"$found"
        syncoid --recursive --quiet --no-sync-snap --no-rollback --no-clone-handling --no-privilege-elevation \
            --compress=none --sshkey="$REPLICA_FOLDER/key" --sshport="$PORT" "${options[@]}" "${excluded[@]}" \
            "$LOGIN@$FIRST:$source" "$POOL/$source" </dev/null || status=1
    done
    drop_passing || status=1
    # In any case: what did arrive is what the next run goes on from.
    keep_last || status=1
    copy_owners || status=1
    ages || status=1
    return "$status"
}

# Have the first host hold the last snapshot of every copy until a later one is here. It would prune them in the end,
# and after a longer absence nothing would be left that both have.
keep_last() {
    # Snapshots of one file system are listed in the order in which they were taken.
    local names
    names=$(zfs list -H -r -t snapshot -o name "${SOURCES[@]/#/$POOL/}" 2>/dev/null || true)
    awk -F @ -v pool="$POOL/" '
        { last[$1] = $2 }
        END { for (name in last) if (last[name] ~ /^autosnap_/) print substr(name, length(pool) + 1) "@" last[name] }
    ' <<<"$names" | sort | ask keep
}

# Snapshots that backups are made from (data-views) are gone on the first host as soon as they were; one that came along
# would stay here for ever.
drop_passing() {
    local name status=0
    while read -r name; do
        if [[ $name == *"@$PASSING-"* ]] && ! zfs destroy "$name"; then status=1; fi
    done < <(zfs list -H -r -t snapshot -o name "${SOURCES[@]/#/$POOL/}" 2>/dev/null)
    return "$status"
}

# Take along for whom each home was made. Streams carry no properties: a mount point among them would be one here.
copy_owners() {
    local name owner
    while IFS=$'\t' read -r name owner; do
        if [[ ! $owner =~ ^[0-9]+:[0-9]+$ ]]; then continue; fi
        if ! zfs list -H -o name "$POOL/$name" >/dev/null 2>&1; then continue; fi
        if [[ $(zfs get -H -o value "$OWNER_PROPERTY" "$POOL/$name") == "$owner" ]]; then continue; fi
        zfs set "$OWNER_PROPERTY=$owner" "$POOL/$name"
    done < <(ask zfs get -H -r -s local -o name,value "$OWNER_PROPERTY" "${SOURCES[@]}" </dev/null)
}

# The longest time between two runs, in seconds, among the next ones.
interval() {
    local line moment previous='' longest=0
    while read -r line; do
        moment=$(date -d "$line" +%s)
        if [[ -n $previous ]] && ((moment - previous > longest)); then longest=$((moment - previous)); fi
        previous=$moment
    done < <(systemd-analyze calendar --iterations=10 -- "$SCHEDULE" 2>/dev/null |
        sed -nE 's/^ *(Next elapse|Iter\. #[0-9]+|Iteration #[0-9]+): +//p')
    printf '%s' "$longest"
}

# A copy may be as old as the first host's newest snapshot, and two runs more.
ages() {
    if [[ ! -s $REPLICA_STATE/datasets ]]; then
        echo "nothing of $FIRST was copied yet"
        return 1
    fi
    local roots=() source
    for source in "${SOURCES[@]}"; do
        if zfs list -H -o name "$POOL/$source" >/dev/null 2>&1; then roots+=("$POOL/$source"); fi
    done
    if ((${#roots[@]} == 0)); then
        echo "nothing of $FIRST was copied yet"
        return 1
    fi
    "$AGES" --only "$REPLICA_STATE/datasets" "$((LIMIT_SECONDS + 2 * $(interval)))" "${roots[@]}"
}

case ${1:-} in
    --probe) probe ;;
    --ages) ages ;;
    '')
        exec 9>"$REPLICA_LOCK"
        flock --nonblock 9 || fail 'another run is under way'
        fetch
        ;;
    *) fail "replica-fetch takes --probe, --ages, or nothing" ;;
esac
