"""Hub section -> what the hub is made of: its namespace with flows, its chart values.

Pure. Signatures for the caller::

    check(config, *, slices, images, hostname, is_simulated) -> Iterator[Problem]     paths within the hub section
    namespace_plan(config, network, stack) -> NamespacePlan
    hub_values(config, facts) -> {top-level key: values}

**Homes.** A home is one claim. Its name follows from the account's unchanging identifier at the identity provider
(``homes.key: account``; see ``files/lab_hub.py``) or from the user name (``homes.key: username``), each by a function
that never changes and on every start anew, so that no renamed user, freed row of the database or restored hub leads to
somebody else's home. The storage class keeps what is on it when the claim goes, and nothing here deletes claims.

**Resources.** Under the lax policy a server has a small guarantee and no limit: it may use its whole node, and since
all guarantees are small, the kernel's choice under memory pressure is the largest job (``oom_score_adj`` of Burstable
pods falls with the request).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.namespaces.flows import Direction, Flow, NetworkPeer, Port
from components.namespaces.plan import NamespacePlan, PodSecurity, scoped
from components.network.flows import api_server, dns, from_gateway, internet

from .checks import check
from .config import HubConfig, Internet
from .values import hub_values

if TYPE_CHECKING:
    from components.network.facts import NetworkFacts

__all__ = ["check", "hub_values", "namespace_plan"]

PROXY_PORT = 8000
"""Port of the hub's proxy in its pod (the chart's ``proxy/deployment.yaml``)."""
PROXY_PODS = {"app.kubernetes.io/name": "jupyterhub", "app.kubernetes.io/component": "proxy"}
"""Labels of the proxy's pod (the chart's ``jupyterhub.matchLabelsLegacyAndModern``)."""
SERVER_PODS = {"app.kubernetes.io/component": "singleuser-server"}
"""Label of users' servers (KubeSpawner's ``component_label``)."""
PULLER_PODS = {"app.kubernetes.io/component": "image-puller"}
"""Label of the pods that pull images ahead of time (the chart's templates in ``image-puller/``)."""
WEB_PORTS = (22, 80, 443)
"""SSH for git, HTTP and HTTPS (IANA)."""


def namespace_plan(config: HubConfig, network: NetworkFacts, stack: str) -> NamespacePlan:
    """Return the hub's namespace: restricted, closed but for the gateway's way in and what servers may reach.

    What hub, proxy and servers need among themselves the chart's own policies allow.

    Parameters
    ----------
    config
        Hub section; checked.
    network
        The stack's network.
    stack
        Name of the stack.
    """
    reason = "The release waits for images to be pulled everywhere, and asks the API server about it."
    flows = [dns(), api_server(network, reason, PULLER_PODS), *_server_flows(config, network)]
    if network.gateway is not None:
        reason = "People come in through the gateway."
        flows.append(from_gateway(network, PROXY_PORT, reason, PROXY_PODS))
    return NamespacePlan(
        name=scoped("hub", stack),
        stack=stack,
        pod_security=PodSecurity.RESTRICTED,
        gateway=None if network.gateway is None else network.gateway.label,
        flows=tuple(flows),
    )


def _server_flows(config: HubConfig, network: NetworkFacts) -> list[Flow]:
    flows: list[Flow] = []
    access = config.network
    if access.internet is not Internet.NONE:
        ports = WEB_PORTS if access.internet is Internet.WEB else ()
        reason = "Notebooks fetch packages, data and repositories."
        flows.append(internet(network, ports, reason, SERVER_PODS, name="servers-to-internet"))
    flows.extend(
        Flow(
            name=f"servers-to-{rule.name}",
            reason=f"The stack file lets notebooks reach {rule.name}.",
            direction=Direction.EGRESS,
            pods=SERVER_PODS,
            peers=tuple(NetworkPeer(network=allowed) for allowed in rule.networks),
            ports=tuple(Port(number) for number in rule.ports),
        )
        for rule in access.allow
    )
    return flows
