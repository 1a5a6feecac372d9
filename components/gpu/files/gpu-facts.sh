# shellcheck shell=bash
# What a host says of its NVIDIA GPUs and of their driver. Looks, and changes nothing: `gpu-driver` decides by these
# functions, and `labctl drift` shows what `gpu_facts` prints, in lines as `facts` has them.

# Folder that every path is below; the tests' own.
: "${FACTS_ROOT=}"
# How long nvidia-smi may take, in seconds. It asks every GPU, and a broken one does not answer.
: "${NVIDIA_SMI_SECONDS=30}"

# Where the operator's driver container shows its root on the host (gpu-operator, assets/state-driver).
readonly OPERATOR_ROOT=/run/nvidia/driver
# NVIDIA's packages that bring a kernel module, nvidia-smi or a daemon of the driver. Libraries alone are no driver, the
# container toolkit is none either, nor is a package that only names an archive.
readonly DRIVER_PACKAGE='^(nvidia-(driver|headless|dkms|kernel|open|utils|compute-utils|smi|persistenced|fabricmanager|tesla)(-.*)?|cuda-drivers(-.*)?|linux-(modules|objects|signatures)-nvidia-.*)$'
readonly NO_DRIVER_PACKAGE='-(local-repo|pinning|assistant)-|-assistant$|^nvidia-kernel-(common|support|source)|^nvidia-driver-libs'

# NVIDIA's PCI devices (vendor 10de) whose class begins with this: address and device id in each line.
nvidia_devices() {
    local path device
    for path in "$FACTS_ROOT"/sys/bus/pci/devices/*; do
        if [[ ! -r $path/vendor || $(<"$path/vendor") != 0x10de || $(<"$path/class") != "$1"* ]]; then continue; fi
        # A virtual function is a part of a GPU that is there already.
        if [[ -e $path/physfn ]]; then continue; fi
        device=$(<"$path/device")
        printf '%s %s\n' "${path##*/}" "${device#0x}"
    done
}

# Display and 3D controllers (PCI class 03).
gpu_devices() { nvidia_devices 0x03; }

# NVSwitches: bridges of NVIDIA's of the class "other" (0680).
nvswitches() { nvidia_devices 0x0680; }

kernel_has() { [[ -d $FACTS_ROOT/sys/module/$1 ]]; }

# Version of the module in the kernel, or nothing.
loaded_version() { cat -- "$FACTS_ROOT/sys/module/nvidia/version" 2>/dev/null || true; }

# The module's own word on itself: first line of /proc/driver/nvidia/version, or nothing.
module_says() { head -n 1 -- "$FACTS_ROOT/proc/driver/nvidia/version" 2>/dev/null || true; }

# `open` or `proprietary`, of the module in the kernel (driver README, "Open Linux Kernel Modules").
loaded_kind() {
    case $(module_says) in
        *' Open Kernel Module '*) printf 'open' ;;
        *) printf 'proprietary' ;;
    esac
}

# The module's file for the kernel that runs, or nothing. Debian calls it nvidia-current.
module_file() {
    local folder
    folder=$FACTS_ROOT/lib/modules/$(uname -r)
    if [[ ! -d $folder ]]; then return 0; fi
    find "$folder/" -regex '.*/nvidia\(-current\(-open\)?\|-tesla[0-9-]*\|-open\)?\.ko\(\.[a-z0-9]+\)?' -print -quit
}

file_version() { modinfo -F version "$1" 2>/dev/null || true; }

file_kind() {
    case $(modinfo -F license "$1" 2>/dev/null || true) in
        *GPL*) printf 'open' ;;
        *) printf 'proprietary' ;;
    esac
}

# Installed packages of a driver: name and version in each line.
driver_packages() {
    local name status version
    dpkg-query -W -f='${Package}\t${db:Status-Status}\t${Version}\n' 2>/dev/null | while IFS=$'\t' read -r name status version; do
        if [[ $status == not-installed || $status == config-files ]]; then continue; fi
        if [[ $name =~ $DRIVER_PACKAGE && ! $name =~ $NO_DRIVER_PACKAGE ]]; then printf '%s %s\n' "$name" "$version"; fi
    done
}

# Whether NVIDIA's own installer (the .run file) was used here.
has_runfile_driver() { [[ -e $FACTS_ROOT/usr/bin/nvidia-uninstall ]]; }

# Whether a driver container of the operator's has its driver in place.
has_operator_driver() { [[ -e $FACTS_ROOT$OPERATOR_ROOT/usr/bin/nvidia-smi ]]; }

# `on`, `off`, or nothing where the firmware is no UEFI. The variable's value follows four bytes of attributes.
secure_boot() {
    local file=$FACTS_ROOT/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
    if [[ ! -r $file ]]; then return 0; fi
    if [[ $(od -An -tu1 -j4 -N1 -- "$file" | tr -d ' ') == 1 ]]; then printf 'on'; else printf 'off'; fi
}

# Whether the kernel refuses modules that nobody signed. Where it does not say, Secure Boot means so.
wants_signed_modules() {
    local lockdown=$FACTS_ROOT/sys/kernel/security/lockdown enforced=$FACTS_ROOT/sys/module/module/parameters/sig_enforce
    if [[ -r $enforced && $(<"$enforced") == Y ]]; then return 0; fi
    if [[ -r $lockdown ]]; then
        [[ $(<"$lockdown") != *'[none]'* ]]
        return
    fi
    [[ $(secure_boot) == on ]]
}

# nvidia-smi, the operator's where that is in place; fails if there is none.
ask_nvidia_smi() {
    if has_operator_driver; then
        timeout --kill-after=5 "$NVIDIA_SMI_SECONDS" chroot "$FACTS_ROOT$OPERATOR_ROOT" nvidia-smi "$@"
    else
        timeout --kill-after=5 "$NVIDIA_SMI_SECONDS" nvidia-smi "$@"
    fi
}

# Files of containerd's configuration that name NVIDIA's runtime from elsewhere than the operator's toolkit.
foreign_runtimes() {
    local file
    for file in "$FACTS_ROOT"/etc/containerd/config.toml "$FACTS_ROOT"/etc/containerd/conf.d/*.toml; do
        if [[ ! -r $file ]]; then continue; fi
        if grep -E '^[[:space:]]*(BinaryName|binary_name)[[:space:]]*=.*nvidia-container-runtime' "$file" |
            grep -q -v -F '/usr/local/nvidia/'; then
            printf '%s\n' "${file#"$FACTS_ROOT"}"
        fi
    done
}

# --- for labctl drift ------------------------------------------------------------------------------------------------

gpu_facts() {
    local line words said
    if [[ -z $(gpu_devices) ]]; then return 0; fi
    while read -r -a words; do fact gpu-device "${words[@]}"; done < <(gpu_devices)
    if kernel_has nouveau; then fact gpu-nouveau; fi
    if kernel_has nvidia; then fact gpu-module "$(module_says)"; fi
    if has_operator_driver; then fact gpu-origin operator; fi
    if has_runfile_driver; then fact gpu-origin runfile; fi
    while read -r -a words; do fact gpu-package "${words[@]}"; done < <(driver_packages)
    line=$(secure_boot)
    if [[ -n $line ]]; then fact gpu-secure-boot "$line"; fi
    gpu_events
    if ! kernel_has nvidia; then return 0; fi
    if said=$(ask_nvidia_smi -q -x 2>&1); then
        # A list of hundreds of clock rates per GPU, which nobody here reads.
        fact gpu-state "$(sed '/<supported_clocks>/,/<\/supported_clocks>/d' <<<"$said" | gzip -c | base64 -w 0)"
        if [[ $said == *'<current_mig>Enabled<'* ]]; then
            fact gpu-instances "$(ask_nvidia_smi mig -lgi 2>&1 | gzip -c | base64 -w 0)"
        fi
    else
        fact gpu-error "$(head -n 1 <<<"$said" | tr '\t' ' ')"
    fi
}

# What the driver wrote to the kernel's log since the host was started: bus address, Xid, how often.
gpu_events() {
    local count address number
    while read -r count address number; do
        fact gpu-xid "$address" "$number" "$count"
    done < <(dmesg 2>/dev/null | sed -nE 's/^.*NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): ([0-9]+).*$/\1 \2/p' | sort | uniq -c)
}
