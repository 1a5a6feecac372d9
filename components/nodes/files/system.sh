# shellcheck shell=bash
# The operating system of a host: everything but container runtime and Kubernetes.
#
# HOSTNAME_WANTED ADDRESS SECOND_ADDRESS MTU_BYTES PACKAGES TIME_CONF TOLERATES_SWAP MODULES SYSCTLS SYSCTL_CONF JOURNALD_CONF APT_PREFERENCES
# APT_CONF AUTOMATIC_UPDATES HAS_GPU DRIVER_PACKAGES SYSTEM_RAID FIREWALL SSH_NETWORKS4 SSH_NETWORKS6

# Where facts are read; a text composed with other values (the tests') keeps those.
: "${OS_RELEASE=/etc/os-release}" "${FSTAB=/etc/fstab}" "${SWAPS=/proc/swaps}" "${MDSTAT=/proc/mdstat}"
: "${SYSCTL_ROOT=/proc/sys}" "${ENVIRONMENTS=/proc}" "${SYSTEMD_RUNS=/run/systemd/system}"
: "${INTERFACES=/sys/class/net}"

readonly OUR_COMMENT='# research-compute: '
readonly CHRONY_CONF='/etc/chrony/chrony.conf'
readonly NOUVEAU_CONF='/etc/modprobe.d/research-compute-nouveau.conf'
readonly FIREWALL_RULES="$CONFIG_FOLDER/firewall.nft"
readonly FIREWALL_UNIT='research-compute-firewall.service'

desired() {
    check_platform
    check_system_raid
    want_file /etc/apt/preferences.d/research-compute.pref 0644 <<<"$APT_PREFERENCES"
    want_packages "${PACKAGES[@]}"
    check_addresses
    act check_own_way_in
    want_hostname
    want_time
    want_swap
    want_modules
    want_sysctls
    want_file /etc/systemd/journald.conf.d/research-compute.conf 0644 <<<"$JOURNALD_CONF"
    want_service systemd-journald.service restart-if 'file /etc/systemd/journald.conf.d/research-compute.conf'
    want_security_updates
    want_gpu_host
    want_firewall
}

undo() {
    undo_firewall
    restore_original "$CHRONY_CONF" chrony.service
    undo_swap
    want_absent /etc/apt/preferences.d/research-compute.pref /etc/apt/apt.conf.d/52research-compute \
        /etc/needrestart/conf.d/research-compute.conf /etc/cloud/cloud.cfg.d/99-research-compute.cfg \
        /etc/modules-load.d/research-compute.conf /etc/sysctl.d/90-research-compute.conf \
        /etc/systemd/journald.conf.d/research-compute.conf "$NOUVEAU_CONF"
    if was_changed "absent $NOUVEAU_CONF"; then rebuild_initramfs; fi
    if was_changed 'absent /etc/systemd/journald.conf.d/*'; then systemctl restart systemd-journald.service; fi
    rm -rf -- "$STATE_FOLDER"/{apt,checksums,originals,programs} "$CACHE_FOLDER"
    rmdir --ignore-fail-on-non-empty -- /opt/research-compute 2>/dev/null || true
}

check_platform() {
    local id version
    # shellcheck source=/dev/null
    id=$(. "$OS_RELEASE" && printf '%s' "${ID:-unknown}")
    # shellcheck source=/dev/null
    version=$(. "$OS_RELEASE" && printf '%s' "${VERSION_ID:-unknown}")
    case "$id $version" in
        'ubuntu 22.04' | 'ubuntu 24.04' | 'debian 12') ;;
        *) refuse "$STEP_HOST runs $id $version: this works on Ubuntu 22.04, Ubuntu 24.04 and Debian 12" ;;
    esac
    ARCHITECTURE=$(dpkg --print-architecture)
    case $ARCHITECTURE in
        amd64 | arm64) ;;
        *) refuse "$STEP_HOST is a machine of architecture $ARCHITECTURE: this works on amd64 and arm64" ;;
    esac
    if [[ ! -d $SYSTEMD_RUNS ]]; then refuse "$STEP_HOST was not started by systemd"; fi
    result os "$id $version"
    result architecture "$ARCHITECTURE"
}

# --- the system's disks ----------------------------------------------------------------------------------------------

# Every array of the kernel's has all its members: a second disk that fails takes the host with it.
check_system_raid() {
    if [[ $SYSTEM_RAID != raid1 ]]; then return 0; fi
    if [[ ! -r $MDSTAT ]]; then refuse "$STEP_HOST has no RAID: its kernel knows no md arrays ($MDSTAT)"; fi
    local root_array line array='' level='' found='false' members=()
    root_array=$(array_of_root)
    while IFS= read -r line; do
        if [[ $line =~ ^(md[^[:space:]]*)\ :\ ([a-z-]+)(\ \([^\)]*\))?\ (raid[0-9]+|linear)\ (.*)$ ]]; then
            array=${BASH_REMATCH[1]} level=${BASH_REMATCH[4]}
            read -r -a members <<<"${BASH_REMATCH[5]}"
            if [[ $array == "$root_array" ]]; then
                found='true'
                if [[ $level != raid1 ]]; then refuse "the system of $STEP_HOST lies on $array, which is $level"; fi
            fi
        elif [[ $level == raid1 && $line =~ \[([0-9]+)/([0-9]+)\]\ \[([U_]+)\] ]]; then
            if [[ ${BASH_REMATCH[3]} == *_* ]]; then
                fail "$(degraded "$array" "${BASH_REMATCH[2]} of ${BASH_REMATCH[1]} members" "${members[@]}")"
            fi
        fi
    done <"$MDSTAT"
    if [[ $found == false ]]; then
        refuse "the system of $STEP_HOST lies on $(findmnt -no SOURCE / || true), which is no RAID-1 of the kernel's"
    fi
}

# Name of the md array under the root file system, or nothing.
array_of_root() {
    local source
    source=$(findmnt -nvo SOURCE /)
    # From the file system down through volumes, encryption and partitions to the disks.
    lsblk --inverse --noheadings --list --output NAME "$source" 2>/dev/null | grep -m 1 -E '^md[0-9_]' || true
}

degraded() {
    local array=$1 count=$2 member bad=()
    shift 2
    for member in "$@"; do
        if [[ $member == *'(F)'* ]]; then bad+=("${member%%\[*} failed"); fi
        if [[ $member == *'(S)'* ]]; then bad+=("${member%%\[*} is a spare"); fi
    done
    printf '%s of %s has only %s: %s; replace the disk, and wait until the array is whole (cat /proc/mdstat)' \
        "$array" "$STEP_HOST" "$count" "${bad[*]:-the other is missing or being rebuilt, there are ${*%%\[*}}"
}

# --- the interface in the lab's network ------------------------------------------------------------------------------

# The interface that has the node's address takes the packets that the pods' MTU was planned for, and the second address
# is there: a node without it would join with one family, and a path that is too narrow loses large packets silently.
check_addresses() {
    local interface mtu
    if [[ -n $SECOND_ADDRESS && -z $(interface_of "$SECOND_ADDRESS") ]]; then
        refuse "no interface of $STEP_HOST has the address $SECOND_ADDRESS (nodes.hosts.$STEP_HOST.secondAddress)"
    fi
    if [[ -z $MTU_BYTES ]]; then return 0; fi
    interface=$(interface_of "$ADDRESS")
    # Behind address translation no interface has the address; then nobody here can tell.
    if [[ -z $interface ]]; then return 0; fi
    mtu=$(cat "$INTERFACES/$interface/mtu")
    if ((mtu < MTU_BYTES)); then
        refuse "$interface of $STEP_HOST takes packets of $mtu bytes, and the pods' MTU is planned for $MTU_BYTES \
(network.cni.hostMtuBytes): raise the one (and that of every switch between), or lower the other"
    fi
}

# --- name and time ---------------------------------------------------------------------------------------------------

# The host's name; /etc/hosts first, so that sudo finds the new name from its first moment on.
want_hostname() {
    local line="$ADDRESS $HOSTNAME_WANTED ${OUR_COMMENT%: }"
    { grep -v -F -- "${OUR_COMMENT%: }" /etc/hosts || true; printf '%s\n' "$line"; } | want_file /etc/hosts 0644
    if [[ -d /etc/cloud/cloud.cfg.d ]]; then
        # cloud-init would set the name it was given again at the next boot.
        printf 'preserve_hostname: true\nmanage_etc_hosts: false\n' |
            want_file /etc/cloud/cloud.cfg.d/99-research-compute.cfg 0644
    fi
    want_file /etc/hostname 0644 <<<"$HOSTNAME_WANTED"
    if [[ $(hostname) != "$HOSTNAME_WANTED" ]]; then
        changed "hostname $HOSTNAME_WANTED"
        act hostname -- "$HOSTNAME_WANTED"
    fi
}

want_time() {
    if [[ -n $TIME_CONF ]]; then
        keep_original "$CHRONY_CONF"
        want_file "$CHRONY_CONF" 0644 <<<"$TIME_CONF"
    else
        restore_original "$CHRONY_CONF" ''
    fi
    if ! has_conditions chrony.service; then
        # A machine that may not set its clock (a container) has it set by the machine it runs on.
        want_enabled chrony.service
        return 0
    fi
    want_service chrony.service restart-if "file $CHRONY_CONF" "original $CHRONY_CONF"
}

# Whether a unit's conditions let it run here. systemd only knows once it tried.
has_conditions() {
    if systemctl is-active --quiet -- "$1"; then return 0; fi
    if [[ $(systemctl show --property ConditionTimestampMonotonic --value -- "$1" 2>/dev/null) == 0 ]]; then return 0; fi
    [[ $(systemctl show --property ConditionResult --value -- "$1" 2>/dev/null) == yes ]]
}

# Keep a file of the distribution's as it was before it was first replaced.
keep_original() {
    local copy="$STATE_FOLDER/originals/${1//\//%}"
    if [[ -e $copy || ! -f $1 ]] || checking; then return 0; fi
    write_atomically "$copy" 0644 root:root <"$1"
}

# Put such a file back, and restart what reads it: restore_original PATH [UNIT]
restore_original() {
    local copy="$STATE_FOLDER/originals/${1//\//%}"
    if [[ ! -e $copy ]]; then return 0; fi
    changed "original $1"
    if checking; then return 0; fi
    write_atomically "$1" 0644 root:root <"$copy"
    if [[ -n ${2:-} ]]; then systemctl try-restart -- "$2"; fi
    rm -f -- "$copy"
}

# --- swap, modules, kernel parameters --------------------------------------------------------------------------------

# No swap, now and after the next boot: the kubelet refuses to start with it, unless its settings say otherwise.
want_swap() {
    if [[ $TOLERATES_SWAP == true ]]; then
        undo_swap
        return 0
    fi
    local device _
    if [[ -f $FSTAB ]]; then
        awk -v mark="$OUR_COMMENT" '$1 !~ /^#/ && $3 == "swap" { print mark $0; next } { print }' "$FSTAB" |
            want_file "$FSTAB" "$(stat -c '%a' -- "$FSTAB")"
        if was_changed "file $FSTAB"; then act systemctl daemon-reload; fi
    fi
    while read -r device _; do
        if [[ $device != /* ]]; then continue; fi
        changed "no swap $device"
        act swapoff -- "$device"
        # A unit that a generator makes again at the next boot (a partition's type, zram).
        act systemctl mask --quiet -- "$(systemd-escape --path --suffix=swap -- "$device")"
    done <"$SWAPS"
}

undo_swap() {
    local unit
    if grep -q -F -- "$OUR_COMMENT" "$FSTAB" 2>/dev/null; then
        sed "s/^$OUR_COMMENT//" "$FSTAB" | want_file "$FSTAB" "$(stat -c '%a' -- "$FSTAB")"
        act systemctl daemon-reload
        act swapon --all
    fi
    for unit in /etc/systemd/system/*.swap; do
        if [[ $(readlink -- "$unit") == /dev/null ]]; then
            changed "swap ${unit##*/}"
            act systemctl unmask --quiet -- "${unit##*/}"
        fi
    done
}

want_modules() {
    local module
    printf '%s\n' "${MODULES[@]}" | want_file /etc/modules-load.d/research-compute.conf 0644
    for module in "${MODULES[@]}"; do
        if has_module "$module"; then continue; fi
        changed "module $module"
        if checking; then continue; fi
        if ! modprobe -- "$module" 2>/dev/null || ! has_module "$module"; then
            refuse "kernel $(uname -r) of $STEP_HOST has no module $module" \
                "(on Ubuntu it may be in linux-modules-extra-$(uname -r); a kernel of one's own has to be built with it)"
        fi
    done
}

# Whether the kernel has it: loaded, built in with a name of its own, or built in and seen by what it does.
has_module() {
    if [[ -d /sys/module/$1 ]]; then return 0; fi
    if grep -q -E "/${1//[-_]/[-_]}\.ko$" "/lib/modules/$(uname -r)/modules.builtin" 2>/dev/null; then return 0; fi
    case $1 in
        overlay) grep -q -w overlay /proc/filesystems ;;
        br_netfilter) [[ -d $SYSCTL_ROOT/net/bridge ]] ;;
        *) return 1 ;;
    esac
}

# Kernel parameters, each read back: some kernels take a write and keep their own value.
want_sysctls() {
    local item key value path refused=()
    want_file /etc/sysctl.d/90-research-compute.conf 0644 <<<"$SYSCTL_CONF"
    for item in "${SYSCTLS[@]}"; do
        key=${item%%=*} value=${item#*=}
        local paths=()
        sysctl_paths "$key"
        if ((${#paths[@]} == 0)); then
            refused+=("$key (this kernel does not have it)")
            continue
        fi
        for path in "${paths[@]}"; do
            if [[ $(sysctl_value "$path") == "$value" ]]; then continue; fi
            changed "sysctl $key"
            if checking; then break; fi
            { printf '%s\n' "$value" >"$path"; } 2>/dev/null || true
            if [[ $(sysctl_value "$path") != "$value" ]]; then
                refused+=("$key (wanted $value, is $(sysctl_value "$path"))")
                break
            fi
        done
    done
    if ((${#refused[@]} > 0)) && ! checking; then
        fail "the kernel of $STEP_HOST refuses: $(printf '%s; ' "${refused[@]}" | sed 's/; $//')"
    fi
}

# Fill `paths` with the files of a key, by sysctl.d(5)'s rule about dots and slashes; with * there may be several.
sysctl_paths() {
    local key=$1 pattern path
    if [[ ${key%%[./]*} == "${key%%.*}" ]]; then
        pattern=$(tr './' '/.' <<<"$key")
    else
        pattern=$key
    fi
    # shellcheck disable=SC2206 # a pattern is meant
    local found=($SYSCTL_ROOT/$pattern)
    for path in "${found[@]}"; do
        if [[ -f $path ]]; then paths+=("$path"); fi
    done
}

# Value of a parameter, as it would be written: one blank between numbers.
sysctl_value() {
    local text
    text=$(cat -- "$1" 2>/dev/null) || text='unreadable'
    text=${text//$'\t'/ }
    printf '%s' "${text//$'\n'/ }"
}

# --- updates ---------------------------------------------------------------------------------------------------------

want_security_updates() {
    want_file /etc/apt/apt.conf.d/52research-compute 0644 <<<"$APT_CONF"
    if [[ $AUTOMATIC_UPDATES != true ]]; then
        want_absent /etc/needrestart/conf.d/research-compute.conf
        return 0
    fi
    want_enabled apt-daily.timer
    want_enabled apt-daily-upgrade.timer
    if [[ -d /etc/needrestart/conf.d ]]; then
        # Ubuntu restarts what an update touched; these are restarted by this program alone.
        # shellcheck disable=SC2016 # Perl's own variables are meant
        printf '%s\n' '$nrconf{override_rc}{qr(^(containerd|kubelet)\.service$)} = 0;' |
            want_file /etc/needrestart/conf.d/research-compute.conf 0644
    fi
}

# --- GPU hosts -------------------------------------------------------------------------------------------------------

want_gpu_host() {
    local reason=''
    if [[ $HAS_GPU != true ]]; then
        want_absent "$NOUVEAU_CONF"
        if was_changed "absent $NOUVEAU_CONF"; then act rebuild_initramfs; fi
        return 0
    fi
    printf 'blacklist nouveau\noptions nouveau modeset=0\n' | want_file "$NOUVEAU_CONF" 0644
    if was_changed "file $NOUVEAU_CONF"; then act rebuild_initramfs; fi
    if [[ -d /sys/module/nouveau ]]; then reason='nouveau is still loaded'; fi
    if ((${#DRIVER_PACKAGES[@]} > 0)); then
        want_packages "${DRIVER_PACKAGES[@]}"
        if driver_is_stale; then reason="${reason:-another NVIDIA driver than the installed one is loaded}"; fi
    fi
    if [[ -n $reason ]]; then
        log "$STEP_HOST has to be rebooted: $reason"
        result reboot "$reason"
    fi
}

rebuild_initramfs() {
    if command -v update-initramfs >/dev/null; then update-initramfs -u -k all; fi
}

# Whether the NVIDIA module in the kernel is another than the one on disk.
driver_is_stale() {
    local installed
    [[ -r /sys/module/nvidia/version ]] || return 1
    # Debian's module has another name, and modinfo does not find it; the step `gpu-driver` looks at its file.
    installed=$(modinfo -F version nvidia 2>/dev/null) || return 1
    [[ $(</sys/module/nvidia/version) != "$installed" ]]
}

# --- firewall --------------------------------------------------------------------------------------------------------

# A table of our own, changed in one transaction; nobody else's table is looked at.
want_firewall() {
    if [[ -z $FIREWALL ]]; then
        undo_firewall
        return 0
    fi
    want_file "$FIREWALL_RULES" 0644 <<<"$FIREWALL"
    firewall_unit | want_file "/etc/systemd/system/$FIREWALL_UNIT" 0644
    want_enabled "$FIREWALL_UNIT"
    if was_changed "file $FIREWALL_RULES" || ! firewall_is_loaded; then
        changed "firewall"
        if checking; then return 0; fi
        nft --file "$FIREWALL_RULES" || fail "nft refuses $FIREWALL_RULES"
        marker_set firewall "$(firewall_listing)"
    fi
    # Active already, or started now; starting it loads the same rules again.
    want_service "$FIREWALL_UNIT"
}

firewall_listing() { nft --stateless list table inet research_compute 2>/dev/null | sha256sum; }

# Whether the kernel's table is what was loaded.
firewall_is_loaded() {
    local known
    known=$(marker_get firewall) || return 1
    [[ $(firewall_listing) == "$known" ]]
}

firewall_unit() {
    cat <<END
[Unit]
Description=Firewall of a research cluster's host (table inet research_compute)
Documentation=file://$FIREWALL_RULES
Wants=network-pre.target
Before=network-pre.target
# The distribution's own service flushes every table when it starts or reloads.
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
DefaultDependencies=no
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft --file $FIREWALL_RULES
ExecReload=/usr/sbin/nft --file $FIREWALL_RULES
ExecStop=-/usr/sbin/nft delete table inet research_compute

[Install]
WantedBy=sysinit.target
END
}

undo_firewall() {
    want_no_service "$FIREWALL_UNIT"
    want_absent "$FIREWALL_RULES" "/etc/systemd/system/$FIREWALL_UNIT"
    if command -v nft >/dev/null && nft list table inet research_compute >/dev/null 2>&1; then
        changed 'no firewall'
        act nft delete table inet research_compute
    fi
    reload_units
}

# Refuse rules that would shut out whoever is applying them. The kernel itself is asked, by a table without any hook.
check_own_way_in() {
    local peer family networks
    if [[ -z $FIREWALL ]]; then return 0; fi
    peer=$(ssh_peer)
    if [[ -z $peer ]]; then return 0; fi
    case $peer in
        *:*) family='ipv6_addr' networks=$SSH_NETWORKS6 ;;
        *) family='ipv4_addr' networks=$SSH_NETWORKS4 ;;
    esac
    local table='research_compute_question' status=0
    if [[ -z $networks ]]; then
        status=1
    else
        nft --file - <<END
add table inet $table
delete table inet $table
add table inet $table
add set inet $table ssh { type $family; flags interval; auto-merge; elements = { $networks }; }
END
        nft get element inet "$table" ssh "{ $peer }" >/dev/null 2>&1 || status=$?
        nft delete table inet "$table"
    fi
    if ((status != 0)); then
        refuse "the firewall would shut out $peer, where this very connection comes from:" \
            'add its network to nodes.system.firewall.ssh'
    fi
}

# Address the SSH connection of this run comes from, or nothing. sudo drops the variable; its own process still has it.
ssh_peer() {
    local pid=$$ entry
    while ((pid > 1)); do
        if [[ ! -r $ENVIRONMENTS/$pid/environ ]]; then return 0; fi
        while IFS= read -r -d '' entry; do
            if [[ $entry == SSH_CONNECTION=* ]]; then
                entry=${entry#*=}
                entry=${entry%% *}
                # An IPv4 connection on an IPv6 socket; a link-local address with its zone.
                entry=${entry#::ffff:}
                printf '%s' "${entry%%\%*}"
                return 0
            fi
        done <"$ENVIRONMENTS/$pid/environ"
        pid=$(awk '$1 == "PPid:" { print $2 }' "/proc/$pid/status")
    done
}
