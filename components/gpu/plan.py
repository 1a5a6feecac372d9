"""GPU section and hosts -> what the GPU operator is told: chart values, MIG layouts, sharing, node labels.

Pure. `check` and `check_models` (from `.checks`) say what is wrong with a section; everything else here expects a
section they found nothing wrong with. Signatures for the caller::

    check_models(hosts) -> Iterator[Problem]            paths within the nodes section
    check(config, hosts) -> Iterator[Problem]           paths within the gpu section
    offered_slices(config, hosts) -> tuple[Slice, ...]
    simulated_capacity(config, hosts) -> {host: {resource: count}}
    simulated_labels(config, hosts) -> {host: {label: value}}

``hosts`` maps every host's name to its GPUs (anything with ``model`` and ``count``) or None.

The operator's device plugin and MIG manager each read one ConfigMap and, per node, a label that names the entry to
use. Neither watches its ConfigMap's content, so its name carries a digest of the content: another content is another
name in the operator's policy, and the DaemonSet is rolled. An entry for a MIG layout carries a digest of its own, so
that a re-cut is always a changed label, which is what the MIG manager acts on.
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
from .config import DriverSource, GpuConfig, GpuGroupConfig, MigSlicing, TimeSlicing
from .slices import (
    PRODUCT_LABEL,
    SHARED_SUFFIX,
    WHOLE,
    Slice,
    group_model,
    node_slices,
    offered_slices,
    resource_name,
    simulated_capacity,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.model import Value
    from components.network.facts import NetworkFacts

    from .models import GpuModel, HostGpus

__all__ = [
    "GpuPlan",
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
UNCUT = "all-disabled"
"""Entry for GPUs in one piece; the operator's own default, and the only one its ClusterPolicy accepts as default."""
EXCLUSIVE = "exclusive"
"""Entry of the device plugin for slices that are not shared; nodes without a label get it."""
SESSION_SELECTOR = "app.kubernetes.io/component=singleuser-server"
"""Label selector of people's sessions (KubeSpawner's ``component_label``): a driver upgrade waits until they ended."""
_DIGEST_LENGTH = 8
"""Hexadecimal digits of a content's digest in a name: one in 4 billion for two contents to meet."""


@dataclass(frozen=True, kw_only=True)
class ConfigMapPlan:
    """One ConfigMap whose name follows from its content."""

    name: str
    data: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class GpuPlan:
    """Everything the component creates."""

    mig_layouts: ConfigMapPlan
    """Configuration of the MIG manager: one entry per MIG group, and `UNCUT`."""
    sharing: ConfigMapPlan
    """Configuration of the device plugin: `EXCLUSIVE`, and one entry per time-sliced group."""
    node_labels: Mapping[str, Mapping[str, str]]
    """Labels to declare by node; they are what cuts and shares its GPUs."""
    values: Mapping[str, Value]
    """Values of the operator's chart."""


def plan(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> GpuPlan:
    """Return what the GPU operator is told for a checked section.

    Raises
    ------
    UnknownHostError
        If a group names a host without known GPUs.
    """
    mig_layouts = _config_map("mig-layouts", {"config.yaml": _document(_mig_configs(config))})
    sharing = _config_map("gpu-sharing", _plugin_configs(config))
    return GpuPlan(
        mig_layouts=mig_layouts,
        sharing=sharing,
        node_labels=_node_labels(config, hosts),
        values=_values(config, mig_layouts=mig_layouts.name, sharing=sharing.name),
    )


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


def simulated_labels(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> Mapping[str, Mapping[str, str]]:
    """Return the labels GPU Feature Discovery would set on each GPU node once cut, by host name.

    Memory is the data sheet's, in MiB; a real driver reports a little less.

    Raises
    ------
    UnknownHostError
        If a group names a host without known GPUs.
    """
    return {
        host_name: _discovered(*group_model(name, host_name, hosts), group)
        for name, group in config.groups.items()
        for host_name in group.hosts
    }


def _discovered(model: GpuModel, count: int, group: GpuGroupConfig) -> Mapping[str, str]:
    replicas = group.slicing.replicas if isinstance(group.slicing, TimeSlicing) else 1
    labels = {
        "nvidia.com/gpu.present": "true",
        PRODUCT_LABEL: model.product,
        "nvidia.com/gpu.count": str(count),
        "nvidia.com/gpu.replicas": str(replicas),
        "nvidia.com/gpu.memory": str(model.memory_gigabytes * 1024),
        "nvidia.com/gpu.family": model.architecture.lower().split()[0],
        "nvidia.com/mig.capable": str(model.can_mig).lower(),
        "nvidia.com/mig.strategy": "mixed",
    }
    for name, offered in node_slices(group, count).items():
        if not name.startswith(WHOLE):
            profile = model.profile(name)
            labels[f"{resource_name(name)}.count"] = str(offered)
            labels[f"{resource_name(name)}.memory"] = str(profile.memory_gigabytes * 1024 if profile else 0)
    return labels


def _layout_entry(group_name: str, slicing: MigSlicing) -> str:
    """Return the name of a group's layout: another layout is another name."""
    return f"{group_name}-{_digest(_document(_mig_devices(slicing)))}"


def _mig_devices(slicing: MigSlicing) -> Sequence[Value]:
    """Return a layout in mig-parted's terms: which devices are in MIG mode, and the instances on each."""
    if not isinstance(slicing.layout, tuple):
        return [_device_entry("all", slicing.layout)]
    return [_device_entry([index], layout) for index, layout in enumerate(slicing.layout)]


def _device_entry(devices: str | list[int], layout: Mapping[str, int]) -> Value:
    if not layout:
        return {"devices": devices, "mig-enabled": False}
    return {"devices": devices, "mig-enabled": True, "mig-devices": dict(sorted(layout.items()))}


def _mig_configs(config: GpuConfig) -> Value:
    entries: dict[str, Value] = {UNCUT: [{"devices": "all", "mig-enabled": False}]}
    for name, group in sorted(config.groups.items()):
        if isinstance(group.slicing, MigSlicing):
            entries[_layout_entry(name, group.slicing)] = _mig_devices(group.slicing)
    return {"version": "v1", "mig-configs": entries}


def _plugin_configs(config: GpuConfig) -> Mapping[str, str]:
    """Return the device plugin's entries; whoever shares a GPU asks for it by a name of its own, one at a time."""
    entries = {EXCLUSIVE: _document({"version": "v1"})}
    for name, group in sorted(config.groups.items()):
        if isinstance(group.slicing, TimeSlicing):
            shared: Value = {
                "renameByDefault": True,
                "failRequestsGreaterThanOne": True,
                "resources": [{"name": resource_name(WHOLE), "replicas": group.slicing.replicas}],
            }
            entries[_sharing_entry(name)] = _document({"version": "v1", "sharing": {"timeSlicing": shared}})
    return entries


def _sharing_entry(group_name: str) -> str:
    """Return the name of a group's sharing; no group's own name, so that none can be called `EXCLUSIVE`."""
    return f"{group_name}{SHARED_SUFFIX}"


def _node_labels(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> Mapping[str, Mapping[str, str]]:
    labels: dict[str, dict[str, str]] = {}
    for name, group in config.groups.items():
        shared = isinstance(group.slicing, TimeSlicing)
        for host_name in group.hosts:
            model, _ = group_model(name, host_name, hosts)
            labels[host_name] = {PLUGIN_CONFIG_LABEL: _sharing_entry(name) if shared else EXCLUSIVE}
            if isinstance(group.slicing, MigSlicing):
                labels[host_name][MIG_CONFIG_LABEL] = _layout_entry(name, group.slicing)
            elif model.can_mig:
                labels[host_name][MIG_CONFIG_LABEL] = UNCUT
    return dict(sorted(labels.items()))


def _values(config: GpuConfig, *, mig_layouts: str, sharing: str) -> Mapping[str, Value]:
    """Return the chart's values: only what differs from its defaults, or must not change when they do."""
    anywhere: Value = [{"operator": "Exists"}]
    return {
        "nfd": {"enabled": True},
        # Operands follow the GPUs onto whatever node has them; which pods a taint keeps off is no matter of theirs.
        "daemonsets": {"tolerations": anywhere},
        "node-feature-discovery": {"worker": {"tolerations": anywhere}},
        # The namespace's Pod Security label is ours (namespace_plan).
        "psa": {"enabled": False},
        "driver": _driver_values(config),
        "toolkit": {"enabled": True},
        # `mixed` gives every MIG profile a resource of its own; `single` allows one profile per node only.
        "mig": {"strategy": "mixed"},
        "migManager": {"enabled": True, "config": {"create": False, "name": mig_layouts, "default": UNCUT}},
        "devicePlugin": {"enabled": True, "config": {"create": False, "name": sharing, "default": EXCLUSIVE}},
        "gfd": {"enabled": True},
        # On by default since 25.10.1, and the release fails where nobody installed Prometheus' custom resources.
        "dcgmExporter": {"enabled": True, "serviceMonitor": {"enabled": False}},
        # On by default since 25.10.1: confidential computing, which no lab here has.
        "ccManager": {"enabled": False},
        "sandboxWorkloads": {"enabled": False},
        # Deleting the definitions would delete the ClusterPolicy with everything it runs.
        "operator": {"upgradeCRD": True, "cleanupCRD": False},
    }


def _driver_values(config: GpuConfig) -> Value:
    if config.driver.source is DriverSource.HOST:
        return {"enabled": False}
    return {
        "enabled": True,
        "kernelModuleType": str(config.driver.kernel_module),
        "upgradePolicy": {
            "autoUpgrade": True,
            "maxParallelUpgrades": 1,
            # No bound: a driver is exchanged under nobody's session, however long it runs.
            "waitForCompletion": {"podSelector": SESSION_SELECTOR, "timeoutSeconds": 0},
            "drain": {"enable": False},
        },
    }


def _config_map(base: str, data: Mapping[str, str]) -> ConfigMapPlan:
    return ConfigMapPlan(name=f"{base}-{_digest(_document(dict(data)))}", data=data)


def _document(content: Value) -> str:
    """Return content as JSON, which is YAML too, in one form only."""
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
