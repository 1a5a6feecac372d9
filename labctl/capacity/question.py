"""From a stack and what is asked about it to a report: everything read, put before the scheduler, and answered."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from components.gpu.slices import offered_slices
from components.scheduling.config import Placement, SchedulingConfig
from components.scheduling.plan import PACKING, scheduler_configuration, scheduler_names
from stacks.checks import host_gpus
from stacks.config import own_scheduler
from stacks.pins import load_pins

from .answers import Case, count_each, fill_up, utilisation_of
from .demand import Demand, even_demand, load_demand
from .errors import NoHubError, NoNodesError
from .machines import lab_machines, recut_machines
from .pods import DEFAULT_SCHEDULER, profiles_of
from .report import Report
from .running import read_cluster
from .search import Search, propose
from .simulator import running_scheduler
from .spawns import load_spawns, unnamed_shared_out, usage_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from components.gpu.config import GpuConfig
    from components.gpu.slices import Slice
    from components.model import Value
    from labctl.control_plane import Progress
    from labctl.lab import Lab

    from .machines import Machine
    from .spawns import Usage

__all__ = ["Asked", "Setting", "answer", "scheduler_told", "setting_of"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked about a lab."""

    running: bool = False
    """Count beside what runs in the stack's cluster."""
    demand: Path | None = None
    spawns: Path | None = None
    layouts: bool = False
    """Search for a better layout of the GPUs."""
    time_slices: int = 0
    """Containers that may share a GPU by time-slicing in that search; 0: it is not considered."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A lab as it is asked about."""

    lab: Lab
    machines: tuple[Machine, ...]
    away: tuple[str, ...]
    """Nodes that take no pods now."""
    slices: tuple[Slice, ...]
    """What its GPUs offer."""

    @property
    def case(self) -> Case:
        """The lab with its GPUs cut as they are."""
        return self._case(self.machines, self.slices)

    def cut_as(self, config: GpuConfig) -> Case:
        """Return the lab with its GPUs cut as another section says."""
        lab = _with_gpus(self.lab, config)
        offered = offered_slices(config, host_gpus(self.lab.cluster))
        names = {found.name for found in offered}
        # A profile whose slice is gone still asks for it, in vain.
        known = (*offered, *(found for found in self.slices if found.name not in names))
        return self._case(recut_machines(self.machines, lab_machines(self.lab), lab_machines(lab)), known)

    def _case(self, machines: tuple[Machine, ...], slices: Sequence[Slice]) -> Case:
        cluster = self.lab.cluster
        if cluster.hub is None:
            raise NoHubError(self.lab.stack)
        named = scheduler_names(cluster.scheduling).interactive if cluster.scheduling is not None else None
        pins = load_pins(self.lab.environment.name)
        images = {name: pin.image for name, pin in pins.images.items()}
        return Case(
            machines=machines,
            profiles=profiles_of(cluster.hub, images, slices, named),
            packs=lambda scheduler: scheduler == PACKING,
        )


def setting_of(lab: Lab, *, running: bool) -> Setting:
    """Return the lab with its stack file's nodes, empty, or with its cluster's and what runs there.

    Raises
    ------
    NoHubError, NoNodesError, UnreachableClusterError
        There is nothing to ask about.
    """
    if lab.cluster.hub is None:
        raise NoHubError(lab.stack)
    machines, away = read_cluster(lab) if running else (lab_machines(lab), ())
    if not machines:
        raise NoNodesError(lab.stack)
    gpu = lab.cluster.gpu
    slices = offered_slices(gpu, host_gpus(lab.cluster)) if gpu is not None else ()
    return Setting(lab=lab, machines=machines, away=away, slices=slices)


def answer(lab: Lab, asked: Asked, progress: Progress) -> Report:
    """Return the answers to everything that was asked, by a scheduler that is gone again.

    Raises
    ------
    CapacityError
        Everything in `errors`.
    """
    began = time.monotonic()
    setting = setting_of(lab, running=asked.running)
    case = setting.case
    demand, usage, remarks = _demand(asked, [profile.slug for profile in case.profiles])
    gpu = lab.cluster.gpu
    searches = gpu is not None and gpu.use is None and (asked.layouts or asked.time_slices > 0)
    with running_scheduler(lab.folder / "capacity", scheduler_told(lab), progress) as scheduler:
        counts = count_each(scheduler, case, progress)
        full = fill_up(scheduler, case, demand, progress)
        proposal = None
        if gpu is not None and searches:
            search = Search(
                config=gpu, hosts=host_gpus(lab.cluster), case_of=setting.cut_as, time_slices=asked.time_slices
            )
            proposal = propose(scheduler, search, demand, full, progress)
    return Report(
        stack=lab.stack,
        nodes=len(setting.machines),
        away=setting.away,
        is_running=asked.running,
        profiles=case.profiles,
        counts=counts,
        before=utilisation_of(setting.machines, case.profiles),
        demand=demand,
        full=full,
        proposal=proposal,
        usage=usage,
        remarks=remarks,
        slices={offered.resource: offered.name for offered in setting.slices},
        seconds=time.monotonic() - began,
    )


def scheduler_told(lab: Lab) -> Mapping[str, Value] | None:
    """Return what the scheduler is told: the stack's own configuration, or one that answers to another's names.

    How another cluster's schedulers place pods is not known here; under their names pods are spread.
    """
    scheduling = lab.cluster.scheduling
    if scheduling is None or scheduling.use is None:
        return own_scheduler(lab.cluster)
    own = scheduler_configuration(SchedulingConfig(interactive=Placement.SPREAD), ())
    names = {DEFAULT_SCHEDULER, scheduling.use.interactive, scheduling.use.batch}
    return {**own, "profiles": [{"schedulerName": name} for name in sorted(names)]}


def _with_gpus(lab: Lab, config: GpuConfig) -> Lab:
    return replace(lab, cluster=lab.cluster.model_copy(update={"gpu": config}))


def _demand(asked: Asked, slugs: Sequence[str]) -> tuple[Demand, Usage | None, tuple[str, ...]]:
    """Return who is to be served: from the demand file, else from the peak of the past, else all profiles evenly."""
    usage: Usage | None = None
    remarks: tuple[str, ...] = ()
    past: Demand | None = None
    if asked.spawns is not None:
        found = load_spawns(asked.spawns)
        usage = usage_of(found.spawns)
        users, unknown = unnamed_shared_out(usage.at_peak, slugs)
        remarks = (*found.remarks, *unknown)
        if users:
            shares = {slug: float(count) for slug, count in users.items()}
            past = Demand(source=f"{asked.spawns.name}: the most at once", shares=shares, users=users)
    if asked.demand is not None:
        return load_demand(asked.demand, slugs), usage, remarks
    return past or even_demand(slugs), usage, remarks
