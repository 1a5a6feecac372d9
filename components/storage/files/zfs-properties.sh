# shellcheck shell=bash
# Properties of pools and file systems: set where they differ, given back where they are no longer asked for.

# User property in which a file system remembers what was set on it by this program.
readonly OWN_PROPERTIES=research-compute:properties
# What is fixed when a file system is made (zfsprops(7)).
readonly FIXED_PROPERTIES=' casesensitivity normalization utf8only '

# Value of a pool's property.
pool_property() { zpool get "$2" "$1" | awk -v name="$2" '$2 == name { $1 = $2 = $NF = ""; gsub(/^ +| +$/, ""); print }'; }

# Properties of a pool: want_pool_properties POOL NAME=VALUE...
want_pool_properties() {
    local pool=$1 item
    shift
    for item in "$@"; do
        if [[ $(pool_property "$pool" "${item%%=*}") == "${item#*=}" ]]; then continue; fi
        changed "property $item of $pool"
        act zpool set "$item" "$pool" || fail "the pool $pool does not take $item (zpoolprops(7))"
    done
}

# Whether a file system's property has this value, written in bytes or as people do.
has_property() {
    local name=$2 value=$3 exact
    exact=$(zfs get -Hp -o value "$name" "$1")
    if [[ $exact == "$value" ]]; then return 0; fi
    if [[ $value == none && $exact == 0 ]]; then return 0; fi
    exact=$(zfs get -H -o value "$name" "$1")
    [[ ${exact^^} == "${value^^}" ]]
}

# Properties of a file system that exists: want_properties DATASET NAME=VALUE...
want_properties() {
    local dataset=$1 item name before=() names=()
    shift
    for item in "$@"; do
        name=${item%%=*}
        names+=("$name")
        if has_property "$dataset" "$name" "${item#*=}"; then continue; fi
        if [[ $FIXED_PROPERTIES == *" $name "* ]]; then
            refuse "$name of $dataset was fixed when it was made: write $name: $(zfs get -H -o value "$name" "$dataset")"
        fi
        changed "property $item of $dataset"
        act zfs set "$item" "$dataset" || fail "$dataset does not take $item (zfsprops(7))"
    done
    read -ra before <<<"$(own_properties "$dataset")"
    for name in "${before[@]}"; do
        if [[ " ${names[*]} " == *" $name "* || $FIXED_PROPERTIES == *" $name "* ]]; then continue; fi
        changed "no property $name of $dataset"
        case $name in
            # These are not inherited.
            quota | refquota | reservation | refreservation) act zfs set "$name=none" "$dataset" ;;
            *) act zfs inherit "$name" "$dataset" ;;
        esac
    done
    if [[ "${before[*]}" != "${names[*]}" ]]; then
        changed "property $OWN_PROPERTIES of $dataset"
        act zfs set "$OWN_PROPERTIES=${names[*]}" "$dataset"
    fi
}

# Names of the properties set on a file system by this program, separated by blanks.
own_properties() {
    local value
    value=$(zfs get -H -s local -o value "$OWN_PROPERTIES" "$1")
    if [[ $value != - ]]; then printf '%s' "$value"; fi
}
