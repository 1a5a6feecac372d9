"""The endpoint's address among control-plane hosts: keepalived moves it, haproxy behind it finds a living API server.

Nothing is positional: every host has the same priority, and whoever has the address keeps it while it is well.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from .config import API_SERVER_PORT
from .kubeadm_plan import authority
from .plan import control_planes

if TYPE_CHECKING:
    from .config import EndpointConfig, NodesConfig

__all__ = ["INTERFACE", "haproxy_configuration", "keepalived_configuration"]

INTERFACE = "@INTERFACE@"
"""Stands where the script puts the name of the interface that has the host's address."""
HEALTH_PORT = 8405
"""TCP port, on the loopback address alone, where haproxy says whether it has an API server to offer (our choice, next
to haproxy's customary 8404 for its statistics)."""
ADVERTISEMENT_SECONDS = 0.5
"""Between two advertisements. The address moves after three that fail to come, and a bit: within two seconds."""
VIRTUAL_ROUTERS = 255
"""Virtual routers of a network segment (RFC 9568, 5.2.3)."""
IDLE_HOURS = 4
"""Hours a connection may be silent: as long as an idle `kubectl exec` is left open (kubelet,
streamingConnectionIdleTimeout's default)."""
MOST_CONNECTIONS = 8_000
"""Connections one haproxy takes: each of a thousand nodes holds four or five (kubelet, kube-proxy, the pod network, its
agents). Each needs two open files, which the limit systemd sets (524,288) has room for."""
ANNOUNCEMENTS = 4
"""Gratuitous ARPs that are sent again and again, so that a switch that forgot learns where the address is."""


def keepalived_configuration(config: NodesConfig, endpoint: EndpointConfig, host: str) -> str:
    """Return keepalived's configuration on one control-plane host, with `INTERFACE` for the script to put in.

    VRRP goes from host to host (unicast), which no switch has to be told about. It is not authenticated: version 3 has
    no authentication, and version 2's was a password in plain (RFC 9568, 1.2). What stands between is the network.
    """
    peers = [str(config.hosts[name].address) for name in control_planes(config) if name != host]
    family = "inet6" if isinstance(endpoint.address, IPv6Address) else "inet"
    unicast = [
        f"    unicast_src_ip {config.hosts[host].address}",
        "    unicast_peer {",
        *(f"        {peer}" for peer in peers),
        "    }",
    ]
    lines = [
        "global_defs {",
        f"    router_id {host}",
        "    vrrp_version 3",
        "    vrrp_garp_master_refresh 60",
        f"    vrrp_garp_master_refresh_repeat {ANNOUNCEMENTS}",
        "    enable_script_security",
        "    script_user nobody nogroup",
        "}",
        "vrrp_script api_server {",
        f'    script "/usr/bin/curl --silent --fail --max-time 2 --output /dev/null http://127.0.0.1:{HEALTH_PORT}/"',
        "    interval 1",
        "    timeout 3",
        "    fall 3",
        "    rise 2",
        "    init_fail",
        "}",
        f"vrrp_instance endpoint_{family} {{",
        "    state BACKUP",
        "    nopreempt",
        "    priority 100",
        f"    interface {INTERFACE}",
        f"    virtual_router_id {int(endpoint.address) % VIRTUAL_ROUTERS + 1}",
        f"    advert_int {ADVERTISEMENT_SECONDS}",
        *(unicast if peers else ()),
        "    virtual_ipaddress {",
        f"        {endpoint.address}/{endpoint.address.max_prefixlen}",
        "    }",
        "    track_script {",
        "        api_server",
        "    }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def haproxy_configuration(config: NodesConfig, endpoint: EndpointConfig) -> str:
    """Return haproxy's configuration, the same on every control-plane host.

    A connection is passed on as it is: the API server's own certificate is what a client sees.
    """
    idle = f"{IDLE_HOURS}h"
    lines = [
        "global",
        "    log stdout format raw local0 notice",
        "    user haproxy",
        "    group haproxy",
        "    maxconn 8000",
        "defaults",
        "    mode tcp",
        "    log global",
        "    option dontlognull",
        "    option redispatch",
        "    option clitcpka",
        "    option srvtcpka",
        "    timeout connect 2s",
        "    timeout check 3s",
        f"    timeout client {idle}",
        f"    timeout server {idle}",
        f"    timeout tunnel {idle}",
        "frontend endpoint",
        f"    bind {authority(endpoint.address, endpoint.port)}",
        "    default_backend api_servers",
        "backend api_servers",
        "    balance leastconn",
        "    option httpchk GET /readyz",
        "    http-check expect status 200",
        "    default-server check check-ssl verify none inter 1s fall 2 rise 1 on-marked-down shutdown-sessions",
        *_servers(config),
        "frontend health",
        f"    bind 127.0.0.1:{HEALTH_PORT}",
        "    mode http",
        "    no log",
        "    timeout client 5s",
        "    monitor-uri /",
        "    monitor fail if { nbsrv(api_servers) lt 1 }",
    ]
    return "\n".join(lines) + "\n"


def _servers(config: NodesConfig) -> list[str]:
    return [
        f"    server {name} {authority(config.hosts[name].address, API_SERVER_PORT)}" for name in control_planes(config)
    ]
