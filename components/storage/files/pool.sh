# shellcheck shell=bash
# One pool: made of empty disks, or imported from disks that hold it; grown, mended, never destroyed.
#
# Values: POOL, DATA, SPECIAL and LOG (groups, each its kind and its disks: `raidz2 DISK...`), CACHE, SPARES and WIPE
# (disks), ASHIFT, POOL_PROPERTIES and PROPERTIES (NAME=VALUE), SCRUB.

# How long a resilver is waited for before the next disk is replaced, in seconds. It may take days; then the next run
# goes on.
: "${RESILVER_SECONDS=60}"
readonly POOLS_FOLDER=$CONFIG_FOLDER/zfs/pools
readonly SCRUB_UNIT=research-compute-zfs-scrub

desired() {
    if ! command -v zpool >/dev/null; then
        # Only a look at a host that was never prepared comes here.
        changed "pool $POOL"
        return 0
    fi
    if ! is_imported "$POOL"; then
        if [[ -n $(pool_on_disks) ]]; then import_pool; else create_pool; fi
        if ! is_imported "$POOL"; then return 0; fi
    fi
    # From here on it may hold somebody's data: never to be made anew.
    if ! checking; then rm -f -- "$STATE_FOLDER/markers/pool-$POOL-begun"; fi
    read_pool
    require_right_ashift
    want_layout
    want_pool_properties "$POOL" "${POOL_PROPERTIES[@]}"
    want_properties "$POOL" "mountpoint=/$POOL" "${PROPERTIES[@]}"
    want_mounted
    want_care
    marker_set "pool-$POOL" "$(pool_property "$POOL" guid)"
    say_state
}

# The pool stays as it is, with all that is in it; only its scrubs end.
undo() {
    want_no_service "$SCRUB_UNIT-$POOL.timer"
    want_absent "/etc/systemd/system/$SCRUB_UNIT-$POOL.timer" "$POOLS_FOLDER/$POOL" "$STATE_FOLDER/markers/pool-$POOL"
    reload_units
    log "the pool $POOL stays as it is (zpool export, zpool destroy are left to people)"
}

# Disks of data and of metadata: without them there is no pool.
vital_disks() {
    local group
    for group in "${DATA[@]}" "${SPECIAL[@]}"; do group_disks "$group"; done
}

all_disks() {
    local group
    vital_disks
    for group in "${LOG[@]}"; do group_disks "$group"; done
    if ((${#CACHE[@]} + ${#SPARES[@]} > 0)); then printf '%s\n' "${CACHE[@]}" "${SPARES[@]}"; fi
}

group_disks() {
    local -a words
    read -ra words <<<"$1"
    printf '%s\n' "${words[@]:1}"
}

# --- a pool that exists ----------------------------------------------------------------------------------------------

# `GUID STATE HOSTID HOST` of the pool of this name that planned disks hold, one line for each guid.
pool_on_disks() {
    local disk name guid state id host
    while read -r disk; do
        if [[ ! -e $disk ]]; then continue; fi
        read -r name guid state id host _ <<<"$(disk_label "$disk")" || true
        # A destroyed pool is content like any other.
        if [[ $name == "$POOL" && $state != 2 ]]; then printf '%s %s %s %s\n' "$guid" "$state" "$id" "$host"; fi
    done < <(vital_disks) | sort -u -k 1,1
}

# Import the pool that the disks hold. Never by force: who forces takes a pool from a machine that may still write to it.
import_pool() {
    local found guid state id host listing folder broken
    local -a folders=()
    found=$(pool_on_disks)
    if [[ $found == *$'\n'* ]]; then
        refuse "the disks of the pool $POOL hold several pools of that name (guid ${found//$'\n'/; })"
    fi
    read -r guid state id host <<<"$found"
    while read -r folder; do folders+=(-d "$folder"); done < <(all_disks | xargs -r -d '\n' dirname -- | sort -u)
    listing=$(zpool import "${folders[@]}" 2>/dev/null | awk -v guid="$guid" '/^ *pool: / { keep = 0; held = $0 } /^ *id: / { keep = ($2 == guid) } keep' || true)
    mapfile -t LAYOUT < <(layout_lines "$POOL" <<<"$listing")
    if was_begun && { ((${#LAYOUT[@]} == 0)) || ! is_whole; }; then
        log "the pool $POOL was being made when a run was cut off; it is made anew"
        create_pool
        return 0
    fi
    if [[ -z $listing ]]; then
        refuse "the label of the pool $POOL (guid $guid) is on its disks, but zpool import does not find it:" \
            "see zpool import ${folders[*]}"
    fi
    if [[ $state == 0 && $id != 0 && $id != "$((16#$(hostid)))" ]]; then
        refuse "the pool $POOL was last used by the host $host (id $id) and not exported there. If that machine is gone" \
            "for good, import it here by hand: zpool import ${folders[*]} -f $guid"
    fi
    require_own_disks
    broken=$(broken_groups)
    if [[ -n $broken ]]; then
        refuse "the pool $POOL (guid $guid) lacks more disks than it can do without: ${broken//$'\n'/; }. Connect them;" \
            "if they are gone for good, so is the pool: see zpool import ${folders[*]}"
    fi
    changed "pool $POOL imported"
    if checking; then return 0; fi
    zpool import "${folders[@]}" "$guid" || fail "zpool import of $POOL (guid $guid) gave up"
}

# Refuse a pool of the name that lies on other disks than the stack file's.
require_own_disks() {
    compare_section data "${DATA[@]}"
    if ((${#GONE[@]} > 0)); then refuse_gone data "${GONE[0]}"; fi
    compare_section special "${SPECIAL[@]}"
    if ((${#GONE[@]} > 0)); then refuse_gone special "${GONE[0]}"; fi
}

refuse_gone() {
    local disks
    disks=$(group_lines "$1" "$2" | awk '{ print $5 }' | paste -s -d ' ')
    refuse "the pool $POOL has the group $2 ($disks), which storage.zfs.pools.$POOL does not: what holds data is never" \
        'taken away. Write it down as it is, or, if this is another pool, take another name'
}

read_pool() {
    mapfile -t LAYOUT < <(pool_status "$POOL" | layout_lines "$POOL")
    if ((${#LAYOUT[@]} == 0)); then fail "zpool status of $POOL is not understood"; fi
}

# The sector size is for ever, and a pool that was made with too small a one is slow for ever: it is said, not hidden.
require_right_ashift() {
    local disk guid own has
    own=$(pool_property "$POOL" guid)
    while read -r disk; do
        if [[ ! -e $disk ]]; then continue; fi
        read -r _ guid _ _ _ has <<<"$(disk_label "$disk")" || true
        if [[ $guid != "$own" || -z $has ]]; then continue; fi
        if [[ $has == "$ASHIFT" ]]; then return 0; fi
        refuse "the pool $POOL has ashift $has, which can never be changed: write ashift: $has in storage.zfs.pools.$POOL"
    done < <(vital_disks)
}

# --- a new pool ------------------------------------------------------------------------------------------------------

# Whether a run was cut off while it made this pool of these very disks, which were empty before.
was_begun() { [[ $(marker_get "pool-$POOL-begun" || true) == "$(all_disks | paste -s -d ' ')" ]]; }

create_pool() {
    local disk known item
    local -a arguments=() wiped=() words=()
    known=$(marker_get "pool-$POOL" || true)
    if [[ -n $known ]]; then
        refuse "the pool $POOL (guid $known) was on $STEP_HOST, and is neither imported nor on the disks of the stack file:" \
            "an empty one in its place would hide it. Connect its disks, or write down where they are; if it is gone" \
            "for good, say so on $STEP_HOST: rm $STATE_FOLDER/markers/pool-$POOL"
    fi
    if [[ -n $(ls -A -- "/$POOL" 2>/dev/null) ]]; then
        refuse "the folder /$POOL, where the pool $POOL will be, is not empty: move what is in it elsewhere"
    fi
    mapfile -t wiped < <(may_be_wiped)
    while read -r disk; do require_usable "$disk" "${wiped[@]}"; done < <(all_disks)
    while read -r disk; do want_empty "$disk"; done < <(all_disks)
    changed "pool $POOL"
    if checking; then return 0; fi
    marker_set "pool-$POOL-begun" "$(all_disks | paste -s -d ' ')"
    for item in "${POOL_PROPERTIES[@]}"; do arguments+=(-o "$item"); done
    for item in "${PROPERTIES[@]}"; do arguments+=(-O "$item"); done
    mapfile -t words < <(layout_words)
    zpool create -o "ashift=$ASHIFT" "${arguments[@]}" -O "$OWN_PROPERTIES=mountpoint $(property_names)" \
        -m "/$POOL" "$POOL" "${words[@]}" || fail "zpool create of $POOL gave up"
}

property_names() {
    local item names=()
    for item in "${PROPERTIES[@]}"; do names+=("${item%%=*}"); done
    printf '%s' "${names[*]}"
}

# Disks whose content may go: those of `wipe`, but, as long as the pool is not imported, for what is a member of a pool
# of this very name: that may be the pool itself. And, where a run was cut off in making this pool, what it had taken.
may_be_wiped() {
    local disk name
    for disk in "${WIPE[@]}"; do
        read -r name _ <<<"$(disk_label "$disk")" || true
        if [[ $name != "$POOL" ]] || is_imported "$POOL"; then printf '%s\n' "$disk"; fi
    done
    if was_begun; then all_disks; fi
}

# The whole layout as zpool create takes it, one word per line.
layout_words() {
    local group
    for group in "${DATA[@]}"; do group_words "$group"; done
    # zpool takes each of these words once, before all of its groups.
    if ((${#SPECIAL[@]} > 0)); then printf 'special\n'; fi
    for group in "${SPECIAL[@]}"; do group_words "$group"; done
    if ((${#LOG[@]} > 0)); then printf 'log\n'; fi
    for group in "${LOG[@]}"; do group_words "$group"; done
    if ((${#CACHE[@]} > 0)); then printf '%s\n' cache "${CACHE[@]}"; fi
    if ((${#SPARES[@]} > 0)); then printf '%s\n' spare "${SPARES[@]}"; fi
}

# --- growing and mending ---------------------------------------------------------------------------------------------

want_layout() {
    local section
    require_own_disks
    for section in data special logs; do
        case $section in
            data) compare_section data "${DATA[@]}" ;;
            special) compare_section special "${SPECIAL[@]}" ;;
            logs) compare_section logs "${LOG[@]}" ;;
        esac
        want_replaced
        want_removed "${GONE[@]}"
        want_added "$section" "${NEW_GROUPS[@]}"
    done
    want_single_disks cache "${CACHE[@]}"
    want_single_disks spares "${SPARES[@]}"
}

# Disks that another takes the place of, one after another: each resilver is waited for before the next begins.
want_replaced() {
    local item id disk
    local -a todo=("${REPLACEMENTS[@]}")
    for item in "${todo[@]}"; do
        read -r id disk <<<"$item"
        require_usable_here "$disk"
        wait_for_resilver "$disk"
        want_empty "$disk"
        changed "disk $disk instead of $id in $POOL"
        act zpool replace "$POOL" "$id" "$disk" || fail "zpool replace of $id by $disk gave up"
    done
}

wait_for_resilver() {
    local deadline=$((SECONDS + RESILVER_SECONDS))
    if checking; then return 0; fi
    while is_resilvering; do
        if ((SECONDS >= deadline)); then
            fail "the pool $POOL is resilvering, and the next disk ($1) is replaced only after it:" \
                "run again when zpool status $POOL says it is done"
        fi
        sleep 1
    done
}

is_resilvering() { pool_status "$POOL" | grep -q 'resilver in progress'; }

# Groups that hold no data: logs.
want_removed() {
    local group
    for group in "$@"; do
        changed "no $group in $POOL"
        act zpool remove "$POOL" "$group" || fail "zpool remove of $group gave up"
    done
}

want_added() {
    local section=$1 group
    local -a words
    shift
    for group in "$@"; do
        mapfile -t words < <(group_words "$group")
        case $section in
            special) words=(special "${words[@]}") ;;
            logs) words=(log "${words[@]}") ;;
        esac
        add_to_pool "${group#* }" "${words[@]}"
    done
}

# add_to_pool DISKS WORD...: DISKS separated by blanks.
add_to_pool() {
    local disk said
    local -a disks
    read -ra disks <<<"$1"
    shift
    for disk in "${disks[@]}"; do require_usable_here "$disk"; done
    for disk in "${disks[@]}"; do want_empty "$disk"; done
    changed "$* added to $POOL"
    if checking; then return 0; fi
    # It looks at the redundancy, and refuses a group that is less safe than the others.
    said=$(zpool add -n "$POOL" "$@" 2>&1) || refuse "zpool does not add $* to $POOL: ${said//$'\n'/ }"
    zpool add "$POOL" "$@" || fail "zpool add of $* to $POOL gave up"
}

require_usable_here() {
    local -a wiped
    mapfile -t wiped < <(may_be_wiped)
    require_usable "$1" "${wiped[@]}"
}

# Caches and spares: want_single_disks SECTION DISK...
want_single_disks() {
    local section=$1 shown disk found
    local -a has
    shift
    mapfile -t has < <(section_disks "$section")
    for shown in "${has[@]}"; do
        found=''
        for disk in "$@"; do
            if same_disk "$shown" "$disk"; then found=$disk; fi
        done
        if [[ -n $found ]]; then continue; fi
        changed "no $shown among the $section of $POOL"
        act zpool remove "$POOL" "$shown" || fail "zpool remove of $shown gave up"
    done
    for disk in "$@"; do
        found=''
        for shown in "${has[@]}"; do
            if same_disk "$shown" "$disk"; then found=$shown; fi
        done
        if [[ -z $found ]]; then add_to_pool "$disk" "${section%s}" "$disk"; fi
    done
}

# --- what is around a pool -------------------------------------------------------------------------------------------

want_mounted() {
    if [[ $(zfs get -H -o value mounted "$POOL") == yes ]]; then return 0; fi
    changed "mounted $POOL"
    act zfs mount "$POOL" || fail "$POOL cannot be mounted at /$POOL (is the folder empty?)"
}

# Its scrubs, and its place among the pools whose health is looked at.
want_care() {
    want_folder "$CONFIG_FOLDER" 0755
    want_folder "$CONFIG_FOLDER/zfs" 0755
    want_folder "$POOLS_FOLDER" 0755
    printf 'SCRUB=%q\n' "$SCRUB" | want_file "$POOLS_FOLDER/$POOL" 0644
    scrub_timer | want_file "/etc/systemd/system/$SCRUB_UNIT-$POOL.timer" 0644
    want_service "$SCRUB_UNIT-$POOL.timer" restart-if "file /etc/systemd/system/$SCRUB_UNIT-$POOL.timer"
}

scrub_timer() {
    cat <<UNIT
[Unit]
Description=Research Compute: scrubs of the pool $POOL

[Timer]
OnCalendar=$SCRUB
Persistent=true
RandomizedDelaySec=1h
Unit=$SCRUB_UNIT@$POOL.service

[Install]
WantedBy=timers.target
UNIT
}

say_state() {
    result guid "$(pool_property "$POOL" guid)"
    if is_resilvering; then log "the pool $POOL is resilvering (zpool status $POOL)"; fi
}
