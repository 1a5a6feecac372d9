# shellcheck shell=bash
# Back up etcd and what makes it readable: etcd-backup [--verify]
# --verify reads the repository through instead (restic check), and frees what no snapshot needs any more.
# Run by a timer on every control-plane host; the host whose etcd member leads does it, the others have nothing to do.
# Comes after repository.sh.

: "${BACKUP_SETTINGS:=/etc/research-compute/backup/settings}"
: "${BACKUP_WORK:=/var/lib/research-compute/backup}"
: "${KUBERNETES_FOLDER:=/etc/kubernetes}"
: "${ENCRYPTION_FILE:=/etc/research-compute/api-server/encryption.yaml}"
: "${ETCD_ENDPOINT:=https://127.0.0.1:2379}"

etcd() {
    local pki=$KUBERNETES_FOLDER/pki/etcd
    etcdctl --endpoints "$ETCD_ENDPOINT" --cacert "$pki/ca.crt" --cert "$pki/healthcheck-client.crt" \
        --key "$pki/healthcheck-client.key" --command-timeout 120s "$@"
}

# Whether this host's member leads. Should it lose its place right after, two back up: that does no harm.
leads() {
    local status
    status=$(etcd endpoint status -w fields)
    [[ $(sed -n 's/^"MemberID" : //p' <<<"$status") == "$(sed -n 's/^"Leader" : //p' <<<"$status")" ]]
}

# Snapshots are told apart by the cluster they are of: by its certificate authority, which it keeps for life.
cluster_name() {
    local sum
    sum=$(openssl x509 -in "$KUBERNETES_FOLDER/pki/ca.crt" -noout -fingerprint -sha256)
    sum=${sum#*=}
    sum=${sum//:/}
    printf 'cluster-%s' "${sum:0:12}"
}

back_up() {
    local snapshot=$BACKUP_WORK/etcd.db path paths=("$BACKUP_WORK/etcd.db")
    rm -f -- "$snapshot" "$snapshot.part"
    etcd snapshot save "$snapshot" >/dev/null
    etcdutl snapshot status "$snapshot" >/dev/null
    for path in "$KUBERNETES_FOLDER"/{pki,manifests} "$ENCRYPTION_FILE" /etc/research-compute/kubeadm.yaml; do
        if [[ -e $path ]]; then paths+=("$path"); fi
    done
    patiently backup --quiet --host "$(cluster_name)" --tag etcd "${paths[@]}"
    rm -f -- "$snapshot"
    # The last few are kept in any case: of several made within one hour, all but one would go.
    patiently forget --quiet --host "$(cluster_name)" --tag etcd --group-by host,tags \
        --keep-last 3 --keep-hourly "$KEEP_HOURLY" --keep-daily "$KEEP_DAILY" --keep-weekly "$KEEP_WEEKLY"
    date -u +%Y-%m-%dT%H:%M:%SZ >"$BACKUP_WORK/last-success"
}

trap 'rm -f -- "$BACKUP_WORK/etcd.db" "$BACKUP_WORK/etcd.db.part"' EXIT
open_settings
install -d -m 0700 -- "$BACKUP_WORK"
exec 9>"$BACKUP_WORK/lock"
flock --wait 600 9 || fail 'another backup is under way on this host'
open_repository
if ! leads; then
    echo 'the etcd member of another host leads: it makes the backup'
    exit 0
fi
if [[ ${1:-} == --verify ]]; then
    patiently prune --quiet
    patiently check --quiet
else
    back_up
fi
