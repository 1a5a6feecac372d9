# shellcheck shell=bash
# Another host leaves the cluster, seen from this control-plane host: emptied, out of etcd, its node gone.
#
# Values: SUBJECT (the host), ADDRESS (its), ROLE, DRAIN_SECONDS, EVICT_UNMANAGED. Nothing is asked of the host itself:
# it may be gone for good.

# Seconds the pods of a silent node are given after the deadline of the drain has passed for it already.
readonly SILENT_SECONDS=5
# Seconds in which the cluster notices that a kubelet is gone (kube-controller-manager, node-monitor-grace-period: 50 s).
readonly NOTICE_SECONDS=70

# Nothing is to be done for a host that stays.
desired() { :; }

undo() {
    local peer
    peer="https://$(authority "$ADDRESS" 2380)"
    if ! is_control_plane; then
        log "$STEP_HOST is no control-plane member; there is nothing $SUBJECT could leave"
        return 0
    fi
    # Before anything is touched.
    if [[ $ROLE == control-plane ]]; then find_etcd_member "$peer"; fi
    if [[ -n $(admin get node "$SUBJECT" --ignore-not-found -o name) ]]; then
        changed "pods of $SUBJECT"
        quietly admin cordon "$SUBJECT"
        drain
    fi
    if [[ $ROLE == control-plane ]]; then
        changed "etcd member of $SUBJECT"
        remove_etcd_member "$peer"
    fi
    changed "node $SUBJECT"
    quietly admin delete node "$SUBJECT" --ignore-not-found
}

# Empty the node. A budget that never allows it fails the step; only a host that is silent loses its pods by force.
drain() {
    local options=(--ignore-daemonsets --delete-emptydir-data) output status=0 seconds
    if [[ $EVICT_UNMANAGED == true ]]; then options+=(--force); fi
    seconds=$(drain_seconds)
    output=$(admin drain "$SUBJECT" "${options[@]}" --timeout "${seconds}s" 2>&1) || status=$?
    if ((status == 0)); then return 0; fi
    if [[ $output == *'error when waiting for pod'* ]]; then wait_for_silence; fi
    if [[ $(silent_since) != 0 ]]; then
        log "$SUBJECT is silent; its pods are given up"
        give_up_pods
        return 0
    fi
    grep -vE '^(Warning: ignoring|evicting pod|node/)' <<<"$output" | tail -n 10 >&2 || true
    explain_failure "$output" "$seconds"
}

# Pods that were evicted and do not end may be those of a machine that died just now.
wait_for_silence() {
    local deadline=$((SECONDS + NOTICE_SECONDS))
    while [[ $(silent_since) == 0 ]] && ((SECONDS < deadline)); do sleep 2; done
}

# Seconds since the epoch since when the node is not ready; 0 if it is.
silent_since() {
    local state
    state=$(admin get node "$SUBJECT" -o 'jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.lastTransitionTime}{end}')
    if [[ $state == True* ]]; then
        printf '0'
    else
        date --date "${state#* }" +%s
    fi
}

# The deadline counts from the moment the node fell silent.
drain_seconds() {
    local since left
    since=$(silent_since)
    left=$DRAIN_SECONDS
    if ((since > 0)); then left=$((DRAIN_SECONDS - ($(date +%s) - since))); fi
    if ((left < SILENT_SECONDS)); then left=$SILENT_SECONDS; fi
    printf '%s' "$left"
}

# Pods whose kubelet will never say that they ended. Budgets are not asked: these pods serve nobody any more.
give_up_pods() {
    local pods namespace name
    pods=$(admin get pods --all-namespaces --field-selector "spec.nodeName=$SUBJECT" -o 'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}')
    # A volume that was attached there may be attached elsewhere at once.
    quietly admin taint --overwrite node "$SUBJECT" node.kubernetes.io/out-of-service=nodeshutdown:NoExecute
    while read -r namespace name; do
        if [[ -z $name ]]; then continue; fi
        quietly admin --namespace "$namespace" delete pod "$name" --grace-period 0 --force --wait=false --ignore-not-found
    done <<<"$pods"
}

# Name what kept the node from being emptied.
explain_failure() {
    local output=$1 seconds=$2 namespace budgets=() held
    if [[ $output == *'declare no controller'* ]]; then
        refuse "$SUBJECT has pods that nothing would start again elsewhere: $(grep -oE 'declare no controller[^:]*: .*' <<<"$output" | head -n 1 | sed 's/^[^:]*: //'). End them, or set nodes.upgrade.evictUnmanaged. The node stays cordoned"
    fi
    while IFS= read -r namespace; do
        held=$(admin --namespace "$namespace" get poddisruptionbudgets -o 'jsonpath={range .items[?(@.status.disruptionsAllowed==0)]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}')
        if [[ -n $held ]]; then budgets+=("${held//$'\n'/, }"); fi
    done < <(sed -nE 's,^.*error when evicting pods/"[^"]+" -n "([^"]+)".*$,\1,p' <<<"$output" | sort --unique)
    if ((${#budgets[@]})); then
        fail "$SUBJECT was not empty after $seconds s: these PodDisruptionBudgets allow no eviction: ${budgets[*]}. The node stays cordoned"
    fi
    fail "$SUBJECT was not empty after $seconds s (nodes.upgrade.drainTimeout). The node stays cordoned"
}
