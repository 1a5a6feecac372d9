# shellcheck shell=bash
# What `labctl drift` shows of a host beside its steps: one fact per line, its fields separated by tabs. Looks, and
# changes nothing; what a host does not have gives no line. `facts` prints them all.

# Folder that every path is below; the tests' own.
: "${FACTS_ROOT=}"

fact() {
    local IFS=$'\t'
    printf '%s\n' "$*"
}

facts() {
    export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin"
    shopt -s nullglob
    fact kernel "$(uname -r)"
    boot_time
    distribution
    versions
    reboot_required
    certificates
    disks
}

# Seconds since 1970 (proc_stat(5)).
boot_time() {
    local key value
    while read -r key value; do
        if [[ $key == btime ]]; then fact booted "$value"; fi
    done <"$FACTS_ROOT/proc/stat"
}

# os-release(5): values may be quoted as in a shell.
distribution() {
    local key value
    if [[ ! -r $FACTS_ROOT/etc/os-release ]]; then return; fi
    while IFS='=' read -r key value; do
        value=${value%[\"\']}
        value=${value#[\"\']}
        if [[ $key == PRETTY_NAME ]]; then fact distribution "$value"; fi
    done <"$FACTS_ROOT/etc/os-release"
}

versions() {
    local words
    if read -r -a words < <(containerd --version 2>/dev/null); then fact containerd "${words[2]:-}"; fi
    if read -r -a words < <(kubelet --version 2>/dev/null); then fact kubelet "${words[1]:-}"; fi
}

# Debian's and Ubuntu's sign that an installed update waits for a reboot, and the packages it is for.
reboot_required() {
    local names=()
    if [[ ! -e $FACTS_ROOT/run/reboot-required ]]; then return; fi
    if [[ -r $FACTS_ROOT/run/reboot-required.pkgs ]]; then mapfile -t names <"$FACTS_ROOT/run/reboot-required.pkgs"; fi
    fact reboot-required "${names[@]}"
}

# Until when each certificate holds: the control plane's, the kubelet's, and those inside kubeconfig files. One that
# cannot be read has no end.
certificates() {
    local file key value data
    if ! command -v openssl >/dev/null; then return; fi
    for file in "$FACTS_ROOT"/etc/kubernetes/pki/*.crt "$FACTS_ROOT"/etc/kubernetes/pki/etcd/*.crt \
        "$FACTS_ROOT"/var/lib/kubelet/pki/kubelet-{client,server}-current.pem; do
        if [[ ! -r $file ]]; then continue; fi
        fact certificate "${file#"$FACTS_ROOT"}" "$(end_of_certificate <"$file")"
    done
    for file in "$FACTS_ROOT"/etc/kubernetes/*.conf; do
        data=''
        while read -r key value; do
            if [[ $key == client-certificate-data: ]]; then data=$value; fi
        done <"$file"
        if [[ -z $data ]]; then continue; fi
        fact certificate "${file#"$FACTS_ROOT"}" "$(base64 -d <<<"$data" 2>/dev/null | end_of_certificate)"
    done
}

# Print `Sep 30 10:00:00 2026 GMT` for the certificate on stdin.
end_of_certificate() {
    local line
    line=$(openssl x509 -noout -enddate 2>/dev/null) && printf '%s' "${line#notAfter=}"
}

# Size and free space in bytes, inodes and free inodes, of the file systems that fill up.
disks() {
    local path numbers
    for path in /var/lib/containerd /var/lib/kubelet /var/lib/etcd; do
        if [[ ! -d $FACTS_ROOT$path ]]; then continue; fi
        if { read -r _ && read -r -a numbers; } < <(
            df --block-size=1 --output=size,avail,itotal,iavail -- "$FACTS_ROOT$path" 2>/dev/null
        ); then
            fact disk "$path" "${numbers[@]}"
        fi
    done
}
