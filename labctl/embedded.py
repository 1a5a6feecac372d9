"""The embedded control plane of a simulated lab: started with the nodes that its stack file describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.gpu.plan import simulated_capacity, simulated_labels
from components.nodes.plan import simulated_nodes
from labctl.control_plane import ControlPlane, NodeChanges, NodeTaint, SimulatedNode
from stacks.config import own_scheduler

from .errors import NotSimulatedError
from .tenants import owner_of, require_owner_up

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.control_plane import Progress

    from .lab import Lab
    from .local_hub.hub import LocalHub

__all__ = ["control_plane_of", "hub_of", "nodes_of", "start", "tenant_hub"]

DEFAULT_POD_NETWORK = "10.244.0.0/16"
"""Pod network of a stack without a network section (flannel's and kubeadm's customary example)."""
DEFAULT_SERVICE_NETWORK = "10.96.0.0/16"
"""Service network of a stack without a network section (kubeadm's default begins there)."""


def control_plane_of(lab: Lab, progress: Progress) -> ControlPlane:
    """Return the control plane that `lab` is on, its owner's if it has one, running or not.

    Raises
    ------
    NotSimulatedError
        Its nodes are machines.
    """
    if not lab.simulated:
        raise NotSimulatedError(lab.stack)
    owner = owner_of(lab)
    network, adopt = owner.cluster.network, owner.cluster.nodes.adopt
    named = adopt.kubeconfig if adopt is not None else None
    return ControlPlane(
        owner.folder / "control-plane",
        kubeconfig=lab.root / named if named else owner.folder / "kubeconfig",
        pod_network=str(network.pods) if network else DEFAULT_POD_NETWORK,
        service_network=str(network.services) if network else DEFAULT_SERVICE_NETWORK,
        scheduler=own_scheduler(owner.cluster),
        progress=progress,
    )


def hub_of(lab: Lab, progress: Progress) -> LocalHub:
    """Return the local hub of `lab`, running or not; raises `NotSimulatedError` where it has none."""
    from .local_hub.hub import LocalHub  # noqa: PLC0415 - only what concerns the hub pays for it

    return LocalHub(lab.folder, control_plane_of(lab, progress), progress)


def tenant_hub(lab: Lab, tenant: str, plane: ControlPlane, progress: Progress) -> LocalHub:
    """Return the local hub of a stack that lives on `plane`, the control plane of `lab`, running or not."""
    from .local_hub.hub import LocalHub  # noqa: PLC0415 - only what concerns the hub pays for it

    return LocalHub(lab.root / ".lab" / tenant, plane, progress)


def nodes_of(lab: Lab) -> list[SimulatedNode]:
    """Return the nodes of `lab`, or of the lab whose cluster it is on, as kubelets and device plugins register them."""
    cluster = owner_of(lab).cluster
    nodes, gpu = cluster.nodes, cluster.gpu
    hosts = {name: host.gpus for name, host in nodes.hosts.items()}
    extended: Mapping[str, Mapping[str, int]] = simulated_capacity(gpu, hosts) if gpu else {}
    discovered: Mapping[str, Mapping[str, str]] = simulated_labels(gpu, hosts) if gpu else {}
    return [
        SimulatedNode(
            name=plan.name,
            address=str(plan.addresses[0]),
            second_address=str(plan.addresses[1]) if len(plan.addresses) > 1 else None,
            labels=discovered.get(plan.name, {}),
            taints=tuple(
                NodeTaint(key=taint.key, value=taint.value or "", effect=taint.effect.value) for taint in plan.taints
            ),
            capacity=plan.capacity,
        )
        for plan in simulated_nodes(nodes, extended, discovered)
    ]


def start(lab: Lab, progress: Progress) -> tuple[ControlPlane, NodeChanges]:
    """Return the control plane of `lab` running, its nodes Ready and as the stack file has them.

    Of another stack's, the nodes are that stack's to change: they are left as they are.

    Raises
    ------
    OwnerAbsentError
        The stack whose cluster it is on is not up.
    """
    require_owner_up(lab)
    plane = control_plane_of(lab, progress)
    plane.start()
    if lab.cluster.nodes.owner is not None:
        names = tuple(sorted(node.name for node in nodes_of(lab)))
        return plane, NodeChanges(created=(), updated=(), removed=(), unchanged=names)
    return plane, plane.reconcile_nodes(nodes_of(lab))
