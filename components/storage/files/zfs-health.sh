#!/bin/bash
# Look at the pools of this host, and end with an error if one needs somebody: then this unit is among those that
# failed (systemctl --failed, labctl drift), and the journal has the reasons.

set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

: "${POOLS_FOLDER:=/etc/research-compute/zfs/pools}"
: "${SEEN_FOLDER:=/var/lib/research-compute/zfs-health}"
# Part of a pool, in percent, from which ZFS slows down, and from which it is soon full.
: "${FULL_SOON:=80}" "${FULL:=90}"
# How much later than its schedule a scrub may end, in seconds: it takes days on a large pool.
: "${SCRUB_GRACE:=691200}"
# Time now, in seconds; the tests have another.
: "${NOW:=$(date +%s)}"

found=0

bad() {
    printf '%s\n' "$*" >&2
    found=1
}

# Seconds between two runs of a timer with this schedule; a year if systemd cannot tell.
interval_of() {
    local first second
    { read -r first && read -r second; } < <(
        systemd-analyze calendar --iterations=2 "$1" 2>/dev/null |
            sed -n 's/^ *\(Next elapse\|Iteration #2\|Iter\. #2\): *//p'
    ) || true
    if [[ -z ${first:-} || -z ${second:-} ]]; then
        printf '31536000'
        return 0
    fi
    printf '%s' $(($(date -d "$second" +%s) - $(date -d "$first" +%s)))
}

# When the last scrub of a pool ended, as far as it was ever seen; else when the pool was made. Seconds.
last_scrub() {
    local pool=$1 status=$2 date seen=$SEEN_FOLDER/$1
    date=$(sed -n 's/^ *scan: scrub repaired .* on \(.*\)$/\1/p; s/^ *scrub: scrub completed after .* on \(.*\)$/\1/p' <<<"$status" | head -n 1)
    if [[ -n $date ]]; then
        # A resilver takes the line's place: it is kept here.
        install -d -m 0700 -- "$SEEN_FOLDER"
        date -d "$date" +%s >"$seen"
    fi
    if [[ -s $seen ]]; then cat -- "$seen"; else zfs get -Hp -o value creation "$pool"; fi
}

look_at() {
    local pool=$1 schedule=$2 health capacity status errors age
    if ! health=$(zpool list -H -o health "$pool" 2>/dev/null); then
        bad "pool $pool: it is not imported"
        return 0
    fi
    status=$(zpool status "$pool")
    if [[ $health != ONLINE ]]; then
        bad "pool $pool: it is $health: $(awk 'NF >= 5 && $2 ~ /^(DEGRADED|FAULTED|OFFLINE|UNAVAIL|REMOVED)$/ { print $1, $2 }' <<<"$status" | paste -s -d ';')"
    fi
    errors=$(sed -n 's/^errors: //p' <<<"$status")
    if [[ $errors != 'No known data errors' ]]; then bad "pool $pool: $errors (zpool status -v $pool)"; fi
    errors=$(awk 'NF >= 5 && $2 ~ /^[A-Z]+$/ && $1 != "NAME" && $3 $4 $5 !~ /^0+$/ { print $1 }' <<<"$status" | paste -s -d ' ')
    if [[ -n $errors ]]; then bad "pool $pool: errors counted on $errors (zpool status $pool; after mending: zpool clear $pool)"; fi
    capacity=$(zpool list -H -o capacity "$pool")
    capacity=${capacity%\%}
    if ((capacity >= FULL)); then
        bad "pool $pool: $capacity % full, and slow because of it: make room, or add a group of disks"
    elif ((capacity >= FULL_SOON)); then
        printf 'pool %s: %s %% full; from %s %% on this look fails\n' "$pool" "$capacity" "$FULL"
    fi
    age=$((NOW - $(last_scrub "$pool" "$status")))
    if ((age > $(interval_of "$schedule") + SCRUB_GRACE)); then
        if grep -Eq 'scrub in progress' <<<"$status"; then return 0; fi
        bad "pool $pool: not read through for $((age / 86400)) days (schedule $schedule: systemctl list-timers 'research-compute-zfs-scrub*')"
    fi
}

main() {
    local file SCRUB
    for file in "$POOLS_FOLDER"/*; do
        if [[ ! -f $file ]]; then continue; fi
        SCRUB=monthly
        # shellcheck source=/dev/null
        . "$file"
        look_at "$(basename -- "$file")" "$SCRUB"
    done
    exit "$found"
}

main
