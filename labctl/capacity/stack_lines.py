"""A way to cut the GPUs as the stack file spells it: the gpu section's groups, made anew and written out. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

from components.gpu.config import GpuGroupConfig, MigSlicing, TimeSlicing, WholeGpus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.gpu.config import GpuConfig
    from components.model import Value

    from .layouts import Cut, HostCut

__all__ = ["recut", "section_lines"]

_INDENT = "    "
"""Of the gpu section in a stack file: below ``config:`` and the cluster's key."""


def recut(config: GpuConfig, cut: Cut) -> GpuConfig:
    """Return the section with the hosts of `cut` cut that way, and every other host as it is.

    Hosts that are cut alike are one group. A group keeps its name for the hosts that stay as they are, or else for most
    of its hosts; what is split off is numbered.
    """
    groups: dict[str, GpuGroupConfig] = {}
    for name, group in config.groups.items():
        kept = tuple(host for host in group.hosts if host not in cut.hosts)
        if kept:
            groups[name] = group.model_copy(update={"hosts": kept})
    alike: dict[HostCut, list[str]] = {}
    for host, host_cut in cut.hosts.items():
        alike.setdefault(host_cut, []).append(host)
    home = {host: name for name, group in config.groups.items() for host in group.hosts}
    for host_cut, hosts in sorted(alike.items(), key=lambda item: (-len(item[1]), item[1])):
        name = _name(Counter(home[host] for host in hosts), set(groups), set(config.groups))
        groups[name] = GpuGroupConfig(hosts=tuple(sorted(hosts)), slicing=_slicing(host_cut))
    order = [*config.groups, *sorted(set(groups) - set(config.groups))]
    return config.model_copy(update={"groups": {name: groups[name] for name in order if name in groups}})


def _name(homes: Counter[str], taken: set[str], known: set[str]) -> str:
    for name, _ in homes.most_common():
        if name not in taken:
            return name
    base = homes.most_common(1)[0][0]
    return next(name for number in range(2, 1000) if (name := f"{base}-{number}") not in taken | known)


def _slicing(cut: HostCut) -> WholeGpus | MigSlicing | TimeSlicing:
    if cut.replicas > 1:
        return TimeSlicing(kind="timeSlicing", replicas=cut.replicas)
    if not any(cut.layouts):
        return WholeGpus(kind="whole")
    layouts = [dict(layout) for layout in cut.layouts]
    return MigSlicing(kind="mig", layout=layouts[0] if len(set(cut.layouts)) == 1 else tuple(layouts))


def section_lines(config: GpuConfig) -> list[str]:
    """Return the lines of the stack file that say how the GPUs are cut."""
    lines = [f"{_INDENT}gpu:", f"{_INDENT}  groups:"]
    for name, group in config.groups.items():
        slicing = cast("Value", group.slicing.model_dump(by_alias=True, exclude_defaults=True, mode="json"))
        lines += [
            f"{_INDENT}    {name}:",
            f"{_INDENT}      hosts: {_flow(list(group.hosts))}",
            f"{_INDENT}      slicing: {_flow(slicing)}",
        ]
    return lines


def _flow(value: Value) -> str:
    """Return plain data as YAML writes it on one line; all names here are plain scalars."""
    if isinstance(value, str | int | float | bool) or value is None:
        return str(value)
    items = cast("Mapping[str, Value]", value) if hasattr(value, "items") else None
    if items is not None:
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in items.items()) + "}"
    return "[" + ", ".join(_flow(item) for item in cast("Sequence[Value]", value)) + "]"
