"""How two stacks, or two revisions of one, differ: for a person and as JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rich.text import Text

from labctl.comparison.resources import component_of
from labctl.comparison.values import difference_json
from labctl.graph.differences import Change
from labctl.graph.goal import urn_name, urn_type

from .changed_text import brief, change_words, text_changes
from .words import CHANGE_SYMBOLS, short_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console

    from labctl.comparison.resources import ResourceDifferences
    from labctl.comparison.values import Difference
    from labctl.comparison.versions import VersionDifference
    from labctl.comparison.whole import Differences
    from labctl.graph.values import Plain

__all__ = ["comparison_json", "print_comparison"]

STYLES: Final = {"+": "green", "-": "red", "~": "yellow", "±": "magenta"}
"""Colours of rich by the sign that a line begins with."""
OF_HOST: Final = re.compile(r"(?P<before>.*)-<(?P<role>[a-z+ -]+)>(?:-(?P<step>.*))?")
"""Name of a resource that every host of a role has."""
OWN: Final = {
    "address": "addresses",
    "cluster": "the cluster's name",
    "disk": "names of disks",
    "domain": "the domain",
    "host": "names of hosts",
    "host key": "host keys",
    "hosts": "the hosts' network",
    "pool": "what the load balancer hands out",
    "stack": "the stack's name",
}
"""Placeholders in words."""
NO_COMPONENT: Final = "the stack itself"
MOST_PROPERTIES: Final = 30
"""Properties shown of one resource; a chart's values can have hundreds."""


def print_comparison(console: Console, found: Differences) -> None:
    """Print versions, machines, configuration and resources that differ, and what was not compared."""
    if found.equal:
        _line(console, f"{found.one} and {found.other} differ in nothing ({found.resources.same} resources the same)")
    else:
        _line(console, f"{found.one} → {found.other}", "bold")
    sections = (
        ("Versions", _version_lines(found.versions)),
        ("Machines", [f"{item.kind}: {item.one} → {item.other}" for item in found.machines]),
        ("Configuration", [line for item in found.configuration for line in _property_lines(item)]),
        ("Resources", [*_resource_lines(found.resources)]),
    )
    for heading, lines in sections:
        if lines:
            _line(console, "")
            _line(console, heading, "bold")
        for line in lines:
            _line(console, f"  {line}", STYLES.get(line.lstrip()[:1], ""))
    if not found.equal:
        _line(console, "")
        _line(console, _sum(found))
    if found.left_out:
        _line(
            console,
            f"Not compared, as each stack's own: {', '.join(OWN[name] for name in found.left_out)} (--raw shows them)",
            "dim",
        )


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style), soft_wrap=True)


def _version_lines(versions: Sequence[VersionDifference]) -> list[str]:
    """Return a line for each pin, those that move together in one."""
    sets: dict[str, list[VersionDifference]] = {}
    for item in versions:
        sets.setdefault(item.together or item.pin, []).append(item)
    width = max(map(len, sets), default=0)
    return [f"{name:<{width}}  {_set_words(items)}" for name, items in sets.items()]


def _set_words(items: Sequence[VersionDifference]) -> str:
    first = items[0]
    words = f"{first.one or 'not pinned'} → {first.other or 'not pinned'}"
    if first.one == first.other:
        words = f"{first.one}, with another digest, checksum or source"
    return words if len(items) == 1 else f"{words}  ({len(items)} pins)"


def _property_lines(item: Difference) -> list[str]:
    sign, path = CHANGE_SYMBOLS[item.change], item.path or "(all)"
    if item.change is not Change.UPDATE:
        return [f"{sign} {path}: {brief(item.one if item.change is Change.DELETE else item.other)}"]
    if isinstance(item.one, str) and isinstance(item.other, str) and "\n" in item.one + item.other:
        return [f"{sign} {path}", *(f"    {line}" for line in text_changes(item.one, item.other))]
    return [f"{sign} {path}: {change_words(item.one, item.other)}"]


def _resource_lines(found: ResourceDifferences) -> Iterator[str]:
    """Yield what differs component by component; of a component that only one has, how much it is."""
    everything = (*found.only_one, *found.only_other, *found.changed)
    for component in sorted({component_of(urn) for urn in everything}):
        yield component or NO_COMPONENT
        for sign, urns in (("-", found.only_one), ("+", found.only_other)):
            mine = [urn for urn in urns if component_of(urn) == component]
            if component and any(urn_type(urn) == f"lab:index:{component}" for urn in mine):
                yield f"  {sign} all of it: {len(mine)} resources"
            else:
                yield from (f"  {sign} {title}" for title in _titles(mine))
        changed = {urn: items for urn, items in found.changed.items() if component_of(urn) == component}
        yield from _changed_lines(changed, found.replaced)


def _changed_lines(changed: Mapping[str, Sequence[Difference]], replaced: frozenset[str]) -> Iterator[str]:
    """Yield what changed resources differ in: the same difference once, those of versions alone in short."""
    same: dict[tuple[bool, tuple[str, ...]], list[str]] = {}
    by_version = [urn for urn, items in changed.items() if items and all(item.by_version for item in items)]
    for urn, items in changed.items():
        if urn not in by_version:
            same.setdefault((urn in replaced, tuple(_shown(items))), []).append(urn)
    for (is_replaced, lines), urns in same.items():
        yield f"  {'±' if is_replaced else '~'} {'; '.join(_titles(urns))}"
        yield from (f"      {line}" for line in lines)
    if by_version:
        yield "  ~ in the versions above alone"
        for sign, urns in (("±", replaced.intersection(by_version)), ("~", set(by_version) - replaced)):
            yield from (f"      {sign} {title}" for title in _titles(sorted(urns)))


def _shown(items: Sequence[Difference]) -> list[str]:
    other = [item for item in items if not item.by_version]
    lines = [line for item in other[:MOST_PROPERTIES] for line in _property_lines(item)]
    left = len(other) - MOST_PROPERTIES
    return [*lines, f"… and {left} more properties"] if left > 0 else lines


def _titles(urns: Iterable[str]) -> list[str]:
    """Return what resources are called, those of one type in one line, those of hosts by the hosts' roles."""
    roles: dict[tuple[str, str], list[str]] = {}
    named: dict[tuple[str, str], list[str]] = {}
    for urn in urns:
        kind, name = short_type(urn_type(urn)), urn_name(urn)
        if of_host := OF_HOST.fullmatch(name):
            roles.setdefault((kind, of_host["step"] or of_host["before"]), []).append(of_host["role"])
        else:
            named.setdefault((kind, ""), []).append(name)
    for (kind, step), on in roles.items():
        named.setdefault((kind, f" on {', '.join(on)}:"), []).append(step)
    return [f"{kind}{on} {', '.join(names)}" for (kind, on), names in named.items()]


def _sum(found: Differences) -> str:
    resources = found.resources
    counts = (
        f"{len(resources.only_one)} only in {found.one}",
        f"{len(resources.only_other)} only in {found.other}",
        f"{len(resources.changed)} different",
        f"{resources.same} the same",
    )
    return f"{len(found.versions)} pins and {len(found.configuration)} values differ; resources: {', '.join(counts)}"


def comparison_json(found: Differences) -> dict[str, Plain]:
    """Return the difference as JSON (docs/environments.md)."""
    resources = found.resources
    return {
        "one": found.one,
        "other": found.other,
        "equal": found.equal,
        "versions": [{"pin": item.pin, "one": item.one, "other": item.other} for item in found.versions],
        "machines": [{"kind": item.kind, "one": item.one, "other": item.other} for item in found.machines],
        "configuration": [difference_json(item) for item in found.configuration],
        "onlyOne": [*resources.only_one],
        "onlyOther": [*resources.only_other],
        "changed": {urn: [difference_json(item) for item in items] for urn, items in resources.changed.items()},
        "replaced": [*sorted(resources.replaced)],
        "same": resources.same,
        "leftOut": [*found.left_out],
    }
