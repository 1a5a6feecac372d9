"""What hub, proxy and users' servers reach, each flow with its reason.

All of it is said here: the chart has policies of its own, which would add up with these, and by default let hub and
proxy out to every address, metadata and management networks included. They are switched off (`components.hub.values`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from components.hub.limits.plan import limits_flows
from components.hub.operation.plan import database_flows
from components.hub.profiles.plan import NETWORK_LABEL
from components.hub.signin.config import LdapAuthentication, OidcAuthentication
from components.hub.signin.plan import provider_ports
from components.namespaces.flows import Direction, Flow, NetworkPeer, Port
from components.network.flows import Party, api_server, between, dns, from_gateway, internet, lab_peer

from .network_config import DEFAULT_CLASS, Internet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from components.hub.signin.config import Authentication
    from components.network.facts import NetworkFacts

    from .config import HubConfig
    from .network_config import NetworkClass

__all__ = ["HUB", "PROXY", "SERVERS", "hub_flows", "proxy_exceptions"]

PROXY_PORT = 8000
"""Port of the hub's proxy in its pod (the chart's ``proxy/deployment.yaml``)."""
PROXY_API_PORT = 8001
"""Port at which the proxy takes routes from the hub (the chart's ``proxy/deployment.yaml``)."""
HUB_PORT = 8081
"""Port of the hub in its pod (the chart's ``hub/deployment.yaml``)."""
SERVER_PORT = 8888
"""Port of a user's server in its pod (KubeSpawner's ``port``, ``notebook-port``)."""
WEB_PORTS = (22, 80, 443)
"""SSH for git, HTTP and HTTPS (IANA)."""

HUB = Party(key="hub", labels={"app.kubernetes.io/name": "jupyterhub", "app.kubernetes.io/component": "hub"})
PROXY = Party(key="proxy", labels={"app.kubernetes.io/name": "jupyterhub", "app.kubernetes.io/component": "proxy"})
"""Both by the labels of the chart's ``jupyterhub.matchLabelsLegacyAndModern``."""
SERVERS = Party(key="servers", labels={"app.kubernetes.io/component": "singleuser-server"})
"""Users' servers (KubeSpawner's ``component_label``)."""
PULLER_PODS = {"app.kubernetes.io/component": "image-puller"}
"""Label of the pods that pull images ahead of time (the chart's templates in ``image-puller/``)."""
SERVICE_NAMES = ("hub", "proxy-api", "proxy-public")
"""Services of the chart, which servers call by these short names (``JUPYTERHUB_API_URL``)."""


def hub_flows(config: HubConfig, network: NetworkFacts) -> tuple[Flow, ...]:
    """Return every flow of the hub's namespace.

    Parameters
    ----------
    config
        Hub section; checked.
    network
        The stack's network.
    """
    pulled = "The release waits for images to be pulled everywhere, and asks the API server about it."
    spawned = "The hub starts, watches and stops users' servers through the API server."
    flows = [
        dns(),
        api_server(network, pulled, PULLER_PODS, name="pullers-to-api-server"),
        api_server(network, spawned, HUB.labels, name="hub-to-api-server"),
        *between(HUB, PROXY, PROXY_API_PORT, "The hub tells the proxy where each user's server is."),
        *between(PROXY, HUB, HUB_PORT, "The proxy hands on whoever has no server yet, to sign in and to choose one."),
        *between(PROXY, SERVERS, SERVER_PORT, "The proxy hands on each user to their own server."),
        *between(HUB, SERVERS, SERVER_PORT, "The hub looks whether a server has started and still answers."),
        *between(SERVERS, HUB, HUB_PORT, "A server asks the hub who knocks, and tells it when somebody was active."),
        *_sign_in(config.authentication, network),
        *_servers(config, network),
        *database_flows(config, network, HUB.labels),
        *limits_flows(config, HUB.labels),
    ]
    if network.gateway is not None:
        flows.append(from_gateway(network, PROXY_PORT, "People come in through the gateway.", PROXY.labels))
    return tuple(flows)


def proxy_exceptions(network: NetworkFacts) -> tuple[str, ...]:
    """Return what a server's programs reach without the web proxy (``NO_PROXY``): names, domains and networks.

    The cluster's own services; what a network class opens beside stands there too (`components.hub.profiles.plan`), and
    whatever else is asked for is the proxy's to refuse. Python's and curl's readings of networks agree since curl 7.86.
    """
    domains = (".svc", f".{network.cluster_domain}")
    inside = (str(each) for each in (*network.services, *network.pods))
    return ("localhost", "127.0.0.1", "::1", *SERVICE_NAMES, *domains, *inside)


def _sign_in(authentication: Authentication, network: NetworkFacts) -> Iterator[Flow]:
    if not (ports := provider_ports(authentication)):
        return
    reason, name = "The hub redeems a sign-in at the identity provider.", "hub-to-identity-provider"
    if isinstance(authentication, LdapAuthentication):
        reason, name = "The hub asks the directory who somebody is.", "hub-to-directory"
        peers = tuple(NetworkPeer(network=each) for each in authentication.directory.networks)
        yield _out(name, reason, HUB.labels, peers, ports)
    elif isinstance(authentication, OidcAuthentication) and authentication.networks:
        peers = tuple(NetworkPeer(network=each) for each in authentication.networks)
        yield _out(name, reason, HUB.labels, peers, ports)
    else:
        yield internet(network, ports, reason, HUB.labels, name=name)


def _servers(config: HubConfig, network: NetworkFacts) -> Iterator[Flow]:
    """Yield what servers reach, class by class: a server has the label of exactly one (`NETWORK_LABEL`)."""
    for name, access in config.network.by_class().items():
        # Policies add up: were the settings of servers without a class for all servers, no class could reach less.
        # Where there is no class they are for all, so that servers from before the label keep what they reach.
        pods = {**SERVERS.labels, NETWORK_LABEL: name} if config.network.classes else SERVERS.labels
        prefix = "servers" if name == DEFAULT_CLASS else f"servers-{name}"
        yield from _class(access, network, pods, prefix)


def _class(access: NetworkClass, network: NetworkFacts, pods: Mapping[str, str], prefix: str) -> Iterator[Flow]:
    reason = "Notebooks fetch packages, data and repositories."
    match access.internet:
        case Internet.NONE:
            pass
        case Internet.WEB:
            yield internet(network, WEB_PORTS, reason, pods, name=f"{prefix}-to-internet")
        case Internet.ALL:
            yield internet(network, (), reason, pods, name=f"{prefix}-to-internet")
        case Internet.PROXY:
            if access.proxy is not None:
                host = NetworkPeer(network=access.proxy.network)
                yield _out(f"{prefix}-to-web-proxy", reason, pods, (host,), (access.proxy.port,))
        case _:
            assert_never(access.internet)
    for rule in access.allow:
        said = f"The stack file lets notebooks reach {rule.name}."
        peers = tuple(lab_peer(network, each) for each in rule.networks)
        yield _out(f"{prefix}-to-{rule.name}", said, pods, peers, rule.ports)


def _out(name: str, reason: str, pods: Mapping[str, str], peers: tuple[NetworkPeer, ...], ports: Iterable[int]) -> Flow:
    return Flow(
        name=name,
        reason=reason,
        direction=Direction.EGRESS,
        pods=pods,
        peers=peers,
        ports=tuple(Port(number) for number in ports),
    )
