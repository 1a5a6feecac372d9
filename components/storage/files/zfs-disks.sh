# shellcheck shell=bash
# What a disk holds, who uses it, and how it is emptied. A disk is a block device, or a file.

# A disk with all that lies on it (partitions, and what is made of them), one path per line, the disk first.
disk_devices() {
    if [[ -b $1 ]]; then
        lsblk --noheadings --raw --paths --output NAME -- "$1" | awk '!seen[$0]++'
    else
        printf '%s\n' "$1"
    fi
}

# Who uses a disk now, in words; nothing if nobody does. What this names is never overwritten, whatever is to be wiped.
disk_use() {
    local disk=$1 device target kind loops member
    local -a devices
    mapfile -t devices < <(disk_devices "$disk")
    for device in "${devices[@]}"; do
        target=$(findmnt --noheadings --first-only --output TARGET --source "$device" 2>/dev/null || true)
        if [[ -n $target ]]; then
            printf '%s is mounted at %s' "$device" "$target"
            return 0
        fi
        if awk -v path="$(readlink -f -- "$device")" 'NR > 1 && $1 == path { found = 1 } END { exit !found }' /proc/swaps; then
            printf '%s is swap' "$device"
            return 0
        fi
        if [[ ! -b $device ]]; then
            loops=$(losetup --noheadings --output NAME --associated "$device" 2>/dev/null || true)
            if [[ -n $loops ]]; then
                printf '%s is behind %s' "$device" "${loops//$'\n'/ }"
                return 0
            fi
            continue
        fi
        kind=$(lsblk --noheadings --nodeps --output TYPE -- "$device")
        if [[ $device != "${devices[0]}" && $kind != part ]]; then
            printf '%s (%s) is made of it' "$device" "$kind"
            return 0
        fi
    done
    member=$(pool_of_disk "$disk")
    if [[ -n $member ]]; then printf 'it is in the pool %s, which is imported' "$member"; fi
}

# Imported pool that has a disk, or nothing.
pool_of_disk() {
    local name shown
    while read -r name shown; do
        if same_disk "$shown" "$1"; then
            printf '%s' "$name"
            return 0
        fi
    done < <(imported_disks)
}

# What a disk holds, in words, as far as anything is known to hold something; nothing if it is empty.
disk_content() {
    local device found label name host
    label=$(disk_label "$1")
    if [[ -n $label ]]; then
        read -r name _ _ _ host _ <<<"$label"
        printf 'a member of the pool %s (last used by %s)' "$name" "$host"
        return 0
    fi
    while read -r device; do
        # Both partition tables and file systems, RAID and LVM members, and what is several of them at once.
        found=$(wipefs --no-act --noheadings --output TYPE -- "$device" 2>/dev/null | sort -u | paste -s -d ' ')
        if [[ -n $found ]]; then
            printf '%s' "$found"
            if [[ $device != "$1" ]]; then printf ' on %s' "$device"; fi
            return 0
        fi
    done < <(disk_devices "$1")
    # Every file system, table and label known has something in the first MiB; an empty disk has not.
    if ! cmp --silent --bytes=1048576 -- "$1" /dev/zero; then printf 'data of no known kind'; fi
}

# Label of a pool on a disk: its name, guid, state (0 in use, 1 exported, 2 destroyed), host id and host name, and the
# sector size as a power of two; nothing if there is none.
disk_label() {
    local candidate
    command -v zdb >/dev/null || return 0
    for candidate in "$1" "$1-part1" "$1"p1; do
        if [[ ! -e $candidate ]]; then continue; fi
        { zdb -l "$candidate" 2>/dev/null || true; } | awk '
            function value(text) { sub(/^[^:]*: */, "", text); gsub(/\047/, "", text); return text }
            /^    name: / && name == "" { name = value($0) }
            /^    pool_guid: / && guid == "" { guid = value($0) }
            /^    state: / && state == "" { state = value($0) }
            /^    hostid: / && id == "" { id = value($0) }
            /^    hostname: / && host == "" { host = value($0) }
            /^ +ashift: / && shift == "" { shift = value($0) }
            END { if (name != "" && guid != "") print name, guid, state, (id == "" ? 0 : id), (host == "" ? "-" : host), shift }
        ' | grep . && return 0
    done
    return 0
}

# Whether a disk as zpool shows it is a disk of the stack file. zpool leaves out folders, and names the first partition
# of a disk that it was given as a whole.
same_disk() {
    local shown=$1 planned=$2 one other
    if [[ $shown == "$planned" ]]; then return 0; fi
    if [[ $planned == /dev/* && ($shown == "$planned-part1" || $shown == "${planned##*/}" || $shown == "${planned##*/}-part1") ]]; then
        return 0
    fi
    if [[ $shown != /* ]]; then shown=/dev/$shown; fi
    if [[ ! -e $shown || ! -e $planned ]]; then return 1; fi
    one=$(readlink -f -- "$shown")
    other=$(readlink -f -- "$planned")
    if [[ $one == "$other" ]]; then return 0; fi
    if [[ ! -b $other ]]; then return 1; fi
    case $other in
        *[0-9]) [[ $one == "${other}p1" ]] ;;
        *) [[ $one == "${other}1" ]] ;;
    esac
}

# A disk that may be taken: empty, or named for wiping; never one that is in use. require_usable DISK WIPE...
require_usable() {
    local disk=$1 use content word
    shift
    if [[ ! -b $disk && ! -f $disk ]]; then
        refuse "there is no disk $disk on $STEP_HOST (ls -l /dev/disk/by-id)"
    fi
    use=$(disk_use "$disk")
    if [[ -n $use ]]; then refuse "$disk is in use and never overwritten: $use"; fi
    content=$(disk_content "$disk")
    if [[ -z $content ]]; then return 0; fi
    for word in "$@"; do
        if [[ $word == "$disk" ]]; then return 0; fi
    done
    refuse "$disk holds something: $content. If that may go for ever, name the disk under" \
        "storage.zfs.pools.$POOL.wipe; if not, take another disk"
}

# A disk with nothing on it; it was found usable before.
want_empty() {
    local device bytes
    if [[ -z $(disk_content "$1") ]]; then return 0; fi
    changed "wiped $1"
    if checking; then return 0; fi
    # What lies on it first: without its partition table the partitions could no longer be reached.
    while read -r device; do
        wipefs --all --quiet --force -- "$device"
        if [[ -b $device ]]; then bytes=$(blockdev --getsize64 "$device"); else bytes=$(stat -c %s -- "$device"); fi
        # The labels of ZFS and the copy of a partition table lie within the first and the last MiB.
        dd if=/dev/zero of="$device" bs=1M count=1 conv=notrunc,fsync status=none
        dd if=/dev/zero of="$device" bs=1M count=1 oflag=seek_bytes seek=$((bytes - 1048576)) conv=notrunc,fsync status=none
    done < <(disk_devices "$1" | tac)
    if [[ -b $1 ]]; then
        blockdev --rereadpt "$1" 2>/dev/null || true
        if command -v udevadm >/dev/null; then udevadm settle --timeout=30 || true; fi
    fi
}
