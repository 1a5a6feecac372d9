"""The pod network: Calico, installed and kept by the Tigera operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.namespaces.plan import NamespacePlan, PodSecurity

from .config import BlockSizes, Encapsulation
from .parts import CustomResourcePlan, NetworkPart, ReleasePlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.addresses import AnyNetwork
    from components.model import Value

    from .config import Calico
    from .facts import NetworkFacts

__all__ = ["CRD_CHART", "OPERATOR_CHART", "block_count", "calico_part", "pod_block_size", "pod_mtu_bytes"]

CRD_CHART = "crd.projectcalico.org.v1"
"""Brings the kinds of ``operator.tigera.io`` and ``crd.projectcalico.org``: the operator's chart has none since 3.32.
As a release its Secret takes 0.94 of etcd's 1 MiB at v3.32.1; `labctl charts` measures it before a pin moves on."""
OPERATOR_CHART = "tigera-operator"
OPERATOR_NAMESPACE = "tigera-operator"
"""The operator's own namespace. Calico's names do not carry the stack: a cluster has one pod network, and the operator
only reads an Installation named ``default``."""
INSTALLATION_NAME = "default"

VXLAN_OVERHEAD_BYTES = {4: 50, 6: 70}
"""Bytes VXLAN puts before a packet, by IP version of the host network: outer IP (20 or 40), UDP 8, VXLAN 8, inner
Ethernet 14 (RFC 7348, 5)."""
DEFAULT_BLOCK_SIZE = {4: 26, 6: 122}
"""Prefix length of an address block, by IP version: Calico's defaults, 64 addresses each (IPPool, ``blockSize``)."""


def pod_mtu_bytes(host_mtu_bytes: int, encapsulation: Encapsulation, families: Sequence[int]) -> int:
    """Return the largest packet a pod may send, in bytes.

    A packet between pods of two hosts travels inside one of the hosts' own, so the pods' MTU is the hosts' less what is
    put before it: 50 bytes in IPv4, 70 in IPv6. Calico wraps packets of each family in a tunnel of that family, but an
    interface has one MTU for both, so dual stack plans for the larger: 1500 - 70 = 1430. With ``VXLANCrossSubnet`` some
    packets are wrapped and some are not; the MTU has to fit the wrapped ones.

    Parameters
    ----------
    host_mtu_bytes
        Largest packet that every path between two hosts carries.
    encapsulation
        How pod packets cross the host network.
    families
        IP versions of the pod networks.

    Examples
    --------
    >>> pod_mtu_bytes(1500, Encapsulation.VXLAN, (4, 6)), pod_mtu_bytes(9000, Encapsulation.VXLAN, (4,))
    (1430, 8950)
    """
    if encapsulation is Encapsulation.NONE:
        return host_mtu_bytes
    return host_mtu_bytes - max(VXLAN_OVERHEAD_BYTES[version] for version in families)


def pod_block_size(calico: Calico, pods: AnyNetwork) -> int:
    """Return the prefix length of the blocks that nodes take of one of the pod networks."""
    said = calico.block_size.of_family(pods.version) if isinstance(calico.block_size, BlockSizes) else calico.block_size
    return DEFAULT_BLOCK_SIZE[pods.version] if said is None else said


def block_count(pods: AnyNetwork, block_size: int) -> int:
    """Return how many blocks the pod network has: no more nodes than these can have pods; 0 if not even one fits."""
    return 2 ** (block_size - pods.prefixlen) if block_size >= pods.prefixlen else 0


def calico_part(calico: Calico, facts: NetworkFacts, stack: str) -> NetworkPart:
    """Return the pod network: CRD chart, operator, and the Installation it carries out.

    The chart's own Installation is switched off: as custom resources of the program's they are seen in every preview.
    """
    return NetworkPart(
        key="calico",
        namespace=NamespacePlan(name=OPERATOR_NAMESPACE, stack=stack, pod_security=PodSecurity.PRIVILEGED),
        releases=(
            ReleasePlan(chart=CRD_CHART, release_name="calico-crds", values={}),
            ReleasePlan(
                chart=OPERATOR_CHART,
                release_name="calico",
                after=(CRD_CHART,),
                values={
                    "installation": {"enabled": False},
                    "apiServer": {"enabled": False},
                    "goldmane": {"enabled": False},
                    "whisker": {"enabled": False},
                    "manageCRDs": False,
                    "priorityClassName": "system-cluster-critical",
                },
            ),
        ),
        resources=(
            CustomResourcePlan(
                key="installation",
                api_version="operator.tigera.io/v1",
                kind="Installation",
                name=INSTALLATION_NAME,
                namespaced=False,
                spec=_installation(calico, facts),
                after=(OPERATOR_CHART,),
            ),
            CustomResourcePlan(
                key="apiserver",
                api_version="operator.tigera.io/v1",
                kind="APIServer",
                name=INSTALLATION_NAME,
                namespaced=False,
                spec={},
                after=("installation",),
            ),
        ),
    )


def _installation(calico: Calico, facts: NetworkFacts) -> Mapping[str, Value]:
    # A host with a storage or management network beside its own would otherwise offer the first one found.
    detection: dict[str, Value] = {
        f"nodeAddressAutodetectionV{network.version}": {"cidrs": [str(network)]}
        for network in facts.hosts
        if network.version in facts.pods.families
    }
    return {
        "variant": "Calico",
        "cni": {"type": "Calico", "ipam": {"type": "Calico"}},
        "calicoNetwork": {
            # Without a tunnel the hosts have to learn each other's pod routes, and that is what BGP is for.
            "bgp": "Enabled" if calico.encapsulation is Encapsulation.NONE else "Disabled",
            "ipPools": [_pool(calico, network) for network in facts.pods],
            "mtu": pod_mtu_bytes(calico.host_mtu_bytes, calico.encapsulation, facts.pods.families),
            **detection,
        },
        "serviceCIDRs": [str(network) for network in facts.services],
        # Calico's CSI driver only serves its application layer policy, which is not used.
        "kubeletVolumePluginPath": "None",
    }


def _pool(calico: Calico, pods: AnyNetwork) -> Mapping[str, Value]:
    return {
        "name": f"default-ipv{pods.version}-ippool",
        "cidr": str(pods),
        "encapsulation": str(calico.encapsulation),
        "blockSize": pod_block_size(calico, pods),
        # Outside the cluster nobody knows a way back to a pod, of either family: it goes out with its host's address.
        "natOutgoing": "Enabled",
        "nodeSelector": "all()",
    }
