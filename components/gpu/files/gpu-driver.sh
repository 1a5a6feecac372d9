# shellcheck shell=bash
# The driver of a host's GPUs, from one source: the operator's containers, or the host. A host where the other one is
# too, or where the declared one cannot work, is refused with everything that is wrong, before it becomes a node.
# The facts are `gpu-facts`'; what depends on the GPU's model was decided by the planner.
#
# SOURCE MODEL NVML_NAME GPU_COUNT DEVICE_NAMES MODULE_KINDS FIRST_BRANCH LAST_BRANCH OPERATOR_SYSTEMS

: "${OS_RELEASE=/etc/os-release}"

readonly BOOT_ADVICE='reboot it, then run this again'
WRONG=()

desired() {
    check_gpus
    check_containerd
    case $SOURCE in
        operator) check_for_operator ;;
        host) check_for_host ;;
    esac
    refuse_what_is_wrong
    if [[ $SOURCE == host ]]; then
        want_loaded
        want_fabric_manager
        check_running_driver
        refuse_what_is_wrong
    fi
    result gpus "$GPU_COUNT $MODEL"
    result source "$SOURCE"
    result kernel "$(uname -r)"
    result secureBoot "$(secure_boot)"
}

# Nothing of a driver is ours: packages are the step `system`'s, containers the operator's.
undo() { :; }

wrong() { WRONG+=("$*"); }

# Everything at once, on one line, which `labctl drift` shows.
refuse_what_is_wrong() {
    local text='' item
    if ((${#WRONG[@]} == 0)); then return 0; fi
    for item in "${WRONG[@]}"; do text+="${text:+; }$item"; done
    refuse "$STEP_HOST: $text"
}

# --- either source ---------------------------------------------------------------------------------------------------

# The GPUs on the bus are those of the stack file. An id that nobody here knows is let through: nvidia-smi names it.
check_gpus() {
    local address id name count=0
    while read -r address id; do
        count=$((count + 1))
        name=$(name_of_device "$id")
        if [[ -z $name ]]; then
            log "$STEP_HOST: $address is 10de:$id, which is in no table here"
        elif [[ $name != "$MODEL" ]]; then
            wrong "$address is $name (10de:$id), and nodes.hosts.$STEP_HOST.gpus.model says $MODEL: write what it is"
        fi
    done < <(gpu_devices)
    if ((count != GPU_COUNT)); then
        wrong "it shows $count NVIDIA GPUs, and nodes.hosts.$STEP_HOST.gpus says $GPU_COUNT: look at them" \
            "(lspci -d 10de:), or write how many there are"
    fi
}

name_of_device() {
    local entry
    for entry in "${DEVICE_NAMES[@]}"; do
        if [[ ${entry%% *} == "$1" ]]; then printf '%s' "${entry#* }"; fi
    done
}

# The operator's toolkit gives containerd its runtime, whatever the driver's source.
check_containerd() {
    local files
    files=$(foreign_runtimes)
    if [[ -n $files ]]; then
        wrong "containerd has an NVIDIA runtime that is not the operator's toolkit (${files//$'\n'/, }): take it out," \
            "and remove nvidia-container-toolkit"
    fi
}

# --- the operator's containers ---------------------------------------------------------------------------------------

check_for_operator() {
    local system
    # shellcheck source=/dev/null
    system=$(. "$OS_RELEASE" && printf '%s %s' "${ID:-unknown}" "${VERSION_ID:-unknown}")
    if [[ " ${OPERATOR_SYSTEMS[*]/%/,} " != *" $system, "* ]]; then
        wrong "NVIDIA has no driver container for $system: set gpu.driver.source: host, with packages in" \
            "nodes.system.nvidiaDriver"
    fi
    check_no_host_driver
    # The operator's driver manager unloads it, which the kernel refuses while something uses it, as a console does.
    if kernel_has nouveau && [[ $(cat -- "$FACTS_ROOT/sys/module/nouveau/refcnt" 2>/dev/null || true) != 0 ]]; then
        wrong "nouveau is loaded and in use; it is on the blacklist by now: $BOOT_ADVICE"
    fi
    if wants_signed_modules; then
        wrong "its kernel takes signed modules only (Secure Boot: $(secure_boot)), and the operator's are not signed:" \
            "switch Secure Boot off, or set gpu.driver.source: host with signed modules"
    fi
    check_headers
}

# No driver of the host's: a driver container would find its module in use, or load beside another's libraries.
check_no_host_driver() {
    local packages file
    packages=$(driver_packages | cut -d ' ' -f 1)
    if [[ -n $packages ]]; then
        wrong "packages of an NVIDIA driver are installed, and gpu.driver.source is operator: apt-get purge" \
            "${packages//$'\n'/ }, and reboot, or set source: host"
    fi
    if has_runfile_driver; then
        wrong "NVIDIA's installer put a driver there, and gpu.driver.source is operator: run nvidia-uninstall and" \
            "reboot, or set source: host"
    fi
    if [[ -n $packages ]] || has_runfile_driver; then return 0; fi
    file=$(module_file)
    if [[ -n $file ]]; then
        wrong "its kernel has an NVIDIA module of nobody's (${file#"$FACTS_ROOT"}), and gpu.driver.source is operator:" \
            "remove it and reboot"
    elif kernel_has nvidia && [[ ! -d $FACTS_ROOT/run/nvidia ]]; then
        wrong "an NVIDIA module is loaded whose driver is gone from the disk: $BOOT_ADVICE"
    fi
}

# The driver container installs the headers of the running kernel from the archive, and gives up without them. Where
# apt knows of no headers at all, it has no lists, and nothing can be said.
check_headers() {
    local known
    known=$(apt-cache pkgnames linux-headers- 2>/dev/null || true)
    if [[ -n $known ]] && ! grep -q -x -F -- "linux-headers-$(uname -r)" <<<"$known"; then
        wrong "the archive has no linux-headers-$(uname -r), which the driver container is built with: run a kernel of" \
            "the archive, or set gpu.driver.source: host"
    fi
}

# --- the host's own driver -------------------------------------------------------------------------------------------

check_for_host() {
    local packages file
    if kernel_has nouveau; then wrong "nouveau is loaded; it is on the blacklist by now: $BOOT_ADVICE"; fi
    if has_operator_driver; then
        wrong "the operator's driver container runs there, and gpu.driver.source is host: kubectl label node" \
            "$STEP_HOST nvidia.com/gpu.deploy.driver=false --overwrite, and reboot once no session uses its GPUs"
        return 0
    fi
    packages=$(driver_packages)
    if [[ -n $packages ]] && has_runfile_driver; then
        wrong "it has a driver from packages and one from NVIDIA's installer: run nvidia-uninstall and reboot"
    fi
    file=$(module_file)
    if [[ -z $packages && -z $file ]] && ! has_runfile_driver; then
        wrong "there is no NVIDIA driver, and gpu.driver.source is host: name its packages in" \
            "nodes.system.nvidiaDriver, or install it"
        return 0
    fi
    if kernel_has nvidia; then
        check_driver "$(loaded_version)" "$(loaded_kind)"
        if [[ -n $file && $(file_version "$file") != "$(loaded_version)" ]]; then
            wrong "the module $(loaded_version) is loaded, and the installed driver is $(file_version "$file"):" \
                "$BOOT_ADVICE, once no session uses its GPUs"
        fi
    elif [[ -n $file ]]; then
        check_driver "$(file_version "$file")" "$(file_kind "$file")"
    else
        wrong "the installed driver has no module for the running kernel $(uname -r): $(why_no_module)"
    fi
    if [[ -n $(nvswitches) ]] && ! systemctl cat nvidia-fabricmanager.service >/dev/null 2>&1; then
        wrong "it has NVSwitches and no nvidia-fabricmanager, without which CUDA does not start: install that of the" \
            "driver's version (nodes.system.nvidiaDriver)"
    fi
}

why_no_module() {
    if [[ -d $FACTS_ROOT/lib/modules/$(uname -r)/build ]]; then
        printf 'look at dkms status, or install the module package of that kernel'
    else
        printf 'install linux-headers-%s and let DKMS build it, or the module package of that kernel' "$(uname -r)"
    fi
}

# Whether a driver can drive this model: check_driver VERSION KIND
check_driver() {
    local branch=${1%%.*}
    if [[ " ${MODULE_KINDS[*]} " != *" $2 "* ]]; then
        wrong "its kernel module is the $2 one, and $MODEL needs the ${MODULE_KINDS[*]} one: install that kind"
    fi
    if [[ -n $FIRST_BRANCH ]] && ((branch < FIRST_BRANCH)); then
        wrong "its driver is $1, and $MODEL needs branch $FIRST_BRANCH or later"
    fi
    if [[ -n $LAST_BRANCH ]] && ((branch > LAST_BRANCH)); then
        wrong "its driver is $1, and $MODEL ended with branch $LAST_BRANCH"
    fi
}

want_loaded() {
    local said
    if kernel_has nvidia; then return 0; fi
    changed 'module nvidia'
    if checking; then return 0; fi
    if said=$(modprobe -- nvidia 2>&1); then return 0; fi
    case $said in
        *'Key was rejected'* | *'Required key'* | *'Operation not permitted'*)
            refuse "$STEP_HOST: its kernel takes signed modules only (Secure Boot: $(secure_boot)), and the driver's is" \
                "not: enrol its key (mokutil --import), install signed modules, or switch Secure Boot off"
            ;;
        *) fail "$STEP_HOST: the module nvidia cannot be loaded: ${said//$'\n'/ } (dmesg says why)" ;;
    esac
}

want_fabric_manager() {
    if [[ -n $(nvswitches) ]]; then want_service nvidia-fabricmanager.service; fi
}

# The driver's own word: nvidia-smi answers, and calls the GPUs what the cluster's labels will.
check_running_driver() {
    local said line
    # In check mode nothing was loaded above.
    if ! kernel_has nvidia && checking; then return 0; fi
    if ! said=$(ask_nvidia_smi --query-gpu=name --format=csv,noheader 2>&1); then
        wrong "nvidia-smi says: $(head -n 1 <<<"$said")$(advice_on "$said")"
        return 0
    fi
    while read -r line; do
        if [[ $line != "$NVML_NAME" ]]; then
            wrong "nvidia-smi calls a GPU '$line', and nodes.hosts.$STEP_HOST.gpus.model says $MODEL, which is" \
                "'$NVML_NAME'"
        fi
    done < <(sort -u <<<"$said")
    result driver "$(loaded_version)"
    result module "$(loaded_kind)"
}

advice_on() {
    case $1 in
        *'version mismatch'*) printf ': %s, once no session uses its GPUs' "$BOOT_ADVICE" ;;
        *'No devices were found'*) printf ': the driver drives none of them (dmesg says why)' ;;
        *'Unable to determine the device handle'*) printf ': a GPU does not answer; reboot, and look at its power and seat' ;;
        *'No such file'* | *'not found'*) printf ': install nvidia-smi of the same version (nvidia-utils)' ;;
    esac
}
