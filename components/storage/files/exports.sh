# shellcheck shell=bash
# What this host exports by NFS, version 4 alone, by the kernel's server or by nfs-ganesha. What clients have mounted
# stays mounted: the servers are told to read their exports again, and are restarted only if their settings change.
#
# Values: SERVER (kernel or ganesha), SETTINGS, EXPORTS (texts), EXPORTED ("PATH CLIENTS", one per export),
# BENEATH_SCRIPT (where ganesha-exports was put on this host).

# Where things are; a text composed with other values (the tests') keeps those.
: "${UNITS=/etc/systemd/system}" "${ETAB=/var/lib/nfs/etab}"
: "${KERNEL_SETTINGS=/etc/nfs.conf.d/research-compute.conf}" "${KERNEL_EXPORTS=/etc/exports.d/research-compute.exports}"
: "${GANESHA_FOLDER=/etc/ganesha}"
readonly GANESHA_SETTINGS=$GANESHA_FOLDER/ganesha.conf
readonly GANESHA_EXPORTS=$GANESHA_FOLDER/research-compute-exports.conf
readonly GANESHA_BENEATH=$GANESHA_FOLDER/research-compute-beneath.conf
readonly GANESHA_UNIT=$UNITS/nfs-ganesha.service.d/research-compute.conf
readonly BENEATH=/usr/local/lib/research-compute/ganesha-exports
# What only NFS before version 4 needs, and what would listen on every address: no port mapper, no lock manager.
readonly OLDER=(rpcbind.socket rpcbind.service rpc-statd.service rpc-statd-notify.service nfs-ganesha-lock.service)
# A server that reads its exports again is done in a blink; one that starts loads its modules first.
: "${EXPORTED_WITHIN_SECONDS=20}"

desired() {
    local unit
    for unit in "${OLDER[@]}"; do want_masked "$unit"; done
    case $SERVER in
        kernel) want_kernel_server ;;
        ganesha) want_ganesha ;;
        *) refuse "there is no NFS server $SERVER: write kernel or ganesha" ;;
    esac
}

# Stop exporting what is ours. Folders, and what others export by the kernel's server, stay.
undo() {
    local unit
    undo_ganesha
    undo_kernel_server
    for unit in "${OLDER[@]}"; do want_unmasked "$unit"; done
}

# --- the kernel's server ---------------------------------------------------------------------------------------------

want_kernel_server() {
    want_no_service nfs-ganesha.service
    # The files are there before the package, whose installation starts the server.
    printf '%s' "$SETTINGS" | want_file "$KERNEL_SETTINGS" 0644
    printf '%s' "$EXPORTS" | want_file "$KERNEL_EXPORTS" 0644
    want_packages nfs-kernel-server
    want_service nfs-server.service restart-if "file $KERNEL_SETTINGS"
    if was_changed "file $KERNEL_EXPORTS" 'done exports' || [[ -n $(not_exported) ]]; then
        changed 'exports'
        act read_exports
        note 'done exports'
    fi
}

undo_kernel_server() {
    want_absent "$KERNEL_EXPORTS"
    if was_changed "absent $KERNEL_EXPORTS" && [[ -n $(type -P exportfs) ]]; then act read_exports; fi
    want_absent "$KERNEL_SETTINGS"
    if [[ ! -s $ETAB ]]; then want_no_service nfs-server.service; fi
}

# Have the kernel export what the files say, and nothing else. Those who have mounted what is still exported notice nothing.
read_exports() {
    local said
    if ! said=$(exportfs -ra 2>&1); then fail "exportfs does not take $KERNEL_EXPORTS: ${said:-it says nothing}"; fi
    if [[ $MODE == apply && -n $(not_exported) ]]; then
        fail "exportfs passes over $(not_exported): ${said:-it says nothing}"
    fi
}

# The first export that fewer clients have than should; nothing where all is well.
not_exported() {
    local line path wanted found
    for line in "${EXPORTED[@]}"; do
        path=${line% *} wanted=${line##* }
        found=$(grep -c "^$path"$'\t' "$ETAB" 2>/dev/null || true)
        if ((${found:-0} < wanted)); then
            printf '%s' "$path"
            return 0
        fi
    done
}

# --- nfs-ganesha -----------------------------------------------------------------------------------------------------

want_ganesha() {
    local line
    want_no_service nfs-server.service
    ganesha_unit | want_file "$GANESHA_UNIT" 0644
    want_made_of "$BENEATH" "$BENEATH_SCRIPT"
    printf '%s' "$EXPORTS" | want_file "$GANESHA_EXPORTS" 0640
    printf '%s' "$SETTINGS" | want_file "$GANESHA_SETTINGS" 0640
    # A file that is included has to be there; the service writes it anew whenever it starts or is reloaded.
    if [[ ! -f $GANESHA_BENEATH ]]; then want_file "$GANESHA_BENEATH" 0640 </dev/null; fi
    want_packages nfs-ganesha nfs-ganesha-vfs
    want_service nfs-ganesha.service restart-if "file $GANESHA_SETTINGS" "file $GANESHA_UNIT" \
        reload-if "file $GANESHA_EXPORTS" "file $BENEATH"
    for line in "${EXPORTED[@]}"; do
        if [[ ${line##* } == 0 ]]; then continue; fi
        if checking; then
            if ! ganesha_exports "${line% *}"; then changed "exports ${line% *}"; fi
        else
            wait_until "$EXPORTED_WITHIN_SECONDS" "nfs-ganesha to export ${line% *} (/var/log/ganesha/ganesha.log says why not)" \
                ganesha_exports "${line% *}"
        fi
    done
}

undo_ganesha() {
    if [[ ! -f $GANESHA_EXPORTS ]]; then return 0; fi
    want_no_service nfs-ganesha.service
    want_absent "$GANESHA_EXPORTS" "$GANESHA_BENEATH" "$GANESHA_SETTINGS" "$GANESHA_UNIT" "$BENEATH"
    reload_units
}

# Whether the running server exports a path: ganesha_exports PATH
ganesha_exports() {
    local said
    said=$(busctl --system call org.ganesha.nfsd /org/ganesha/nfsd/ExportMgr org.ganesha.nfsd.exportmgr ShowExports 2>/dev/null) &&
        [[ $said == *" \"$1\" "* ]]
}

ganesha_unit() {
    cat <<UNIT
[Unit]
After=zfs-mount.service zfs-fuse.service

[Service]
ExecStartPre=$BENEATH
ExecReload=
ExecReload=$BENEATH
ExecReload=/bin/kill -HUP \$MAINPID
Restart=on-failure
RestartSec=2
UNIT
}

# --- units that may not run ------------------------------------------------------------------------------------------

# A unit that nothing starts, whether or not it is installed: want_masked UNIT
want_masked() {
    if [[ $(readlink -- "$UNITS/$1" || true) == /dev/null ]]; then return 0; fi
    changed "masked $1"
    if checking; then return 0; fi
    systemctl mask --quiet -- "$1"
    systemctl stop --quiet -- "$1" 2>/dev/null || true
}

want_unmasked() {
    if [[ $(readlink -- "$UNITS/$1" || true) != /dev/null ]]; then return 0; fi
    changed "unmasked $1"
    act systemctl unmask --quiet -- "$1"
}
