"""What is wrong with the GPU section, and with the GPUs the nodes section names; every problem at once."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING

from components.problems import Problem

from .config import DriverSource, GpuConfig, KernelModule, MigSlicing
from .geometry import LayoutRefusal, plan_layout, render_layout
from .models import MODELS, Architecture, GpuModel, GpuModelName, HostGpus
from .slices import device_layouts, is_slice_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from components.problems import Path

__all__ = ["check", "check_models"]


def check_models(hosts: Mapping[str, HostGpus | None]) -> Iterator[Problem]:
    """Yield a problem for each GPU model nobody knows; paths within the nodes section."""
    known = [str(name) for name in GpuModelName]
    for host_name, gpus in hosts.items():
        if gpus is not None and gpus.model not in known:
            yield Problem(
                path=("hosts", host_name, "gpus", "model"),
                what=f"{gpus.model!r} is not a known GPU model",
                remedy=_choose(gpus.model, known),
            )


def check(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> Iterator[Problem]:
    """Yield everything wrong with a GPU section; paths within the section.

    Parameters
    ----------
    config
        The section.
    hosts
        GPUs of every host of the stack by host name, None for a host without. Unknown models are left to
        `check_models`.
    """
    found = _groups(config, hosts) if config.use is None else _used_names(config)
    yield from dict.fromkeys(found)


def _groups(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> Iterator[Problem]:
    """Yield what is wrong with the groups; a layout refused on several hosts alike comes more than once."""
    yield from _memberships(config, hosts)
    for name, group in config.groups.items():
        for index, host_name in enumerate(group.hosts):
            if (known := _known(hosts.get(host_name))) is not None:
                model, count = known
                yield from _driver(config, model, ("groups", name, "hosts", index))
                if isinstance(group.slicing, MigSlicing):
                    yield from _mig(name, group.slicing, host_name, model, count)
    if config.driver.source is DriverSource.HOST and config.driver.kernel_module is not KernelModule.AUTO:
        yield Problem(
            path=("driver", "kernelModule"),
            what="the kernel module is chosen for a driver that the hosts bring themselves",
            remedy="drop kernelModule, or set source: operator",
        )


def _used_names(config: GpuConfig) -> Iterator[Problem]:
    for index, used in enumerate(config.use.slices if config.use is not None else ()):
        if not is_slice_name(used.slice):
            yield Problem(
                path=("use", "slices", index, "slice"),
                what=f"{used.slice!r} is not the name of a slice",
                remedy="write a MIG profile such as 1g.10gb, or whole, or either with .shared",
            )


def _memberships(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> Iterator[Problem]:
    """Yield hosts that do not exist, have no GPU, are in two groups or in none."""
    with_gpus = [name for name, gpus in hosts.items() if gpus is not None]
    times = Counter(host for group in config.groups.values() for host in group.hosts)
    for name, group in config.groups.items():
        for index, host in enumerate(group.hosts):
            path: Path = ("groups", name, "hosts", index)
            if host not in hosts:
                yield Problem(path=path, what=f"there is no host {host}", remedy=_choose(host, with_gpus))
            elif hosts[host] is None:
                yield Problem(
                    path=path, what=f"{host} has no GPUs", remedy=f"give nodes.hosts.{host}.gpus, or drop it here"
                )
            elif times[host] > 1:
                yield Problem(
                    path=path, what=f"{host} is named {times[host]} times", remedy="name it in exactly one group"
                )
    for host in with_gpus:
        if host not in times:
            yield Problem(
                path=("groups",), what=f"{host} has GPUs but is in no group", remedy="add it, with slicing kind whole"
            )


def _driver(config: GpuConfig, model: GpuModel, path: Path) -> Iterator[Problem]:
    """Yield why a GPU model cannot run under the driver that is asked for."""
    if config.driver.source is DriverSource.HOST:
        return
    if model.architecture is Architecture.VOLTA:
        yield Problem(
            path=path,
            what=f"the operator's driver no longer drives {model.name} (Volta ended with driver branch 580)",
            remedy="set driver.source: host and install a driver of branch 580 there",
        )
        return
    module = config.driver.kernel_module
    if module is KernelModule.PROPRIETARY and not model.architecture.runs_proprietary_module:
        yield Problem(
            path=path,
            what=f"{model.name} ({model.architecture}) has only the open kernel module",
            remedy="set driver.kernelModule: auto",
        )


def _mig(group_name: str, slicing: MigSlicing, host_name: str, model: GpuModel, count: int) -> Iterator[Problem]:
    """Yield why a layout does not fit the GPUs of one host."""
    path: Path = ("groups", group_name, "slicing", "layout")
    if not model.can_mig:
        yield Problem(
            path=("groups", group_name, "slicing", "kind"),
            what=f"{host_name} has {model.name}, which cannot be cut by MIG",
            remedy="use kind whole or timeSlicing for it, in a group of its own",
        )
        return
    per_device = isinstance(slicing.layout, tuple)
    layouts = device_layouts(slicing, count)
    if len(layouts) != count:
        yield Problem(
            path=path,
            what=f"{host_name} has {count} GPUs, but the list has {len(layouts)} layouts",
            remedy=f"write {count} layouts, or one mapping for all of them",
        )
    if not any(layouts):
        yield Problem(path=path, what="nothing is cut", remedy="name MIG profiles, or use kind whole")
    for index, layout in enumerate(layouts):
        planned = plan_layout(model.name, layout)
        if isinstance(planned, LayoutRefusal):
            place: Path = (*path, index) if per_device else path
            yield Problem(
                path=place, what=planned.reason, remedy=f"the nearest that fits is {render_layout(planned.nearest)}"
            )


def _known(gpus: HostGpus | None) -> tuple[GpuModel, int] | None:
    if gpus is None or gpus.model not in set(GpuModelName):
        return None
    return MODELS[GpuModelName(gpus.model)], gpus.count


def _choose(given: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(given.lower(), [name.lower() for name in names], n=1, cutoff=0.4)
    nearest = next((name for name in names if near and name.lower() == near[0]), None)
    if nearest is not None:
        return f"did you mean {nearest}?"
    return f"choose one of {', '.join(names)}" if names else "no host has GPUs"
