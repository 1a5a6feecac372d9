"""GPU section and hosts -> what the GPU operator is told: chart values, MIG layouts, sharing, node labels.

Pure. `check` and `check_models` (from `.checks`) say what is wrong with a section; everything else here expects a
section they found nothing wrong with. Signatures for the caller::

    check_models(hosts) -> Iterator[Problem]            paths within the nodes section
    check(config, hosts) -> Iterator[Problem]           paths within the gpu section
    offered_slices(config, hosts) -> tuple[Slice, ...]
    simulated_capacity(config, hosts) -> {host: {resource: count}}
    simulated_labels(config, hosts) -> {host: {label: value}}

``hosts`` maps every host's name to its GPUs (anything with ``model`` and ``count``) or None.

The operator's device plugin and MIG manager each read one ConfigMap of a fixed name and, per node, a label that names
the entry to use. Every entry's name carries a digest of its content (only the two defaults, `UNCUT` and `EXCLUSIVE`,
have fixed names and fixed contents), so that a change of a group is always a changed label, which is what both act on.
The ConfigMaps themselves are written by `components.gpu.reslice`: while a node is changed they hold its former entry
too, and only the cluster knows which that is.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.namespaces.flows import ANYWHERE, Direction, Flow
from components.namespaces.plan import NamespacePlan, PodSecurity, scoped
from components.network.flows import api_server, dns, internet

from .checks import check, check_models
from .config import MigSlicing, MigStrategy, MpsSlicing, TimeSlicing
from .discovery import simulated_labels
from .operator_values import EXCLUSIVE, MIG_LAYOUTS, SHARING, UNCUT, chart_values
from .slices import WHOLE, Slice, group_model, offered_slices, resource_name, simulated_capacity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.model import Value
    from components.network.facts import NetworkFacts

    from .config import GpuConfig, Slicing
    from .models import HostGpus

__all__ = [
    "EXCLUSIVE",
    "MIG_CONFIG_LABEL",
    "MIG_LAYOUTS",
    "PLUGIN_CONFIG_LABEL",
    "SHARING",
    "UNCUT",
    "GpuPlan",
    "NodeSlicingPlan",
    "Slice",
    "check",
    "check_models",
    "namespace_plan",
    "offered_slices",
    "plan",
    "simulated_capacity",
    "simulated_labels",
]

MIG_CONFIG_LABEL = "nvidia.com/mig.config"
"""Node label the MIG manager acts on: the entry of its configuration to apply (NVIDIA/mig-parted)."""
PLUGIN_CONFIG_LABEL = "nvidia.com/device-plugin.config"
"""Node label the device plugin acts on: the entry of its configuration to apply (NVIDIA/k8s-device-plugin)."""
DRIVER_PODS = {"app.kubernetes.io/component": "nvidia-driver"}
"""Label of the driver's pods (gpu-operator, ``assets/state-driver/0500_daemonset.yaml``)."""
PACKAGE_PORTS = (80, 443)
"""Where distributions' mirrors answer: HTTP and HTTPS (IANA)."""
_DIGEST_LENGTH = 8
"""Hexadecimal digits of a content's digest in a name: one in 4 billion for two contents to meet."""


@dataclass(frozen=True, kw_only=True)
class NodeSlicingPlan:
    """What one node is told, and what it must offer afterwards."""

    group: str
    """The group its GPUs belong to."""
    labels: Mapping[str, str]
    """Labels to declare; they are what cuts and shares its GPUs."""
    allocatable: Mapping[str, int]
    """Every resource of the prefix ``nvidia.com/`` it must offer once it is cut; all others of it are 0 or absent."""


@dataclass(frozen=True, kw_only=True)
class GpuPlan:
    """Everything the operator is told."""

    mig_layouts: Mapping[str, Value]
    """Entries of the MIG manager's configuration (``mig-configs``) by name: `UNCUT`, and those of the MIG groups."""
    sharing: Mapping[str, str]
    """The device plugin's configuration files by entry: `EXCLUSIVE`, and those of the groups that need another."""
    nodes: Mapping[str, NodeSlicingPlan]
    """What each GPU node is told, by host name, which is its node's name."""
    values: Mapping[str, Value]
    """Values of the operator's chart."""


def plan(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> GpuPlan:
    """Return what the GPU operator is told for a checked section.

    Raises
    ------
    UnknownHostError
        If a group names a host without known GPUs.
    """
    layouts, sharing, nodes = {UNCUT: _UNCUT_DEVICES}, {EXCLUSIVE: _EXCLUSIVE_FILE}, dict[str, NodeSlicingPlan]()
    capacity = simulated_capacity(config, hosts)
    for name, group in sorted(config.groups.items()):
        layout, devices = _layout(name, group.slicing)
        shared, file = _sharing(name, group.slicing)
        layouts[layout], sharing[shared] = devices, file
        for host_name in group.hosts:
            model, _ = group_model(name, host_name, hosts)
            labels = {PLUGIN_CONFIG_LABEL: shared} | ({MIG_CONFIG_LABEL: layout} if model.can_mig else {})
            nodes[host_name] = NodeSlicingPlan(group=name, labels=labels, allocatable=capacity[host_name])
    return GpuPlan(mig_layouts=layouts, sharing=sharing, nodes=dict(sorted(nodes.items())), values=chart_values(config))


def namespace_plan(stack: str, network: NetworkFacts | None = None) -> NamespacePlan:
    """Return the operator's namespace: privileged, for its containers load kernel modules and edit the runtime.

    Parameters
    ----------
    stack
        Name of the stack.
    network
        The stack's network; without an address plan nothing can be named, and everything may be reached.
    """
    if network is None:
        reason = "Operands talk to the API server, and driver containers fetch kernel headers from mirrors."
        flows: tuple[Flow, ...] = (
            Flow(name="operator-egress", reason=reason, direction=Direction.EGRESS, peers=ANYWHERE),
        )
    else:
        flows = (
            dns(),
            api_server(network, "Operator and operands watch nodes and label them."),
            internet(network, PACKAGE_PORTS, "Driver containers fetch kernel headers from mirrors.", DRIVER_PODS),
        )
    return NamespacePlan(
        name=scoped("gpu-operator", stack), stack=stack, pod_security=PodSecurity.PRIVILEGED, flows=flows
    )


def _layout(group_name: str, slicing: Slicing) -> tuple[str, Value]:
    """Return name and content of a group's entry of the MIG manager's configuration: another layout is another name."""
    if not isinstance(slicing, MigSlicing):
        return UNCUT, _UNCUT_DEVICES
    devices = _mig_devices(slicing)
    return f"{group_name}-{_digest(_document(devices))}", devices


def _mig_devices(slicing: MigSlicing) -> Sequence[Value]:
    """Return a layout in mig-parted's terms: which devices are in MIG mode, and the instances on each."""
    if not isinstance(slicing.layout, tuple):
        return [_device_entry("all", slicing.layout)]
    return [_device_entry([index], layout) for index, layout in enumerate(slicing.layout)]


def _device_entry(devices: str | list[int], layout: Mapping[str, int]) -> Value:
    if not layout:
        return {"devices": devices, "mig-enabled": False}
    return {"devices": devices, "mig-enabled": True, "mig-devices": dict(sorted(layout.items()))}


def _sharing(group_name: str, slicing: Slicing) -> tuple[str, str]:
    """Return name and text of a group's file of the device plugin: what is shared, how MIG instances are named.

    Whoever shares a GPU or an instance asks for it by a name of its own (`components.gpu.slices`), one at a time.
    """
    content = _plugin_file(slicing)
    if content == _EXCLUSIVE_FILE:
        return EXCLUSIVE, content
    return f"{group_name}-{_digest(content)}", content


def _plugin_file(slicing: Slicing) -> str:
    strategy = slicing.strategy if isinstance(slicing, MigSlicing) else MigStrategy.MIXED
    replicas: Mapping[str, int] = {}
    if isinstance(slicing, MigSlicing):
        replicas = {resource_name(name, strategy): shares for name, shares in slicing.shared.items()}
    elif isinstance(slicing, TimeSlicing | MpsSlicing):
        replicas = {resource_name(WHOLE): slicing.replicas}
    content: dict[str, Value] = {"version": "v1", "flags": {"migStrategy": str(strategy)}}
    if replicas:
        shared: Value = {
            "renameByDefault": True,
            "failRequestsGreaterThanOne": True,
            "resources": [{"name": name, "replicas": shares} for name, shares in sorted(replicas.items())],
        }
        content["sharing"] = {"mps" if isinstance(slicing, MpsSlicing) else "timeSlicing": shared}
    return _document(content)


def _document(content: Value) -> str:
    """Return content as JSON, which is YAML too, in one form only."""
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


_UNCUT_DEVICES: Value = [{"devices": "all", "mig-enabled": False}]
_EXCLUSIVE_FILE = _document({"version": "v1", "flags": {"migStrategy": str(MigStrategy.MIXED)}})
