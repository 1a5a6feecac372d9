# shellcheck shell=bash
# Programs that come as archives: each version in a folder of its own, and one link that is switched when it is whole.

readonly PROGRAMS=/opt/research-compute

# Choose this machine's line of a pinned file ("amd64 SHA256 URL", "arm64 SHA256 URL"): pinned LINE...
pinned() {
    local line architecture
    PIN_ARCHITECTURE='' PIN_SHA256='' PIN_URL=''
    architecture=$(dpkg --print-architecture)
    for line in "$@"; do
        read -r PIN_ARCHITECTURE PIN_SHA256 PIN_URL <<<"$line"
        if [[ $PIN_ARCHITECTURE == "$architecture" ]]; then return 0; fi
    done
    refuse "$STEP_HOST is a machine of architecture $architecture, for which there is no pin: ${*##*/}"
}

# A program's archive, unpacked: want_program NAME VERSION LINE... ; PROGRAM_FOLDER names its folder.
want_program() {
    local name=$1 version=$2 archive fresh stamp
    shift 2
    pinned "$@"
    PROGRAM_FOLDER=$PROGRAMS/$name/$version-${PIN_SHA256:0:12}
    stamp=$STATE_FOLDER/programs/$name%$version-${PIN_SHA256:0:12}
    if [[ -d $PROGRAM_FOLDER && -f $stamp && $(<"$stamp") == "$(listing "$PROGRAM_FOLDER")" ]]; then return 0; fi
    changed "program $name $version"
    if checking; then return 0; fi
    archive=$CACHE_FOLDER/$STEP/$PIN_SHA256.tar.gz
    fetch "$PIN_URL" "$PIN_SHA256" "$archive"
    fresh=$PROGRAMS/$name/.$version.research-compute
    rm -rf -- "$fresh"
    mkdir -p -- "$fresh"
    tar --extract --gzip --no-same-owner --file "$archive" --directory "$fresh" ||
        fail "cannot unpack $PIN_URL ($(free_space "$fresh"))"
    sync --file-system -- "$fresh"
    # Only a folder that somebody changed is in the way: whoever uses it, uses nothing whole.
    rm -rf -- "$PROGRAM_FOLDER"
    mv -T -- "$fresh" "$PROGRAM_FOLDER"
    install -d -m 0700 -- "$STATE_FOLDER" "$STATE_FOLDER/programs"
    listing "$PROGRAM_FOLDER" >"$stamp"
    rm -f -- "$archive"
}

# What a folder looks like without reading it all: names, sizes, modes, and the time each was last changed.
listing() { find "$1" -printf '%P %s %m %l %T@ %C@\n' | sort | sha256sum; }

# The version that is used, switched in one step: want_current NAME FOLDER
want_current() { want_link "$PROGRAMS/$1/current" "$2"; }

# Remove the versions of a program that its link does not point to and nothing runs from. A container started by an
# older containerd is looked after by that version's shim for as long as it lives.
prune_programs() {
    local folder
    if checking; then return 0; fi
    for folder in "$PROGRAMS/$1"/*; do
        if [[ -L $folder || ! -d $folder || $folder -ef $PROGRAMS/$1/current ]] || runs_from "$folder"; then continue; fi
        rm -rf --one-file-system -- "$folder"
        rm -f -- "$STATE_FOLDER/programs/$1%${folder##*/}"
    done
}

# Whether a process runs a program of a folder.
runs_from() {
    local link
    for link in /proc/[0-9]*/exe; do
        if [[ $(readlink -- "$link" 2>/dev/null || true) == "$1"/* ]]; then return 0; fi
    done
    return 1
}

# The distribution's own packages of something would fight over the same files: refuse_packages NAME...
refuse_packages() {
    local found
    found=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' || true)
    if [[ -n $found ]]; then
        refuse "$STEP_HOST has ${found//$'\n'/, } of a package archive, which clash with the pinned ones:" \
            "apt-get purge ${found//$'\n'/ }"
    fi
}
