"""Scheduling section -> what kube-scheduler is told, and which of its profiles each kind of work names.

Pure. One kube-scheduler with two profiles: they share one queue and one view of the nodes, so that no two of them give
the same slice away (two scheduler processes would). Every weight here is held against the plugins' source
(kubernetes v1.36, ``pkg/scheduler``):

- **The score of a node** is the sum over all plugins of weight x 0..100. The node with most gets the pod, one by chance
  where several have (``schedule_one.go``, ``selectHost``).
- **NodeResourcesFit** leaves an extended resource out of a pod's score unless the pod asks for it
  (``noderesources/resource_allocation.go``): for a pod without GPUs a GPU node is a node like any other. So packing by
  it alone would fill the CPUs of the GPU nodes first, which have most in use, and strand their GPUs.
- **NodeAffinity** takes preferences that hold for every pod of a profile (``addedAffinity``): nodes without GPUs are
  preferred there. For a pod with GPUs all nodes that are left have some, and it says nothing.
- **PodTopologySpread** spreads the pods of a Service or ReplicaSet unless told otherwise
  (``podtopologyspread/plugin.go``, ``systemDefaultConstraints``).
- **NodeResourcesBalancedAllocation** looks at CPU and memory and prefers nodes where they are used in the same
  proportion, however little; beside a node's few GPUs that is noise.
- From 100 nodes on only a part of them is looked at, by turns (``percentageOfNodesToScore``): the fullest one is often
  not among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.gpu.slices import PRODUCT_LABEL

from .config import Placement
from .errors import ForeignSchedulersError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from components.model import Value

    from .config import SchedulingConfig

__all__ = ["PACKING", "SPREADING", "SchedulerNames", "scheduler_configuration", "scheduler_names"]

SPREADING = "default-scheduler"
"""Profile that spreads: Kubernetes' own, and what a pod has that names none (core/v1, ``DefaultSchedulerName``)."""
PACKING = "packing"
"""Profile that packs."""
API_VERSION = "kubescheduler.config.k8s.io/v1"
"""The only version of its configuration kube-scheduler 1.36 reads."""

OWN_WEIGHT = 1
"""Weight of CPU and of memory in a node's fullness."""
SLICE_WEIGHT = 50
"""Weight of a GPU resource that the pod asks for. Scores are whole numbers out of 100. At 50, one GPU of eight weighs
twelve points and a full node's CPU and memory together not quite four: GPUs decide, and CPUs decide among equals, with
some resolution left (at the most, 100, they have two points)."""
PACKING_WEIGHT = 20
"""How far packing is put before image locality, which keeps its weight of 1: a node that has an image already is worth
a twentieth of a full one."""
_WISHES = {"TaintToleration": 3, "NodeAffinity": 2, "PodTopologySpread": 2, "InterPodAffinity": 2}
"""What taints and a pod's author prefer, by plugin, with kube-scheduler's own weight against NodeResourcesFit's 1
(``apis/config/v1/default_plugins.go``): that proportion is kept."""
ALL_NODES_PERCENT = 100
"""Part of the nodes that are looked at for a pod that is packed: all."""
STRONGEST = 100
"""Greatest weight of one preference among a pod's own (core/v1, ``PreferredSchedulingTerm``)."""


@dataclass(frozen=True, kw_only=True)
class SchedulerNames:
    """What pods write under ``schedulerName``."""

    interactive: str
    """Of users' servers."""
    batch: str
    """Of batch jobs."""


def scheduler_names(config: SchedulingConfig) -> SchedulerNames:
    """Return the scheduler that each kind of work names.

    Examples
    --------
    >>> from components.scheduling.config import SchedulingConfig
    >>> scheduler_names(SchedulingConfig())
    SchedulerNames(interactive='default-scheduler', batch='packing')
    """
    if config.use is not None:
        return SchedulerNames(interactive=config.use.interactive, batch=config.use.batch)
    return SchedulerNames(interactive=_PROFILES[config.interactive], batch=_PROFILES[config.batch])


_PROFILES = {Placement.SPREAD: SPREADING, Placement.PACK: PACKING}


def scheduler_configuration(config: SchedulingConfig, resources: Iterable[str]) -> Mapping[str, Value]:
    """Return a KubeSchedulerConfiguration with both profiles, whichever the section names.

    So a section that changes its mind changes pods to come, and no scheduler. How the scheduler signs in is for whoever
    runs it to add (``clientConnection``).

    Parameters
    ----------
    config
        The section; checked.
    resources
        Every extended resource that the lab's GPUs could offer, however they are cut, each once: a list that a new
        layout does not change, so that none restarts a scheduler.

    Raises
    ------
    ForeignSchedulersError
        If the section names the schedulers of another cluster.
    """
    if config.use is not None:
        raise ForeignSchedulersError
    return {
        "apiVersion": API_VERSION,
        "kind": "KubeSchedulerConfiguration",
        # With a configuration file the flag of that name is ignored.
        "enableProfiling": False,
        "profiles": [{"schedulerName": SPREADING}, _packing(sorted(set(resources)))],
    }


def _packing(resources: Iterable[str]) -> Mapping[str, Value]:
    weighed = [
        *({"name": name, "weight": OWN_WEIGHT} for name in ("cpu", "memory")),
        *({"name": name, "weight": SLICE_WEIGHT} for name in resources),
    ]
    weights = {**{name: own * PACKING_WEIGHT for name, own in _WISHES.items()}, "NodeResourcesFit": PACKING_WEIGHT}
    without_gpus = {"key": PRODUCT_LABEL, "operator": "DoesNotExist"}
    preference = {"weight": STRONGEST, "preference": {"matchExpressions": [without_gpus]}}
    return {
        "schedulerName": PACKING,
        "percentageOfNodesToScore": ALL_NODES_PERCENT,
        "plugins": {
            "multiPoint": {
                "enabled": [{"name": name, "weight": weight} for name, weight in sorted(weights.items())],
                "disabled": [{"name": "NodeResourcesBalancedAllocation"}],
            }
        },
        "pluginConfig": [
            {
                "name": "NodeResourcesFit",
                "args": {"scoringStrategy": {"type": "MostAllocated", "resources": weighed}},
            },
            {
                "name": "NodeAffinity",
                "args": {"addedAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preference]}},
            },
            # What a pod itself asks for still holds; nothing is spread that does not ask for it.
            {"name": "PodTopologySpread", "args": {"defaultingType": "List", "defaultConstraints": []}},
        ],
    }
