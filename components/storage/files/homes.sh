# shellcheck shell=bash
# Homes made at run time: the folders in which they are asked for, the program that makes them (make-homes) with what it
# is started by, homes that are known beforehand, and the quotas of those that are there already.
#
# Values: HOMES (dataset), REQUESTS (folder, a dataset of its own), REQUESTER_UID, FIRST_UID, LAST_UID, USERS_GID,
# HOME_QUOTA (bytes, or empty for none), EXCEPTIONS (NAMESPACE/CLAIM=BYTES), KNOWN_HOMES (NAMESPACE/CLAIM:UID:GID), AFTER_MAKING
# (a command, or empty), MAKER_SCRIPT (where it was put on this host).

readonly HOMES_UNIT=research-compute-homes
readonly LOOK_UNIT=research-compute-homes-look
readonly HOMES_FOLDER=$CONFIG_FOLDER/homes
readonly MAKER=/usr/local/lib/research-compute/make-homes
: "${UNITS=/etc/systemd/system}"
: "${HOMES_ROOT=}"

desired() {
    want_folder "$CONFIG_FOLDER" 0755
    want_folder "$HOMES_FOLDER" 0755
    settings | want_file "$HOMES_FOLDER/settings" 0644
    want_made_of "$MAKER" "$MAKER_SCRIPT"
    service_unit 'homes that were asked for' '' | want_file "$UNITS/$HOMES_UNIT.service" 0644
    service_unit 'a look for requests that were not noticed' ' --look' | want_file "$UNITS/$LOOK_UNIT.service" 0644
    path_unit | want_file "$UNITS/$HOMES_UNIT.path" 0644
    timer_unit | want_file "$UNITS/$LOOK_UNIT.timer" 0644
    if ! has_datasets; then return 0; fi
    want_owned_folder "$HOMES_ROOT$REQUESTS/requests" 0700 "$REQUESTER_UID:$REQUESTER_UID"
    want_owned_folder "$HOMES_ROOT$REQUESTS/answers" 0755 0:0
    want_quotas
    want_known_homes
    want_service "$HOMES_UNIT.path" restart-if "file $UNITS/$HOMES_UNIT.path" restart-if "folder $HOMES_ROOT$REQUESTS/*"
    want_service "$LOOK_UNIT.timer" restart-if "file $UNITS/$LOOK_UNIT.timer"
    if checking; then report_failures; fi
}

# Homes, and the folders they were asked for in, stay: they are the lab's.
undo() {
    act systemctl disable --quiet --now "$HOMES_UNIT.path" "$LOOK_UNIT.timer" 2>/dev/null || true
    want_absent "$UNITS/$HOMES_UNIT.path" "$UNITS/$HOMES_UNIT.service" "$UNITS/$LOOK_UNIT.timer" \
        "$UNITS/$LOOK_UNIT.service" "$MAKER" "$HOMES_FOLDER"
    reload_units
}

# Whether the datasets are there that the `datasets` step makes; a host that is only looked at may not have them yet.
has_datasets() {
    local name
    for name in "$HOMES" "${REQUESTS#/}"; do
        if [[ $(zfs get -H -o value mounted "$name" 2>/dev/null || true) == yes ]]; then continue; fi
        if ! checking; then fail "the dataset $name is not there, or not mounted"; fi
        changed "dataset $name is not there, or not mounted"
        return 1
    done
}

# A folder by the numbers of its owner, who has no name on this host: want_owned_folder PATH MODE UID:GID
want_owned_folder() {
    local path=$1 mode=$2 owner=$3
    if [[ -d $path && ! -L $path && $(stat -c '0%a %u:%g' -- "$path") == "$mode $owner" ]]; then return 0; fi
    if [[ -L $path || (-e $path && ! -d $path) ]]; then fail "$path is no folder, and should be one"; fi
    changed "folder $path"
    act mkdir -p -- "$path"
    act chown -- "$owner" "$path"
    act chmod -- "$mode" "$path"
}

# What the program reads, as shell assignments.
settings() {
    local item
    printf '%s=%q\n' HOMES "$HOMES" REQUESTS "$REQUESTS" REQUESTER_UID "$REQUESTER_UID" FIRST_UID "$FIRST_UID" \
        LAST_UID "$LAST_UID" USERS_GID "$USERS_GID" HOME_QUOTA "$HOME_QUOTA" AFTER_MAKING "$AFTER_MAKING"
    for item in "${EXCEPTIONS[@]}"; do printf 'QUOTA_OF[%q]=%q\n' "${item%%=*}" "${item#*=}"; done
}

# No ProtectSystem, PrivateTmp or anything else that gives a unit file systems of its own: what it mounts would be seen
# by it alone, and the NFS server would export an empty folder (systemd.exec(5), MountFlags=).
service_unit() {
    cat <<UNIT
[Unit]
Description=Research Compute: $1
After=zfs-mount.service zfs-fuse.service
# Every request may be a start of its own.
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=$MAKER$2
TimeoutStartSec=10min
Nice=5
UMask=0077
TasksMax=64
NoNewPrivileges=yes
# Mounting; giving away what is root's; reading with the requester's rights.
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_SETUID CAP_SETGID CAP_SETPCAP CAP_KILL
# ZFS on FUSE and the journal are asked through sockets of this machine; nothing is asked of others.
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
UNIT
}

path_unit() {
    cat <<UNIT
[Unit]
Description=Research Compute: requests for homes
After=zfs-mount.service zfs-fuse.service
StartLimitIntervalSec=0

[Path]
DirectoryNotEmpty=$REQUESTS/requests

[Install]
WantedBy=multi-user.target
UNIT
}

# For what the path unit does not see. The kernel tells it what happens in the folder it was started on, whoever does it,
# the NFS server included; but nothing any more once a dataset is mounted over that folder, or mounted anew.
timer_unit() {
    cat <<UNIT
[Unit]
Description=Research Compute: looks for requests that were not noticed

[Timer]
OnActiveSec=1min
OnUnitInactiveSec=1min
AccuracySec=5s

[Install]
WantedBy=timers.target
UNIT
}

# The quota of every home that is there. All are looked at before one is changed.
want_quotas() {
    local item name property value over=()
    local -A exception=() held=() used=() allowed=()
    for item in "${EXCEPTIONS[@]}"; do exception[$HOMES/${item%%=*}]=${item#*=}; done
    while IFS=$'\t' read -r name property value; do
        case $property in
            refquota) held[$name]=${value/none/0} ;;
            referenced) used[$name]=$value ;;
        esac
    done < <(homes_there | xargs -r zfs get -H -p -o name,property,value refquota,referenced)
    for name in "${!held[@]}"; do
        allowed[$name]=${exception[$name]:-${HOME_QUOTA:-0}}
        if ((allowed[$name] != 0 && allowed[$name] != held[$name] && used[$name] > allowed[$name])); then
            over+=("${name#"$HOMES/"} (${used[$name]} bytes in it, ${allowed[$name]} allowed)")
        fi
    done
    if ((${#over[@]})) && ! checking; then
        refuse "homes hold more than they may, and no quota was changed; give them an exception: ${over[*]}"
    fi
    while read -r name; do
        if [[ -z $name || ${held[$name]} == "${allowed[$name]}" ]]; then continue; fi
        changed "quota of $name: ${held[$name]} to ${allowed[$name]} bytes (0 is none)"
        if [[ ${allowed[$name]} == 0 ]]; then act zfs set refquota=none "$name"; else act zfs set "refquota=${allowed[$name]}" "$name"; fi
    done < <(printf '%s\n' "${!held[@]}" | sort)
}

# Datasets two below the one for homes: HOMES/NAMESPACE/CLAIM.
homes_there() {
    local name
    zfs list -H -o name -t filesystem -r "$HOMES" | while read -r name; do
        if [[ $name == "$HOMES"/*/* && $name != "$HOMES"/*/*/* ]]; then printf '%s\n' "$name"; fi
    done
}

# Homes that nobody can ask for, because what is in them has to be there before there is a hub.
want_known_homes() {
    local item home uid gid
    for item in "${KNOWN_HOMES[@]}"; do
        IFS=: read -r home uid gid <<<"$item"
        if zfs list -H -o name "$HOMES/$home" >/dev/null 2>&1; then continue; fi
        changed "home $home"
        act env HOMES_SETTINGS="$HOMES_FOLDER/settings" HOMES_ROOT="$HOMES_ROOT" \
            "$MAKER" --make "${home%/*}" "${home#*/}" "$uid" "$gid"
    done
}

# A run that failed is a difference that `labctl drift` shows.
report_failures() {
    local unit
    for unit in "$HOMES_UNIT.service" "$HOMES_UNIT.path" "$LOOK_UNIT.service"; do
        if systemctl is-failed --quiet "$unit"; then changed "$unit failed (journalctl --unit $unit)"; fi
    done
}
