# shellcheck shell=bash
# Debian packages: from the machine's own sources, or from the lab's mirror alone where it serves packages.

# How long another program's apt or dpkg (unattended upgrades after boot) is waited for, in seconds.
: "${APT_WAIT_SECONDS=600}"
: "${MIRROR_URL=}" "${MIRROR_APT_KEY=}" "${MIRROR_CA=}"
APT_UPDATED='false'

# Packages, each NAME or NAME=VERSION, installed from the archive, or from the lab's own mirror alone where it has one.
want_packages() {
    local item missing=()
    local -A installed=()
    local name status version
    while IFS=$'\t' read -r name status version; do
        if [[ $status == installed ]]; then installed[$name]=$version; fi
    done < <(dpkg-query -W -f='${Package}\t${db:Status-Status}\t${Version}\n' "${@%%=*}" 2>/dev/null || true)
    for item in "$@"; do
        name=${item%%=*}
        if [[ -z ${installed[$name]:-} || ($item == *=* && ${installed[$name]} != "${item#*=}") ]]; then
            missing+=("$item")
            changed "package $item"
        fi
    done
    if checking || ((${#missing[@]} == 0)); then return 0; fi
    repair_dpkg
    update_package_lists
    run_apt install --yes --no-install-recommends "${missing[@]}"
}

# What archives have, read anew once in a run.
update_package_lists() {
    if [[ $APT_UPDATED == true ]]; then return 0; fi
    run_apt update
    APT_UPDATED='true'
}

# Packages that are not installed (their configuration goes, too).
want_no_packages() {
    local name status present=()
    while IFS=$'\t' read -r name status; do
        if [[ $status != not-installed && $status != config-files ]]; then present+=("$name"); fi
    done < <(dpkg-query -W -f='${Package}\t${db:Status-Status}\n' "$@" 2>/dev/null || true)
    if ((${#present[@]} == 0)); then return 0; fi
    for name in "${present[@]}"; do changed "no package $name"; done
    if checking; then return 0; fi
    repair_dpkg
    run_apt purge --yes "${present[@]}"
}

# Finish what an interrupted dpkg left (a cut-off run of ours, a power cut during an upgrade).
repair_dpkg() {
    if [[ -z $(dpkg --audit 2>/dev/null) ]] && ! compgen -G '/var/lib/dpkg/updates/[0-9]*' >/dev/null; then return 0; fi
    log 'finishing an interrupted dpkg'
    while_locked dpkg --force-confdef --force-confold --configure -a
}

run_apt() {
    local options=(
        --quiet
        -o "DPkg::Lock::Timeout=$APT_WAIT_SECONDS"
        -o Acquire::Retries=3
        -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold
        -o APT::Get::Show-Upgraded=false -o Dpkg::Use-Pty=0
    )
    if [[ -n $MIRROR_URL && -n $MIRROR_APT_KEY ]]; then
        # An index that could not be had is only a warning to apt; the mirror is the only one here.
        options+=(-o APT::Update::Error-Mode=any)
        mirror_apt_source
        local folder=$STATE_FOLDER/apt
        install -d -m 0755 -- "$folder"
        install -d -m 0755 -- "$folder/lists" "$folder/lists/partial"
        options+=(
            -o "Dir::Etc::SourceList=$folder/mirror.list" -o Dir::Etc::SourceParts=/dev/null
            -o "Dir::State::Lists=$folder/lists" -o APT::Get::List-Cleanup=0
            -o 'Dir::Cache::pkgcache=' -o 'Dir::Cache::srcpkgcache='
            # The folder belongs to root alone, so apt's own user could not read it.
            -o APT::Sandbox::User=root
        )
        if [[ -n $MIRROR_CA ]]; then options+=(-o "Acquire::https::CAInfo=$folder/mirror-ca.pem"); fi
    fi
    while_locked env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none UCF_FORCE_CONFFOLD=1 \
        apt-get "${options[@]}" "$@"
}

# Write the mirror's source list and key where only this library's apt reads them.
mirror_apt_source() {
    local folder=$STATE_FOLDER/apt owner codename
    owner=$(id -un):$(id -gn)
    install -d -m 0700 -- "$STATE_FOLDER"
    printf '%s' "$MIRROR_APT_KEY" | write_atomically "$folder/mirror.asc" 0644 "$owner"
    if [[ -n $MIRROR_CA ]]; then printf '%s' "$MIRROR_CA" | write_atomically "$folder/mirror-ca.pem" 0644 "$owner"; fi
    # A repository for each distribution: in a common one their packages of the same name would replace each other.
    # shellcheck source=/dev/null
    codename=$(. "${OS_RELEASE:-/etc/os-release}" && printf '%s' "${VERSION_CODENAME:-unknown}")
    printf 'deb [signed-by=%s] %s ./\n' "$folder/mirror.asc" "${MIRROR_URL%/}/apt/$codename" |
        write_atomically "$folder/mirror.list" 0644 "$owner"
}

# Run an apt or dpkg command; while another program holds one of their locks, wait and try again.
while_locked() {
    local deadline=$((SECONDS + APT_WAIT_SECONDS)) output status
    while true; do
        status=0
        output=$("$@" 2>&1) || status=$?
        if ((status == 0)); then return 0; fi
        if [[ $output != *'Could not get lock'* && $output != *'is locked by another process'* ]]; then
            tail -n 15 <<<"$output" >&2
            fail "$(command_name "$@") gave up (status $status)"
        fi
        if ((SECONDS >= deadline)); then
            tail -n 3 <<<"$output" >&2
            fail "another program held the package manager's lock for $APT_WAIT_SECONDS s"
        fi
        sleep 2
    done
}

# The part of an apt or dpkg command worth naming: program and verb.
command_name() {
    local word name='' verb=''
    for word in "$@"; do
        case $word in
            apt-get | dpkg) name=$word ;;
            update | install | purge | --configure) verb=$word ;;
        esac
    done
    printf '%s %s' "$name" "$verb"
}
