"""Addresses for services on bare metal: MetalLB, announcing on the hosts' own network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.namespaces.plan import NamespacePlan, PodSecurity, scoped

from .flows import api_server, webhook
from .parts import CustomResourcePlan, NetworkPart, ReleasePlan

if TYPE_CHECKING:
    from components.model import Value

    from .config import AddressPool, MetalLb
    from .facts import NetworkFacts

__all__ = ["CHART", "metallb_part", "pool_key"]

CHART = "metallb"
WEBHOOK_PORT = 9443
"""Port of the controller's admission webhook (the chart's ``webhook-server`` port)."""
API_VERSION = "metallb.io/v1beta1"


def pool_key(pool: AddressPool) -> str:
    """Return the key of a pool's custom resource."""
    return f"pool-{pool.name}"


def metallb_part(metallb: MetalLb, facts: NetworkFacts, stack: str) -> NetworkPart:
    """Return the load balancer: release, one IPAddressPool per pool, and one L2Advertisement for them all."""
    controller = {"app.kubernetes.io/name": CHART, "app.kubernetes.io/component": "controller"}
    advertisement: dict[str, Value] = {"ipAddressPools": [pool.name for pool in metallb.pools]}
    if metallb.interfaces:
        advertisement["interfaces"] = list(metallb.interfaces)
    return NetworkPart(
        key=CHART,
        namespace=NamespacePlan(
            name=scoped(CHART, stack),
            stack=stack,
            # The speakers answer ARP for the pools' addresses: host network and raw sockets.
            pod_security=PodSecurity.PRIVILEGED,
            flows=(
                api_server(
                    facts, "The controller watches Services and writes the addresses it gives them.", controller
                ),
                webhook(
                    WEBHOOK_PORT, "The API server has the controller check pools before they are stored.", controller
                ),
            ),
        ),
        releases=(
            ReleasePlan(
                chart=CHART,
                release_name=scoped(CHART, stack),
                values={
                    "crds": {"enabled": True},
                    "controller": {"priorityClassName": "system-cluster-critical"},
                    "speaker": {"priorityClassName": "system-node-critical", "frr": {"enabled": False}},
                    # Only BGP needs FRR-K8s, and nothing here speaks it.
                    "frrk8s": {"enabled": False},
                },
            ),
        ),
        resources=(
            *(
                CustomResourcePlan(
                    key=pool_key(pool),
                    api_version=API_VERSION,
                    kind="IPAddressPool",
                    name=pool.name,
                    spec={
                        "addresses": [str(addresses) for addresses in pool.addresses],
                        "autoAssign": pool.automatic,
                    },
                    after=(CHART,),
                )
                for pool in metallb.pools
            ),
            CustomResourcePlan(
                key="l2",
                api_version=API_VERSION,
                kind="L2Advertisement",
                name="lab",
                spec=advertisement,
                after=tuple(pool_key(pool) for pool in metallb.pools),
            ),
        ),
    )
