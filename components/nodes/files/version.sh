# shellcheck shell=bash
# This host at the wanted version of Kubernetes: its control plane, its kubelet, and the links to its programs.
#
# Values: KUBERNETES_VERSION (v1.36.3), ADDRESS, CONTROL_PLANE, DRAIN_SECONDS, EVICT_UNMANAGED, LAST_STORAGE (the only host with
# storage that is a node, if draining it is not allowed), IGNORE_PREFLIGHT.
#
# A host empties itself with its kubelet's own credential: it may cordon its node and evict its own pods, nothing more,
# and no command runs anywhere else. Only another minor version empties it: a kubelet of the same minor takes over
# running containers (Kubernetes: version skew policy).
# Every stage looks at what is there, so a run that was cut off goes on where it was.

: "${PROGRAMS_FOLDER:=/opt/research-compute/kubernetes}"
: "${LINKS_FOLDER:=/usr/local/bin}"
# Seconds a node may take to be Ready with the new kubelet; a control plane's API server is restarted in it, too.
: "${NODE_SECONDS:=300}"
# Seconds after which the kubelet has told the cluster of a static pod that it started: a probe and two of its rounds.
: "${MIRROR_SECONDS:=60}"
# Seconds the members of etcd are given to be well, all of them, before one is taken down.
: "${QUORUM_SECONDS:=120}"
# Seconds between two looks at what is left on a node that is being emptied.
: "${DRAIN_PAUSE_SECONDS:=2}"
# Seconds after which another host takes over the lock of one that has not renewed it: it died meanwhile.
: "${LEASE_SECONDS:=120}"
# Seconds that the lock of another host is waited for; `kubeadm upgrade apply` takes minutes.
: "${LEASE_WAIT_SECONDS:=900}"

desired() {
    local here
    if ! is_member; then
        log 'version: this host is no member of a cluster'
        return 0
    fi
    here=$(linked_version)
    if [[ $here != "$KUBERNETES_VERSION" ]]; then changed "kubelet $here to $KUBERNETES_VERSION"; fi
    if [[ $CONTROL_PLANE == true && $(static_pod_version) != "$KUBERNETES_VERSION" ]]; then
        changed "control plane $(static_pod_version) to $KUBERNETES_VERSION"
    fi
    if marker_get upgrading >/dev/null; then changed 'an upgrade that was cut off, to its end'; fi
    if ((${#CHANGED[@]})) && ! checking; then upgrade "$here"; fi
    result version "$KUBERNETES_VERSION"
}

# Programs and data of another version cannot be had back by undoing this one.
undo() { rm -f -- "$STATE_FOLDER/markers/upgrading" "$STATE_FOLDER/markers/cordoned"; }

upgrade() {
    local from=$1 begun minor='false'
    # The version it began with: after the links have moved, that is how to tell whether the node had to be emptied.
    begun=$(marker_get upgrading || true)
    if [[ -n $begun ]]; then from=$begun; fi
    require_upgradable "$from"
    if [[ ${from%.*} != "${KUBERNETES_VERSION%.*}" ]]; then minor='true'; fi
    if [[ $minor == true ]]; then require_drainable; fi
    if [[ $CONTROL_PLANE == true ]]; then require_quorum; fi
    marker_set upgrading "$from"

    if [[ $CONTROL_PLANE == true ]]; then upgrade_control_plane; fi
    if [[ $minor == true ]]; then drain; fi
    if [[ $CONTROL_PLANE == false ]]; then new_kubeadm upgrade node; fi
    switch_kubelet
    uncordon
    rm -f -- "$STATE_FOLDER/markers/upgrading"
}

# --- what is there ---------------------------------------------------------------------------------------------------

node() { kubectl --kubeconfig "$KUBERNETES_FOLDER/kubelet.conf" --request-timeout 30s "$@"; }

# The wanted version's own kubeadm; all it says goes to stderr.
new_kubeadm() {
    local ignored=()
    if ((${#IGNORE_PREFLIGHT[@]})); then
        ignored=("--ignore-preflight-errors=$(
            IFS=,
            printf '%s' "${IGNORE_PREFLIGHT[*]}"
        )")
    fi
    if ! "$PROGRAMS_FOLDER/$KUBERNETES_VERSION/kubeadm" "$@" "${ignored[@]}" >&2; then
        fail "kubeadm $1 $2 did not succeed on $STEP_HOST; it is tried again by the next run"
    fi
}

# The version whose kubelet this host starts.
linked_version() {
    local target
    target=$(readlink -- "$LINKS_FOLDER/kubelet" || true)
    target=${target%/kubelet}
    printf '%s' "${target##*/}"
}

# The version of the cluster, which kubeadm keeps; every kubelet may read it.
cluster_version() {
    node --namespace kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterConfiguration}' |
        sed -n 's/^kubernetesVersion: *//p'
}

# --- what may be done ------------------------------------------------------------------------------------------------

require_upgradable() {
    local from=$1 cluster program
    for program in kubeadm kubelet kubectl; do
        if [[ ! -x $PROGRAMS_FOLDER/$KUBERNETES_VERSION/$program ]]; then
            fail "there is no $program of $KUBERNETES_VERSION on $STEP_HOST; the step kubernetes brings it"
        fi
    done
    if reason=$(forbidden_change "$from" "$KUBERNETES_VERSION"); then
        refuse "the kubelet of $STEP_HOST $reason"
    fi
    cluster=$(cluster_version)
    if reason=$(forbidden_change "$cluster" "$KUBERNETES_VERSION"); then refuse "the cluster $reason"; fi
    if [[ $CONTROL_PLANE == false && $cluster != "$KUBERNETES_VERSION" ]]; then
        refuse "the control plane is at $cluster; a worker comes to $KUBERNETES_VERSION after it"
    fi
}

# Print why one version cannot follow another, and return 0; return 1 where it can (Kubernetes: version skew policy).
forbidden_change() {
    local from=$1 to=$2 from_parts to_parts
    IFS=.- read -ra from_parts <<<"${from#v}"
    IFS=.- read -ra to_parts <<<"${to#v}"
    if [[ ! $from =~ ^v[0-9]+\.[0-9]+\.[0-9]+ ]]; then
        printf 'is at a version that is none: %s' "${from:-nothing}"
    elif [[ ${from_parts[0]} != "${to_parts[0]}" ]] || ((to_parts[1] > from_parts[1] + 1)); then
        printf 'is at %s, and cannot skip to %s: one minor version at a time' "$from" "$to"
    elif ((to_parts[1] < from_parts[1] || (to_parts[1] == from_parts[1] && to_parts[2] < from_parts[2]))); then
        printf 'is at %s, and cannot go back to %s' "$from" "$to"
    else
        return 1
    fi
}

# Refuse to empty a node where that would end what nobody starts again, or take the last storage away.
require_drainable() {
    local unmanaged
    if [[ -n $LAST_STORAGE ]]; then
        refuse "$LAST_STORAGE is the only host with storage, and an upgrade to $KUBERNETES_VERSION would empty it;" \
            'add a second one, or allow it by nodes.upgrade.drainLastStorage'
    fi
    if [[ $EVICT_UNMANAGED == true ]]; then return 0; fi
    unmanaged=$(own_pods | while read -r name owner phase _; do
        if [[ $owner == - && $phase != Succeeded && $phase != Failed ]]; then printf '%s\n' "$name"; fi
    done)
    if [[ -z $unmanaged ]]; then return 0; fi
    uncordon
    refuse "$(wc -l <<<"$unmanaged") pods on $STEP_HOST would not be started again anywhere: $(some_of <<<"$unmanaged");" \
        'wait until they have ended, or allow it by nodes.upgrade.evictUnmanaged'
}

# A control plane is taken down for a moment: every etcd member has to be well before. One that has just been started
# is waited for.
require_quorum() {
    local deadline=$((SECONDS + QUORUM_SECONDS)) said
    until said=$(etcd endpoint health --cluster 2>&1); do
        if ((SECONDS >= deadline)); then
            refuse "not every member of etcd is well, so none is taken down:" \
                "$(grep -i 'unhealthy\|error' <<<"$said" | tail -n 3 | paste -sd ' ')"
        fi
        sleep 2
    done
}

# The first lines of stdin, on one line.
some_of() {
    local lines
    mapfile -t lines
    printf '%s' "${lines[0]}"
    if ((${#lines[@]} > 1)); then printf ', %s' "${lines[@]:1:9}"; fi
    if ((${#lines[@]} > 10)); then printf ' and %d more' "$((${#lines[@]} - 10))"; fi
}

# --- the control plane -----------------------------------------------------------------------------------------------

# The first host of the cluster applies the version, the others follow. Which one is first is nobody's name: it is the
# one that finds the cluster at another version, or the applying of one that died.
upgrade_control_plane() {
    local part attempt
    take_lease
    # kubeadm has the kubelet say another digest than before of each: the present one should be said by then. One that does
    # not run has none; it is kubeadm's to bring up.
    for part in etcd kube-apiserver kube-controller-manager kube-scheduler; do
        for ((attempt = 0; attempt < MIRROR_SECONDS; attempt++)); do
            if mirror_is_current "$part"; then break; fi
            sleep 1
        done
    done
    if [[ $(cluster_version) != "$KUBERNETES_VERSION" || $UNFINISHED == true ]]; then
        new_kubeadm upgrade apply "$KUBERNETES_VERSION" --yes
    else
        new_kubeadm upgrade node
    fi
    release_lease
}

# Whether the cluster's mirror of a static pod on this host is that of the one that runs.
mirror_is_current() {
    local said
    said=$(admin --namespace kube-system get pod "$1-$STEP_HOST" -o 'jsonpath={.metadata.annotations.kubernetes\.io/config\.hash}' 2>/dev/null) || return 1
    [[ -n $said && $said == "$(pods_of "$1")" ]]
}

lease() { admin --namespace kube-system "$@"; }

# Take the lock that one host at a time upgrades a control plane under. UNFINISHED says whether its last holder, this
# host in a former run included, did not come to its end.
take_lease() {
    local deadline=$((SECONDS + LEASE_WAIT_SECONDS)) found version holder renewed
    UNFINISHED='false'
    until lease_object '' | lease create -f - >&2; do
        found=$(
            lease get lease research-compute-upgrade --ignore-not-found \
                -o 'jsonpath={.metadata.resourceVersion} {.spec.holderIdentity} {.spec.renewTime}'
        )
        read -r version holder renewed <<<"$found"
        if [[ -n ${renewed:-} ]]; then
            UNFINISHED='true'
            if [[ $holder == "$STEP_HOST" ]] || (($(date -d "$renewed" +%s) < $(date +%s) - LEASE_SECONDS)); then
                # Of two that want it, the server lets one replace the version both have seen.
                if lease_object "$version" | lease replace -f - >&2; then break; fi
            fi
        fi
        if ((SECONDS >= deadline)); then
            fail "${holder:-another host} is upgrading its control plane, waited $LEASE_WAIT_SECONDS s"
        fi
        sleep 2
    done
    keep_lease </dev/null >/dev/null 2>&1 &
    LEASE_KEEPER=$!
}

# The lock, as an object: lease_object RESOURCE_VERSION (empty: a new one).
lease_object() {
    printf '{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"research-compute-upgrade",'
    printf '"namespace":"kube-system","resourceVersion":"%s"},"spec":{"holderIdentity":"%s",' "$1" "$STEP_HOST"
    printf '"leaseDurationSeconds":%d,"renewTime":"%s"}}\n' "$LEASE_SECONDS" "$(lease_time)"
}

lease_time() { date -u +%Y-%m-%dT%H:%M:%S.%6NZ; }

# Renew the lock for as long as this run lives. It must hold neither the run's output nor the host's lock.
keep_lease() {
    exec {LOCK}>&- {OUTPUT}>&-
    while sleep $((LEASE_SECONDS / 6)) && kill -0 "$$"; do
        lease patch lease research-compute-upgrade --type merge \
            --patch "{\"spec\":{\"renewTime\":\"$(lease_time)\"}}" || true
    done
}

# Give the lock back: what it was taken for has come to its end.
release_lease() {
    kill "$LEASE_KEEPER" 2>/dev/null || true
    wait "$LEASE_KEEPER" || true
    wait_until 60 'the API server' lease delete lease research-compute-upgrade --ignore-not-found
}

# --- the node --------------------------------------------------------------------------------------------------------

# Every pod on this node that a drain is about: namespace/name, kind of its controller or -, phase, time it is deleted
# or -. Not what a DaemonSet runs on every node, nor what the kubelet itself runs from files.
own_pods() {
    local pods
    # shellcheck disable=SC2016 # a Go template's variables
    pods=$(
        node get pods --all-namespaces --field-selector "spec.nodeName=$STEP_HOST" -o 'go-template={{range .items}}{{$owner := "-"}}{{range .metadata.ownerReferences}}{{if .controller}}{{$owner = .kind}}{{end}}{{end}}{{$mirror := ""}}{{with .metadata.annotations}}{{$mirror = index . "kubernetes.io/config.mirror"}}{{end}}{{if not $mirror}}{{.metadata.namespace}}/{{.metadata.name}} {{$owner}} {{.status.phase}} {{or .metadata.deletionTimestamp "-"}}{{"\n"}}{{end}}{{end}}'
    ) || return 1
    sed '/^[^ ]* DaemonSet /d; /^$/d' <<<"$pods"
}

# Keep new pods away, and have those here end, as their PodDisruptionBudgets allow.
drain() {
    local deadline=$((SECONDS + DRAIN_SECONDS)) left reason
    local -A reasons=()
    wait_until 120 'the API server' node get --raw /readyz
    cordon
    log "version: emptying $STEP_HOST"
    while true; do
        reasons=()
        if left=$(own_pods); then
            if [[ -z $left ]]; then return 0; fi
            while read -r name owner phase deleted; do
                if [[ $deleted != - ]]; then
                    reasons[$name]='is ending'
                elif [[ $owner == - && $EVICT_UNMANAGED == false && $phase != Succeeded && $phase != Failed ]]; then
                    reasons[$name]='nobody starts it again'
                elif ! reason=$(evict "${name%%/*}" "${name#*/}"); then
                    reasons[$name]=$reason
                fi
            done <<<"$left"
        fi
        if ((SECONDS >= deadline)); then break; fi
        sleep "$DRAIN_PAUSE_SECONDS"
    done
    uncordon
    fail "$STEP_HOST did not become empty within $DRAIN_SECONDS s, and takes pods again: $(
        for name in "${!reasons[@]}"; do printf '%s (%s)\n' "$name" "${reasons[$name]}"; done | sort | some_of
    )"
}

# Ask for the eviction of a pod; print why it is not granted, and return 1. Not by kubectl, which keeps the name of the
# PodDisruptionBudget that stands in the way to itself.
evict() {
    local answer certificate server
    certificate=$(node config view --raw -o 'jsonpath={.users[0].user.client-certificate}')
    server=$(node config view --raw -o 'jsonpath={.clusters[0].cluster.server}')
    answer=$(
        curl --silent --show-error --max-time 30 --cacert "$KUBERNETES_FOLDER/pki/ca.crt" \
            --cert "$certificate" --key "$certificate" --header 'Content-Type: application/json' \
            --data "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"namespace\":\"$1\",\"name\":\"$2\"}}" \
            --write-out '\n%{http_code}' "$server/api/v1/namespaces/$1/pods/$2/eviction" 2>&1
    ) || true
    case ${answer##*$'\n'} in
        2?? | 404) return 0 ;;
    esac
    # The last message is the most precise one: the budget's name and its figures.
    { grep -Eo '"message": *"([^"\\]|\\.)*"' <<<"$answer" || tail -n 1 <<<"$answer"; } | tail -n 1 |
        sed 's/^"message": *"//; s/"$//; s/\\"/"/g'
    return 1
}

cordon() {
    if marker_get cordoned >/dev/null; then return 0; fi
    if [[ $(node get node "$STEP_HOST" -o 'jsonpath={.spec.unschedulable}') == true ]]; then
        log "version: $STEP_HOST takes no new pods already, by somebody else's will; that stays so"
        return 0
    fi
    marker_set cordoned
    node cordon "$STEP_HOST" >&2
}

# Let pods in again, if it was this step that kept them away.
uncordon() {
    if ! marker_get cordoned >/dev/null; then return 0; fi
    wait_until 60 'the API server' node uncordon "$STEP_HOST"
    rm -f -- "$STATE_FOLDER/markers/cordoned"
}

# The new kubelet, running and Ready.
switch_kubelet() {
    local program
    for program in kubeadm kubectl kubelet; do
        want_link "$LINKS_FOLDER/$program" "$PROGRAMS_FOLDER/$KUBERNETES_VERSION/$program"
    done
    want_service kubelet.service restart-if 'link *' 'kubelet *'
    wait_until "$NODE_SECONDS" "the node $STEP_HOST to be Ready with $KUBERNETES_VERSION" node_is_ready
}

node_is_ready() {
    local status
    status=$(node get node "$STEP_HOST" -o 'jsonpath={.status.nodeInfo.kubeletVersion} {.status.conditions[?(@.type=="Ready")].status}')
    [[ $status == "$KUBERNETES_VERSION True" ]]
}
