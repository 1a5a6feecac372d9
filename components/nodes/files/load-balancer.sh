# shellcheck shell=bash
# This host's share of the endpoint: keepalived brings its address here when no other host has it, haproxy passes what
# comes to it on to an API server that is ready.
#
# Values: ADDRESS, ENDPOINT (address and port), HAPROXY, KEEPALIVED (configurations).

desired() {
    local interface
    refuse_other_endpoint
    interface=$(interface_of "$ADDRESS")
    if [[ -z $interface ]]; then fail "no interface of this host has the address $ADDRESS (nodes.hosts.$STEP_HOST.address)"; fi
    want_foreign_address
    # The configurations are there before the packages: what a package starts by itself is ours from the beginning.
    printf '%s' "$HAPROXY" | want_file /etc/haproxy/haproxy.cfg 0644
    printf '%s' "${KEEPALIVED//@INTERFACE@/$interface}" | want_file /etc/keepalived/keepalived.conf 0644
    want_packages curl haproxy keepalived
    act quietly haproxy -c -q -f /etc/haproxy/haproxy.cfg
    want_service haproxy.service reload-if 'file /etc/haproxy/haproxy.cfg' restart-if 'package haproxy' 'sysctl *nonlocal*'
    want_service keepalived.service reload-if 'file /etc/keepalived/keepalived.conf' restart-if 'package keepalived'
}

undo() {
    want_no_service keepalived.service
    want_no_service haproxy.service
    want_absent /etc/keepalived/keepalived.conf /etc/haproxy/haproxy.cfg /etc/sysctl.d/90-research-compute-endpoint.conf
}

# haproxy listens on the endpoint's address on every host, most of which do not have it at the moment.
want_foreign_address() {
    local key=net.ipv4.ip_nonlocal_bind
    if [[ $ENDPOINT == '['* ]]; then key=net.ipv6.ip_nonlocal_bind; fi
    want_file /etc/sysctl.d/90-research-compute-endpoint.conf 0644 <<<"$key = 1"
    if [[ $(<"/proc/sys/${key//.//}") != 1 ]]; then
        changed "sysctl $key"
        act sysctl --quiet --write "$key=1"
    fi
}
