# shellcheck shell=bash
# What `labctl doctor` wants to know of a host beside `labctl drift`: one fact per line, its fields separated by tabs.
# Looks, and changes nothing; what a host does not have gives no line. Comes after facts.sh; `health_facts` prints them.

# First of all the clock, since whoever reads the line looks at another clock then.
health_facts() {
    export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    fact clock "$(date +%s.%N)" "$(timedatectl show --property NTPSynchronized --value 2>/dev/null || true)"
    pools
    copies research-compute-etcd-backup "$FACTS_ROOT/var/lib/research-compute/backup/last-success"
    copies research-compute-data-backup "$FACTS_ROOT/var/lib/research-compute/data-backup/last-success"
}

# Name, health and used percent of each ZFS pool (zpool-list(8)).
pools() {
    local name health capacity
    if ! command -v zpool >/dev/null; then return; fi
    while IFS=$'\t' read -r name health capacity; do
        fact pool "$name" "$health" "${capacity%\%}"
    done < <(zpool list -H -o name,health,capacity 2>/dev/null || true)
}

# When a backup last succeeded, and how many seconds lie between two of its timer; each `-` where it is not known.
copies() {
    local unit=$1 file=$2 timer schedule last='-' apart='-' first='' second=''
    timer=$FACTS_ROOT/etc/systemd/system/$unit.timer
    if [[ ! -r $timer ]]; then return; fi
    if [[ -s $file ]]; then last=$(date -d "$(<"$file")" +%s 2>/dev/null || printf -- -); fi
    schedule=$(sed -n 's/^OnCalendar=//p' "$timer")
    { read -r first && read -r second; } < <(
        systemd-analyze calendar --iterations=2 "$schedule" 2>/dev/null |
            sed -n 's/^ *\(Next elapse\|Iteration #2\|Iter\. #2\): *//p'
    ) || true
    if [[ -n $first && -n $second ]]; then apart=$(($(date -d "$second" +%s) - $(date -d "$first" +%s))); fi
    fact backup "$unit" "$last" "$apart"
}
