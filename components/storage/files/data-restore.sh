# shellcheck shell=bash
# The end of the restore program where it is put on a host, for use at its console; `labctl restore` calls
# `run_restore` itself.

usage() {
    cat <<'USAGE'
usage: research-compute-data-restore list [FILE-SYSTEM]
       research-compute-data-restore one FILE-SYSTEM [--path PATH] --snapshot NAME | --copy ID [--in-place] [--dry-run]
       research-compute-data-restore everything --copy ID [--dry-run]

list         what there is to restore from: snapshots of this host, copies in the repository
one          a file system, or a path in it, into a new folder beside what is there; with --in-place instead of it
everything   every file system of a copy that is not there, or has no files
USAGE
}

# At the console.
restore_by_hand() {
    WHAT=${1:-} DATASET='' SUB_PATH='' SOURCE='repository' COPY='' LABEL='' IN_PLACE='false' DRY_RUN='false' IS_DATABASE='false'
    case $WHAT in
        --help | -h)
            usage
            exit 0
            ;;
        list | everything) ;;
        one)
            DATASET=${2:-}
            shift
            ;;
        *)
            usage >&2
            exit 64
            ;;
    esac
    shift
    if [[ $WHAT == list && $# -gt 0 ]]; then
        DATASET=$1
        shift
    fi
    while (($#)); do
        case $1 in
            --path) SUB_PATH=${2:-} && shift ;;
            --snapshot) SOURCE=local COPY=${2:-} && shift ;;
            --copy) COPY=${2:-} && shift ;;
            --in-place) IN_PLACE=true ;;
            --dry-run) DRY_RUN=true ;;
            *)
                usage >&2
                exit 64
                ;;
        esac
        shift
    done
    if [[ $WHAT != list && -z $COPY || $WHAT == one && -z $DATASET ]]; then
        usage >&2
        exit 64
    fi
    LABEL=restored-$(date -u +%Y%m%dT%H%M%SZ)
    run_restore
}

restore_by_hand "$@"
