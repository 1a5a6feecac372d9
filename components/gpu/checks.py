"""What is wrong with the GPU section, and with the GPUs the nodes section names; every problem at once."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING

from components.problems import Problem

from .config import GpuConfig, MigSlicing, MigStrategy, MpsSlicing, UsedSlice
from .driver_checks import check_driver, check_driver_for
from .geometry import Layout, LayoutRefusal, plan_layout, render_layout
from .models import MPS_CLIENTS, GpuModel, GpuModelName, HostGpus, known_gpus
from .slices import device_layouts, is_slice_name, node_slices, resource_name, sharing_replicas

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from components.problems import Path

    from .config import GpuGroupConfig

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


def check(config: GpuConfig, hosts: Mapping[str, HostGpus | None], lost: Collection[str] = ()) -> Iterator[Problem]:
    """Yield everything wrong with a GPU section; paths within the section.

    Parameters
    ----------
    config
        The section.
    hosts
        GPUs of every host of the stack by host name, None for a host without. Unknown models are left to
        `check_models`.
    lost
        Hosts of the stack whose machine is lost, which are no nodes any more.
    """
    found = _groups(config, hosts, lost) if config.use is None else _used_names(config)
    yield from dict.fromkeys(found)


def _groups(config: GpuConfig, hosts: Mapping[str, HostGpus | None], lost: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong with the groups; what is wrong with several models alike comes more than once."""
    yield from _memberships(config, hosts, lost)
    yield from _evictions(config)
    for name, group in config.groups.items():
        examples: dict[tuple[GpuModelName, int], str] = {}
        for index, host_name in enumerate(group.hosts):
            if (known := known_gpus(hosts.get(host_name))) is not None:
                yield from check_driver_for(config.driver, known[0], ("groups", name, "hosts", index))
                examples.setdefault((known[0].name, known[1]), host_name)
        if isinstance(group.slicing, MigSlicing):
            yield from _strategy(group.slicing, ("groups", name, "slicing"))
            yield from _shared(group.slicing, ("groups", name, "slicing", "shared"))
        # Hosts with the same GPUs are cut alike: one of them speaks for all.
        for host_name in examples.values():
            if (known := known_gpus(hosts.get(host_name))) is not None:
                if isinstance(group.slicing, MigSlicing):
                    yield from _mig(name, group.slicing, host_name, *known)
                if isinstance(group.slicing, MpsSlicing):
                    yield from _mps(group.slicing, host_name, known[0], ("groups", name, "slicing"))
    yield from _offers(config, hosts)
    yield from check_driver(config.driver)


def _used_names(config: GpuConfig) -> Iterator[Problem]:
    for index, used in enumerate(config.use.slices if config.use is not None else ()):
        yield from _used(used, ("use", "slices", index))


def _used(used: UsedSlice, path: Path) -> Iterator[Problem]:
    if not is_slice_name(used.slice):
        yield Problem(
            path=(*path, "slice"),
            what=f"{used.slice!r} is not the name of a slice",
            remedy="write a MIG profile such as 1g.10gb, or whole, or either with .shared, or whole.mps",
        )
    elif used.strategy is MigStrategy.SINGLE and used.model is None:
        yield Problem(
            path=(*path, "model"),
            what=f"under strategy single {used.slice} has the resource of a whole GPU, and nothing but the model tells "
            "them apart",
            remedy="name the GPU model it is cut from",
        )


def _evictions(config: GpuConfig) -> Iterator[Problem]:
    """Yield hosts named for evictions that are in no group: a slip of the pen would be waited for, not evicted."""
    cut = [host for group in config.groups.values() for host in group.hosts]
    for index, host in enumerate(config.change.hosts):
        if host not in cut:
            path: Path = ("change", "hosts", index)
            yield Problem(path=path, what=f"{host} is a host of no group", remedy=_choose(host, cut))


def _memberships(config: GpuConfig, hosts: Mapping[str, HostGpus | None], lost: Collection[str]) -> Iterator[Problem]:
    """Yield hosts that do not exist, have no GPU, are in two groups or in none."""
    with_gpus = [name for name, gpus in hosts.items() if gpus is not None]
    times = Counter(host for group in config.groups.values() for host in group.hosts)
    for name, group in config.groups.items():
        for index, host in enumerate(group.hosts):
            path: Path = ("groups", name, "hosts", index)
            if host in lost:
                yield Problem(
                    path=path,
                    what=f"{host} is lost (nodes.hosts.{host}.lost), and no node any more",
                    remedy="take it out of the group until its machine is back, and the group if it has no other host",
                )
            elif host not in hosts:
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


def _strategy(slicing: MigSlicing, path: Path) -> Iterator[Problem]:
    """Yield why GPUs cannot be offered under strategy `single`, which allows one profile and no GPU left whole.

    Source: NVIDIA/k8s-device-plugin v0.20.0, ``internal/rm/device_map.go``, which offers nothing at all otherwise.
    """
    layouts = slicing.layout if isinstance(slicing.layout, tuple) else (slicing.layout,)
    profiles = sorted({name for layout in layouts for name in layout})
    if slicing.strategy is not MigStrategy.SINGLE or (len(profiles) == 1 and all(layouts)):
        return
    what = (
        f"single offers one profile, not {', '.join(profiles)}" if len(profiles) > 1 else "single leaves no GPU whole"
    )
    yield Problem(
        path=(*path, "strategy"), what=what, remedy="cut every GPU into one profile, or write strategy: mixed"
    )


def _shared(slicing: MigSlicing, path: Path) -> Iterator[Problem]:
    """Yield profiles that are shared and never cut."""
    layouts = slicing.layout if isinstance(slicing.layout, tuple) else (slicing.layout,)
    cut = sorted({name for layout in layouts for name in layout})
    for profile in slicing.shared:
        if profile not in cut:
            yield Problem(
                path=(*path, profile),
                what=f"{profile} is shared, but no GPU of the group is cut into it",
                remedy=_choose(profile, cut) if cut else "drop it, or cut one in layout",
            )


def _mps(slicing: MpsSlicing, host_name: str, model: GpuModel, path: Path) -> Iterator[Problem]:
    """Yield why a model cannot be shared by MPS as asked for."""
    most = model.most_mps_clients
    if slicing.replicas > most:
        yield Problem(
            path=(*path, "replicas"),
            what=f"{host_name} has {model.name}, which takes {most} MPS clients, not {slicing.replicas} "
            f"(the device plugin takes {MPS_CLIENTS} from Turing on)",
            remedy=f"write at most {most}, in a group of its own",
        )


def _offers(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> Iterator[Problem]:
    """Yield groups whose slices people could not tell from those of another group, or not ask for by one name.

    A slice's name stands for one resource in the whole lab, and on one GPU model for one number of sharers: who asks
    for it names the slice, and perhaps the model, and gets any.
    """
    resources: dict[str, tuple[str, str]] = {}
    sharers: dict[tuple[str, GpuModelName], tuple[int, str]] = {}
    for group_name, group in config.groups.items():
        for model_name, slice_name in _slices_by_model(group, hosts):
            resource = resource_name(
                slice_name, group.slicing.strategy if isinstance(group.slicing, MigSlicing) else MigStrategy.MIXED
            )
            other_resource, first = resources.setdefault(slice_name, (resource, group_name))
            if other_resource != resource:
                yield Problem(
                    path=("groups", group_name, "slicing", "strategy"),
                    what=f"{slice_name} would be the resource {resource}, and {other_resource} in group {first}",
                    remedy=f"write the same strategy in both, or another layout than {first}'s",
                )
            replicas = sharing_replicas(group, slice_name)
            others, first = sharers.setdefault((slice_name, model_name), (replicas, group_name))
            if others != replicas:
                yield Problem(
                    path=("groups", group_name, "slicing"),
                    what=f"{slice_name} on {model_name} would have {replicas} sharers, and {others} in group {first}",
                    remedy="write the same number in both: nobody could tell which of them to ask for",
                )


def _slices_by_model(group: GpuGroupConfig, hosts: Mapping[str, HostGpus | None]) -> Sequence[tuple[GpuModelName, str]]:
    """Return the slices a group offers, by GPU model, each once."""
    known = {(gpus[0].name, gpus[1]) for host in group.hosts if (gpus := known_gpus(hosts.get(host))) is not None}
    return sorted({(model, name) for model, count in known for name in node_slices(group, count)})


def _mig(group_name: str, slicing: MigSlicing, host_name: str, model: GpuModel, count: int) -> Iterator[Problem]:
    """Yield why a layout does not fit the GPUs of one host."""
    path: Path = ("groups", group_name, "slicing", "layout")
    if not model.can_mig:
        yield Problem(
            path=("groups", group_name, "slicing", "kind"),
            what=f"{host_name} has {model.name}, which cannot be cut by MIG",
            remedy="use kind whole, timeSlicing or mps for it, in a group of its own",
        )
        return
    layouts = device_layouts(slicing, count)
    if len(layouts) != count:
        yield Problem(
            path=path,
            what=f"{host_name} has {count} GPUs, but the list has {len(layouts)} layouts",
            remedy=f"write {count} layouts, or one mapping for all of them",
        )
    if not any(layouts):
        yield Problem(path=path, what="nothing is cut", remedy="name MIG profiles, or use kind whole")
    places = {layout: index for index, layout in reversed(list(enumerate(layouts)))}
    for layout, index in sorted(places.items(), key=lambda place: place[1]):
        place: Path = (*path, index) if isinstance(slicing.layout, tuple) else path
        yield from _fit(model, layout, place)


def _fit(model: GpuModel, layout: Layout, path: Path) -> Iterator[Problem]:
    planned = plan_layout(model.name, layout)
    if isinstance(planned, LayoutRefusal):
        yield Problem(
            path=path, what=planned.reason, remedy=f"the nearest that fits is {render_layout(planned.nearest)}"
        )


def _choose(given: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(given.lower(), [name.lower() for name in names], n=1, cutoff=0.4)
    nearest = next((name for name in names if near and name.lower() == near[0]), None)
    if nearest is not None:
        return f"did you mean {nearest}?"
    return f"choose one of {', '.join(names)}" if names else "no host has GPUs"
