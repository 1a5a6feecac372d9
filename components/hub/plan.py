"""Hub section -> what the hub is made of: its namespace with flows, its chart values.

Pure. Signatures for the caller::

    check(config, facts, *, hostname, is_simulated) -> Iterator[Problem]               paths within the hub section
    check_networks(config, network) -> Iterator[Problem]                              the same
    namespace_plan(config, network, stack) -> NamespacePlan
    hub_values(config, facts) -> {top-level key: values}

**Homes.** A home is one claim. Its name follows from the account's unchanging identifier at the identity provider
(``homes.key: account``; see ``files/lab_hub/homes.py``) or from the user name (``homes.key: username``), each by a
function that never changes and on every start anew, so that no renamed user, freed row of the database or restored hub
leads to somebody else's home. The storage class keeps what is on it when the claim goes, and nothing here deletes
claims.

**Resources.** Under the lax policy a server has a guarantee and no limit: it may use its whole node. When memory runs
out, the server that is furthest beyond its guarantee dies: ``oom_score_adj`` of Burstable pods falls with the request
(kubelet, ``qos/policy.go``), and the kubelet evicts by use beyond the request (``eviction/helpers.go``). That is the
largest where guarantees are alike. Under the strict policy a server beyond its limit dies alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.namespaces.plan import NamespacePlan, PodSecurity, scoped

from .checks import check, check_networks
from .flows import hub_flows
from .values import hub_values

if TYPE_CHECKING:
    from components.network.facts import NetworkFacts

    from .config import HubConfig

__all__ = ["check", "check_networks", "hub_values", "namespace_plan"]


def namespace_plan(config: HubConfig, network: NetworkFacts, stack: str) -> NamespacePlan:
    """Return the hub's namespace: restricted, closed but for the flows of `components.hub.flows`.

    With LXCFS servers mount files of their nodes, which every level but ``privileged`` refuses; all else that the label
    would have refused is refused by `components.hub.admission.plan`.

    Parameters
    ----------
    config
        Hub section; checked.
    network
        The stack's network.
    stack
        Name of the stack.
    """
    return NamespacePlan(
        name=scoped("hub", stack),
        stack=stack,
        pod_security=PodSecurity.PRIVILEGED if config.lxcfs else PodSecurity.RESTRICTED,
        gateway=None if network.gateway is None else network.gateway.label,
        flows=hub_flows(config, network),
    )
