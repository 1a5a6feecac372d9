# shellcheck shell=bash
# shellcheck disable=SC2016 # backquotes in what is said are not commands
# Bring etcd back from a backup, on one control-plane host, as a new cluster of one member that the others join again.
# Comes after repository.sh.

: "${BACKUP_SETTINGS:=/etc/research-compute/backup/settings}"
: "${RESTORE_FOLDER:=/var/lib/research-compute/restore}"
: "${KUBERNETES_FOLDER:=/etc/kubernetes}"
: "${ENCRYPTION_FILE:=/etc/research-compute/api-server/encryption.yaml}"
# What the new revision is raised by, so that no client still holds a later one and all of them look anew
# (etcd: disaster recovery, revision bump). Five writes a second for 1,000 years come to less than 160 times this much;
# what matters is more than was written since the oldest snapshot.
readonly REVISION_BUMP=1000000000
# Seconds a static pod may take to end, and etcd or the API server to answer.
readonly STOP_SECONDS=120 START_SECONDS=300
readonly PARTS=(kube-scheduler kube-controller-manager kube-apiserver etcd)

usage() {
    cat <<'USAGE'
usage: research-compute-etcd-restore --list
       research-compute-etcd-restore --snapshot ID|latest
       research-compute-etcd-restore --stand-down

--list        the backups there are
--snapshot    bring etcd back as it was; what was written to the cluster since is lost, but kept aside on this host
--stand-down  on every OTHER control-plane host, before that: end its control plane and forget its data, so that it can
              join the restored cluster
USAGE
}

# The manifest of a part, where it is now: set aside while the part is stopped.
manifest_of() {
    local file
    for file in "$RESTORE_FOLDER/manifests/$1.yaml" "$KUBERNETES_FOLDER/manifests/$1.yaml"; do
        if [[ -f $file ]]; then
            printf '%s' "$file"
            return
        fi
    done
    refuse "this host has no static pod $1: it is no control-plane host of a cluster with etcd on its own hosts"
}

argument_of() { sed -n "s/^ *- --$2=//p" "$(manifest_of "$1")" | head -n 1; }

etcd() {
    local pki=$KUBERNETES_FOLDER/pki/etcd
    etcdctl --cacert "$pki/ca.crt" --cert "$pki/healthcheck-client.crt" --key "$pki/healthcheck-client.key" \
        --command-timeout 5s "$@"
}

# --- what is restored ------------------------------------------------------------------------------------------------

# Get a backup onto this host's disk, and look whether it is whole.
get_snapshot() {
    local id=$1
    rm -rf -- "$RESTORE_FOLDER/backup"
    mkdir -p -- "$RESTORE_FOLDER/backup"
    if ! restic restore "$id" --tag etcd --target "$RESTORE_FOLDER/backup" >/dev/null; then
        refuse "the backup $id cannot be read from $RESTIC_REPOSITORY"
    fi
    SNAPSHOT=$(find "$RESTORE_FOLDER/backup" -name etcd.db -type f)
    if [[ -z $SNAPSHOT ]]; then refuse "the backup $id holds no etcd.db"; fi
    if ! etcdutl snapshot status "$SNAPSHOT" >/dev/null; then refuse "the snapshot in the backup $id is damaged"; fi
}

# Refuse a backup of another cluster, or one whose Secrets this host's API server could not decrypt.
require_readable() {
    local kept=$RESTORE_FOLDER/backup$KUBERNETES_FOLDER keys=$RESTORE_FOLDER/backup$ENCRYPTION_FILE name
    if ! cmp -s "$kept/pki/ca.crt" "$KUBERNETES_FOLDER/pki/ca.crt"; then
        refuse "the backup is of a cluster with another certificate authority; its pki is in $kept/pki." \
            "To bring that cluster back, put its pki in place of $KUBERNETES_FOLDER/pki first"
    fi
    if [[ ! -f $keys ]]; then return 0; fi
    while read -r name; do
        if ! grep -qs -- "- name: $name\$" "$ENCRYPTION_FILE"; then
            refuse "Secrets in the backup may be encrypted with the key $name, which this host does not have any more;" \
                'put it last under nodes.controlPlane.encryption.keys first'
        fi
    done < <(sed -n 's/^ *- name: //p' "$keys")
}

# Refuse as long as another member of the present etcd answers: it would go on with the data of before.
require_alone() {
    local own urls url name answering=()
    own=$(argument_of etcd name)
    while IFS=, read -r _ _ name _ urls _; do
        name=${name# }
        url=${urls# }
        if [[ $name == "$own" || -z $url ]]; then continue; fi
        if etcd --endpoints "$url" endpoint status >/dev/null 2>&1; then answering+=("$name ($url)"); fi
    done < <(known_members)
    if ((${#answering[@]})); then
        refuse "other members of etcd still run: ${answering[*]}." \
            'Run `research-compute-etcd-restore --stand-down` on those hosts first'
    fi
}

# The members as this host's etcd knows them, whether or not it has a quorum; remembered for a run that is cut off.
known_members() {
    local list
    if list=$(etcd --endpoints https://127.0.0.1:2379 member list --consistency s 2>/dev/null); then
        printf '%s\n' "$list" >"$RESTORE_FOLDER/members"
    fi
    if [[ -s $RESTORE_FOLDER/members ]]; then
        cat -- "$RESTORE_FOLDER/members"
    else
        # Its etcd does not answer: at least those that were there when it joined.
        argument_of etcd initial-cluster | tr ',' '\n' | sed 's/^\([^=]*\)=\(.*\):2380$/, , \1, , \2:2379, /'
    fi
}

# --- stopping and starting -------------------------------------------------------------------------------------------

runs() {
    local folder program
    for folder in /proc/[0-9]*; do
        program=$(readlink -- "$folder/exe" 2>/dev/null || true)
        if [[ ${program##*/} == "$1" ]] && grep -q kubepods "$folder/cgroup" 2>/dev/null; then return 0; fi
    done
    return 1
}

is_gone() { ! runs "$1"; }

stop_parts() {
    local part
    mkdir -p -- "$RESTORE_FOLDER/manifests"
    for part in "${PARTS[@]}"; do
        if [[ -f $KUBERNETES_FOLDER/manifests/$part.yaml ]]; then
            mv -f -- "$KUBERNETES_FOLDER/manifests/$part.yaml" "$RESTORE_FOLDER/manifests/$part.yaml"
        fi
    done
    for part in "${PARTS[@]}"; do wait_until "$STOP_SECONDS" "$part to end" is_gone "$part"; done
}

# Give parts back to the kubelet: start_parts PART...
start_parts() {
    local part
    for part in "$@"; do
        if [[ -f $RESTORE_FOLDER/manifests/$part.yaml ]]; then
            mv -f -- "$RESTORE_FOLDER/manifests/$part.yaml" "$KUBERNETES_FOLDER/manifests/$part.yaml"
        fi
    done
}

# The data directory with what the snapshot holds; what was there is kept beside it.
replace_data() {
    local data name peer new aside
    data=$(argument_of etcd data-dir)
    name=$(argument_of etcd name)
    peer=$(argument_of etcd initial-advertise-peer-urls)
    # On the same file system, which may hold nothing but this directory.
    new=$data/restored
    aside=$data/before-$(date -u +%Y%m%dT%H%M%SZ)
    rm -rf -- "$new"
    etcdutl snapshot restore "$SNAPSHOT" --name "$name" --initial-cluster "$name=$peer" \
        --initial-advertise-peer-urls "$peer" --initial-cluster-token "restored-$(date +%s)" \
        --data-dir "$new" --bump-revision "$REVISION_BUMP" --mark-compacted >/dev/null 2>&1 ||
        fail "etcdutl could not restore the snapshot ($(df -h --output=avail -- "$data" | tail -n 1 | tr -d ' ') free)"
    if [[ -d $data/member ]]; then
        mkdir -- "$aside"
        mv -- "$data/member" "$aside/member"
        say "what was there before is kept in $aside"
    fi
    mv -- "$new/member" "$data/member"
    rmdir -- "$new"
    sync -- "$data"
}

etcd_is_well() { etcd --endpoints https://127.0.0.1:2379 endpoint health; }

# Not only ready: it has read what it serves, too.
api_is_ready() {
    kubectl --kubeconfig "$KUBERNETES_FOLDER/admin.conf" --request-timeout 5s \
        --server "https://$(argument_of kube-apiserver advertise-address):$(argument_of kube-apiserver secure-port)" \
        get --namespace kube-system configmap kubeadm-config
}

restore() {
    local id=$1
    mkdir -p -- "$RESTORE_FOLDER"
    manifest_of etcd >/dev/null
    open_settings
    get_snapshot "$id"
    require_readable
    require_alone
    say "stopping this host's control plane"
    stop_parts
    say "restoring etcd from the backup $id"
    replace_data
    start_parts etcd
    wait_until "$START_SECONDS" 'etcd to answer' etcd_is_well
    start_parts kube-apiserver kube-controller-manager kube-scheduler
    wait_until "$START_SECONDS" 'the API server to be ready' api_is_ready
    rm -rf -- "$RESTORE_FOLDER"
    say 'etcd is back, with this host as its only member.'
    say 'Every other control-plane host has to join it again: run `research-compute-etcd-restore --stand-down` there (if'
    say 'that was not done before), raise `reconverge` of that host in the stack file, and run `labctl up`.'
}

# --- the other control-plane hosts -----------------------------------------------------------------------------------

stand_down() {
    manifest_of etcd >/dev/null
    say "ending this host's control plane"
    # Its membership is not given back: the members it would be given back to are about to be replaced.
    timeout 300 kubeadm reset --force --skip-phases preflight,remove-etcd-member >/dev/null 2>&1 ||
        fail 'kubeadm reset did not succeed; run it by hand'
    rm -rf -- "$(etcd_folder)/member" "$RESTORE_FOLDER"
    say 'This host is no member of the cluster any more. After the restore, raise its `reconverge` and run `labctl up`.'
}

etcd_folder() { printf '%s' "${ETCD_FOLDER:-/var/lib/etcd}"; }

case ${1:-} in
    --list)
        open_settings
        restic snapshots --tag etcd
        ;;
    --snapshot)
        if [[ -z ${2:-} ]]; then
            usage >&2
            exit 64
        fi
        restore "$2"
        ;;
    --stand-down) stand_down ;;
    --help | -h) usage ;;
    *)
        usage >&2
        exit 64
        ;;
esac
