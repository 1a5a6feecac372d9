# shellcheck shell=bash
# Which disks a pool has, in which groups, and how that differs from the stack file. A group is written as its kind and
# its disks: `mirror DISK DISK`, `raidz2 DISK...`, `disk DISK`.

# One line per disk of the pool at hand: SECTION GROUP KIND SLOT SHOWN ID STATE. Disks of one SLOT stand for each other
# (one replaces the other, or is its spare).
LAYOUT=()
# What `compare_section` found: groups to be added, disks to be replaced (`ID DISK`), groups the stack file lacks.
NEW_GROUPS=() REPLACEMENTS=() GONE=()

# Whether a pool is imported.
is_imported() {
    command -v zpool >/dev/null && zpool list -H -o name 2>/dev/null | grep -qxF -- "$1"
}

# All disks of imported pools: `POOL DISK`.
imported_disks() {
    local name
    if ! command -v zpool >/dev/null; then return 0; fi
    while read -r name; do
        pool_status "$name" | layout_lines "$name" | awk -v name="$name" '{ print name, $5 }'
    done < <(zpool list -H -o name 2>/dev/null || true)
}

# The status of a pool. Its disks have the names zpool takes back: of a disk the end of its path, of a file all of it.
pool_status() { zpool status "$1"; }

# Lines of `LAYOUT` from what zpool status or zpool import printed about a pool.
layout_lines() {
    awk -v pool="$1" '
        /^ *config:/ { inside = 1; next }
        /^ *errors:/ { inside = 0 }
        !inside || NF == 0 { next }
        {
            match($0, /^[\t ]*/)
            depth = int((RLENGTH - 1) / 2)
            name = $1
            shown = name
            for (word = 2; word < NF; word++) if ($word == "was") shown = $(word + 1)
        }
        depth == 0 {
            section = ""
            if (name == pool) section = "data"
            if (name ~ /^(logs|special|cache|spares|dedup)$/) section = name
            next
        }
        section == "" { next }
        depth == 1 { group = name; kind = "disk"; slot++ }
        depth == 2 { slot++ }
        name ~ /^(mirror|raidz[123]?|draid[0-9:a-z]*)-[0-9]+$/ && depth == 1 {
            kind = name
            sub(/-[0-9]+$/, "", kind)
            if (kind == "raidz") kind = "raidz1"
            next
        }
        name ~ /^(replacing|spare|indirect)-[0-9]+$/ { next }
        # A distributed spare is no disk.
        name ~ /^draid[0-9]+-[0-9]+-[0-9]+$/ { next }
        { print section, group, kind, slot, shown, name, $2 }
    '
}

# Groups of a section, in order.
section_groups() {
    local line
    for line in "${LAYOUT[@]}"; do printf '%s\n' "$line"; done | awk -v section="$1" '$1 == section && !seen[$2]++ { print $2 }'
}

# Lines of one group.
group_lines() {
    local line
    for line in "${LAYOUT[@]}"; do printf '%s\n' "$line"; done | awk -v section="$1" -v group="$2" '$1 == section && $2 == group'
}

# Whether a group has any of these disks.
has_any() {
    local section=$1 group=$2 shown disk
    shift 2
    while read -r _ _ _ _ shown _; do
        for disk in "$@"; do
            if same_disk "$shown" "$disk"; then return 0; fi
        done
    done < <(group_lines "$section" "$group")
    return 1
}

# Compare a section of the pool with the planned groups: compare_section SECTION GROUP...
compare_section() {
    local section=$1 planned group index=-1 found
    local -a groups words
    local -A taken=()
    shift
    NEW_GROUPS=() REPLACEMENTS=() GONE=()
    mapfile -t groups < <(section_groups "$section")
    for planned in "$@"; do
        index=$((index + 1))
        read -ra words <<<"$planned"
        found=''
        for group in "${groups[@]}"; do
            if [[ -z ${taken[$group]:-} ]] && has_any "$section" "$group" "${words[@]:1}"; then
                found=$group
                break
            fi
        done
        # A disk that stands alone has nothing in common with the one that takes its place but the place.
        if [[ -z $found && ${words[0]} == disk && $index -lt ${#groups[@]} ]] && ! is_planned "$section" "${groups[index]}" "$@"; then
            found=${groups[index]}
        fi
        if [[ -z $found ]]; then
            NEW_GROUPS+=("$planned")
            continue
        fi
        taken[$found]=1
        compare_group "$section" "$found" "${words[@]}"
    done
    for group in "${groups[@]}"; do
        if [[ -z ${taken[$group]:-} ]]; then GONE+=("$group"); fi
    done
}

# Whether a group has any disk of the planned ones: is_planned SECTION GROUP PLANNED...
is_planned() {
    local section=$1 group=$2 planned
    local -a words
    shift 2
    for planned in "$@"; do
        read -ra words <<<"$planned"
        if has_any "$section" "$group" "${words[@]:1}"; then return 0; fi
    done
    return 1
}

# Compare one group with a planned one that has a disk in common with it: compare_group SECTION GROUP KIND DISK...
compare_group() {
    local section=$1 group=$2 kind=$3 has slot shown id disk index
    local -a old=() new=()
    local -A known=() ids=() free=()
    shift 3
    has=$(group_lines "$section" "$group" | awk 'NR == 1 { print $3 }')
    if [[ $has != "$kind" ]]; then
        refuse "$group of the pool $POOL is $has and can never be $kind: write kind $has in storage.zfs.pools.$POOL"
    fi
    while read -r _ _ _ slot shown id _; do
        if [[ -z ${ids[$slot]:-} ]]; then
            ids[$slot]=$id
            old+=("$slot")
        fi
        for disk in "$@"; do
            if same_disk "$shown" "$disk"; then
                known[$disk]=1
                free[$slot]=no
            fi
        done
    done < <(group_lines "$section" "$group")
    if ((${#old[@]} != $#)); then
        refuse "$group of the pool $POOL has ${#old[@]} disks, and $# are written for it: a group keeps its width" \
            "(a disk is replaced by writing another in its place; more room comes from a further group)"
    fi
    for disk in "$@"; do
        if [[ -z ${known[$disk]:-} ]]; then new+=("$disk"); fi
    done
    index=0
    for slot in "${old[@]}"; do
        if [[ ${free[$slot]:-} == no ]]; then continue; fi
        REPLACEMENTS+=("${ids[$slot]} ${new[index]}")
        index=$((index + 1))
    done
}

# Groups with data that lack more disks than they can do without, one per line: GROUP DISK...
broken_groups() {
    local line
    for line in "${LAYOUT[@]}"; do printf '%s\n' "$line"; done | awk '
        $1 != "data" && $1 != "special" { next }
        {
            kind[$2] = $3
            if (!(($2, $4) in seen)) { seen[$2, $4] = 1; slots[$2]++ }
            if ($7 ~ /^(ONLINE|DEGRADED)$/ && !(($2, $4) in good)) { good[$2, $4] = 1; works[$2]++ }
            if ($7 !~ /^(ONLINE|DEGRADED)$/) lacks[$2] = lacks[$2] " " $5
        }
        END {
            for (group in kind) {
                spare = 0
                if (kind[group] == "mirror") spare = slots[group] - 1
                if (kind[group] ~ /^(raidz|draid)[123]/) spare = substr(kind[group], 6, 1)
                if (slots[group] - works[group] > spare) print group lacks[group]
            }
        }
    '
}

# Whether every disk of the pool at hand works.
is_whole() {
    local line
    for line in "${LAYOUT[@]}"; do printf '%s\n' "$line"; done | awk '$7 !~ /^(ONLINE|AVAIL|INUSE)$/ { bad = 1 } END { exit bad }'
}

# Disks of a section that are no groups (cache, spares), as shown.
section_disks() {
    local line
    for line in "${LAYOUT[@]}"; do printf '%s\n' "$line"; done | awk -v section="$1" '$1 == section { print $5 }'
}

# A planned group as zpool's command line has it.
group_words() {
    local -a words
    read -ra words <<<"$1"
    if [[ ${words[0]} == disk ]]; then printf '%s\n' "${words[@]:1}"; else printf '%s\n' "${words[@]}"; fi
}
