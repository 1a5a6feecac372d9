"""How the configurations of two stacks differ, their machines apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .values import Difference, differences

if TYPE_CHECKING:
    from labctl.graph.values import Plain

    from .names import Owner, Side

__all__ = ["MachineDifference", "configuration_differences", "machine_differences"]

OF_A_MACHINE: Final = frozenset(
    {"address", "secondAddress", "hostKey", "hardware", "gpus", "lost", "reconverge", "roles"}
)
"""What is a machine's own, or counted (`machine_differences`), and so not compared as configuration."""


@dataclass(frozen=True, kw_only=True)
class MachineDifference:
    """Machines of one kind, of which the two stacks have different numbers."""

    kind: str
    one: int
    other: int


def machine_differences(one: Owner, other: Owner) -> tuple[MachineDifference, ...]:
    """Return the kinds of machines, by role and size, of which the two have different numbers."""
    counts = [Counter(_kind(owner, host) for host in owner.hosts) for owner in (one, other)]
    return tuple(
        MachineDifference(kind=kind, one=counts[0][kind], other=counts[1][kind])
        for kind in sorted(counts[0].keys() | counts[1].keys())
        if counts[0][kind] != counts[1][kind]
    )


def _kind(owner: Owner, host: str) -> str:
    """Return a machine's role and size: ``worker, 64 CPUs, 512Gi``."""
    data = owner.hosts[host]
    words = [owner.role(host).removeprefix("gpu ")]
    if isinstance(hardware := data.get("hardware"), dict):
        words += [f"{hardware.get('cpus')} CPUs", str(hardware.get("memory"))]
    if isinstance(gpus := data.get("gpus"), dict):
        words.append(f"{gpus.get('count')} x {gpus.get('model')}")
    return ", ".join(words)


def configuration_differences(one: Side, other: Side) -> tuple[Difference, ...]:
    """Return where the configurations differ, what is each stack's own left out; defaults count as written."""
    return differences(_shared(one), _shared(other))


def _shared(side: Side) -> Plain:
    """Return a configuration as another stack could have it: its machines' settings by their role."""
    nodes = side.owner.cluster.get("nodes")
    by_role: dict[str, list[Plain]] = {}
    for name, host in side.owner.hosts.items():
        settings: Plain = side.value({key: value for key, value in host.items() if key not in OF_A_MACHINE})
        known = by_role.setdefault(side.owner.role(name), [])
        if settings not in known:
            known.append(settings)
    machines: dict[str, Plain] = {role: found[0] if len(found) == 1 else found for role, found in by_role.items()}
    rest = {key: value for key, value in nodes.items() if key != "hosts"} if isinstance(nodes, dict) else {}
    whole = side.value({**side.owner.cluster, "nodes": rest})
    if isinstance(whole, dict) and isinstance(inner := whole.get("nodes"), dict):
        inner["hosts"] = machines
    return whole
