#!/usr/bin/env bash
# Export what is mounted beneath the exports of nfs-ganesha, homes above all: run whenever it starts or is reloaded.
#
# nfs-ganesha 4 knows the file systems that were there when it began, and finds none that are mounted later (its search
# is given the name of a folder where it takes a path: FSAL_VFS, check_filesystem). An export of its own makes it look.
set -euo pipefail
export LC_ALL=C

: "${GANESHA_FOLDER=/etc/ganesha}" "${STATE_FOLDER=/var/lib/research-compute}" "${MOUNTS=/proc/self/mounts}"
readonly DECLARED=$GANESHA_FOLDER/research-compute-exports.conf
readonly BENEATH=$GANESHA_FOLDER/research-compute-beneath.conf
# Numbers of exports stay as they are once given: they are in what clients hold.
readonly NUMBERS=$STATE_FOLDER/ganesha-export-ids
# The lower half of 16 bits is for the exports that the stack file names.
readonly FIRST_NUMBER=30001 HOW_MANY=35000

declare -A NUMBER_OF=() PATH_OF=()

main() {
    local number path
    install -d -m 0700 -- "$STATE_FOLDER"
    touch -- "$NUMBERS"
    while read -r number path; do
        NUMBER_OF[$path]=$number
        PATH_OF[$number]=$path
    done <"$NUMBERS"
    exports_beneath >"$BENEATH.new"
    chmod 0640 -- "$BENEATH.new"
    mv -fT -- "$BENEATH.new" "$BENEATH"
}

# The block of each export that says so, once more for every file system beneath it.
exports_beneath() {
    local line block='' top='' path
    while IFS= read -r line; do
        block+="$line"$'\n'
        case $line in
            '    Path = '*) top=${line#'    Path = '} top=${top%;} ;;
            '}')
                if [[ $block == *'# With what is mounted beneath.'* ]]; then
                    for path in $(mounted_beneath "$top"); do block_for "$path" "$top" "$block"; done
                fi
                block='' top=''
                ;;
        esac
    done <"$DECLARED"
}

# File systems mounted beneath a folder, one per line, but for snapshots and for names that no dataset of ours has.
mounted_beneath() {
    local path
    while read -r _ path _; do
        if [[ $path == "$1"/* && $path != */.zfs/* && $path =~ ^[A-Za-z0-9/_.:-]+$ ]]; then printf '%s\n' "$path"; fi
    done <"$MOUNTS" | sort -u
}

block_for() {
    local path=$1 top=$2 block=$3 line
    give_number "$path"
    while IFS= read -r line; do
        case $line in
            '    Export_Id = '*) line="    Export_Id = ${NUMBER_OF[$path]};" ;;
            "    Path = $top;") line="    Path = $path;" ;;
            "    Pseudo = $top;") line="    Pseudo = $path;" ;;
            *'# With what is mounted beneath.') continue ;;
        esac
        printf '%s\n' "$line"
    done <<<"${block%$'\n'}"
}

# A number nobody else has, the same one forever.
give_number() {
    local number
    if [[ -n ${NUMBER_OF[$1]:-} ]]; then return 0; fi
    number=$(cksum <<<"$1")
    number=$((FIRST_NUMBER + ${number%% *} % HOW_MANY))
    while [[ -n ${PATH_OF[$number]:-} ]]; do number=$((FIRST_NUMBER + (number - FIRST_NUMBER + 1) % HOW_MANY)); done
    NUMBER_OF[$1]=$number
    PATH_OF[$number]=$1
    printf '%s %s\n' "$number" "$1" >>"$NUMBERS"
}

main
