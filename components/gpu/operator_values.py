"""Values of the GPU operator's chart: only what differs from its defaults, or must not change when they do.

How the operator exchanges drivers (NVIDIA/gpu-operator v26.7, ``cmd/gpu-operator/main.go``; NVIDIA/k8s-operator-libs,
``pkg/upgrade``; NVIDIA/k8s-driver-manager v0.12, ``cmd/driver-manager``), node by node:

1. it cordons the node and waits until no pod of ``waitForCompletion.podSelector`` is running or pending there, without
   end by 0 seconds. A selector cannot ask for resources, hence the label `components.gpu.slices.HOLDS_GPU`;
2. it evicts what still asks for ``nvidia.com/gpu*`` or ``nvidia.com/mig-*``: pods of others, without that label. This
   step cannot be turned off. A pod with an emptyDir (``deleteEmptyDir: false``) or without an owner (``force: false``)
   is never deleted; the node's upgrade then fails, and the node stays cordoned until somebody looks;
3. ``drain`` would evict everything else; off;
4. it restarts the driver's pod, whose init container could evict GPU pods and drain by itself; it does not while
   ``autoUpgrade`` is on, and by ``ENABLE_GPU_POD_EVICTION`` and ``ENABLE_AUTO_DRAIN`` not before that is known either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .config import DriverSource
from .slices import HOLDS_GPU_SELECTOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value

    from .config import GpuConfig

__all__ = ["EXCLUSIVE", "MIG_LAYOUTS", "SHARING", "UNCUT", "chart_values"]

MIG_LAYOUTS = "mig-layouts"
"""Name of the MIG manager's ConfigMap; its one key is ``config.yaml``."""
SHARING = "gpu-sharing"
"""Name of the device plugin's ConfigMap; one key per entry."""
UNCUT = "all-disabled"
"""Entry for GPUs in one piece; the operator's own default, and the only one its ClusterPolicy accepts as default."""
EXCLUSIVE = "exclusive"
"""Entry of the device plugin for slices that are not shared; nodes without a label get it."""
MPS_ROOT = "/run/nvidia/mps"
"""Where the MPS daemon's sockets lie on a node; the chart's own, written down because running pods have it mounted."""


def chart_values(config: GpuConfig) -> Mapping[str, Value]:
    """Return the chart's values for a GPU section."""
    anywhere: Value = [{"operator": "Exists"}]
    return {
        "nfd": {"enabled": True},
        # Operands follow the GPUs onto whatever node has them; which pods a taint keeps off is no matter of theirs.
        "daemonsets": {"tolerations": anywhere},
        "node-feature-discovery": {"worker": {"tolerations": anywhere}},
        # The namespace's Pod Security label is ours (namespace_plan).
        "psa": {"enabled": False},
        "driver": _driver(config),
        "toolkit": {"enabled": True},
        # Empty, so that each node's entry says it: the chart's `single` would reach device plugin, MPS daemon and GPU
        # Feature Discovery as MIG_STRATEGY, and the environment wins over the file (device plugin, config.go).
        "mig": {"strategy": ""},
        "migManager": {"enabled": True, "config": {"create": False, "name": MIG_LAYOUTS, "default": UNCUT}},
        "devicePlugin": {
            "enabled": True,
            "config": {"create": False, "name": SHARING, "default": EXCLUSIVE},
            "mps": {"root": MPS_ROOT},
        },
        "gfd": {"enabled": True},
        # On by default since 25.10.1, and the release fails where nobody installed Prometheus' custom resources.
        "dcgmExporter": {"enabled": True, "serviceMonitor": {"enabled": False}},
        # On by default since 25.10.1: confidential computing, which no lab here has.
        "ccManager": {"enabled": False},
        "sandboxWorkloads": {"enabled": False},
        # Deleting the definitions would delete the ClusterPolicy with everything it runs.
        "operator": {"upgradeCRD": True, "cleanupCRD": False},
    }


def _driver(config: GpuConfig) -> Value:
    if config.driver.source is DriverSource.HOST:
        return {"enabled": False}
    return {
        "enabled": True,
        "kernelModuleType": str(config.driver.kernel_module),
        # The chart's own is the one its operator was tested with.
        **({} if config.driver.version is None else {"version": config.driver.version}),
        "manager": {
            "env": [
                {"name": "ENABLE_GPU_POD_EVICTION", "value": "false"},
                {"name": "ENABLE_AUTO_DRAIN", "value": "false"},
            ]
        },
        "upgradePolicy": {
            "autoUpgrade": True,
            "maxParallelUpgrades": 1,
            # No bound: a driver is exchanged under nobody's work, however long it runs.
            "waitForCompletion": {"podSelector": HOLDS_GPU_SELECTOR, "timeoutSeconds": 0},
            # The same for evictions that a disruption budget holds up.
            "gpuPodDeletion": {"force": False, "deleteEmptyDir": False, "timeoutSeconds": 0},
            "drain": {"enable": False},
        },
    }
