"""How many GPUs of a kind are free, as far as this hub sees: the nodes, and the pods of its own servers.

What pods of other namespaces hold it does not see: the figures are what is free at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from .words import is_gpu, resource_words

if TYPE_CHECKING:
    from .upstream import JsonObject

__all__ = ["ENDS_ANNOTATION", "Availability", "Free", "Want", "figures", "free_of", "short_words", "want_of"]

ENDS_ANNOTATION = "lab.internal/walltime-ends"
"""When a server is stopped at the latest, in RFC 3339."""
FRESH_SECONDS = 5.0
"""For which one list of the nodes serves everybody."""
_FINISHED = {"Succeeded", "Failed"}
_BLOCKING = {"NoSchedule", "NoExecute"}


@dataclass(frozen=True, kw_only=True)
class Want:
    """What a server asks for, as far as it decides which nodes count."""

    resource: str
    count: int = 1
    terms: tuple[Mapping[str, object], ...] = ()
    """Node selector terms, one of which a node has to meet (``nodeSelectorTerms``); none: every node."""
    selector: Mapping[str, str] = field(default_factory=dict[str, str])
    tolerations: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Free:
    """How it stands with one kind of GPU."""

    total: int
    used: int
    """By this hub's servers."""
    places: int
    """Servers that could start now: what is free on one node has to be enough for one."""
    waiting: tuple[str, ...] = ()
    """Pods that wait for one, first come first."""
    next_end: datetime | None = None
    """When the first of those who hold one is stopped at the latest; None where nobody's time is limited."""

    @property
    def free(self) -> int:
        """How many nobody of this hub holds."""
        return max(0, self.total - self.used)


def want_of(settings: Mapping[str, object]) -> Want | None:
    """Return what a profile's KubeSpawner settings ask for; None without a GPU."""
    limits = cast("Mapping[str, object]", settings.get("extra_resource_limits") or {})
    for resource, count in limits.items():
        if is_gpu(resource):
            return Want(
                resource=resource,
                count=max(1, int(str(count))),
                terms=_items(settings.get("node_affinity_required")),
                selector=cast("Mapping[str, str]", settings.get("node_selector") or {}),
                tolerations=_items(settings.get("tolerations")),
            )
    return None


def free_of(want: Want, nodes: Iterable[JsonObject], pods: Iterable[JsonObject]) -> Free:
    """Return how it stands with what a server wants.

    Parameters
    ----------
    want
        What it asks for.
    nodes, pods
        The cluster's nodes and this hub's pods, as the API server has them.
    """
    held: dict[str, int] = {}
    waiting: list[tuple[str, str]] = []
    ends: list[datetime] = []
    room = {node["metadata"]["name"]: _amount(node, want.resource) for node in nodes if _takes(node, want)}
    for pod in pods:
        amount = _asked(pod, want.resource)
        if amount == 0 or pod.get("status", {}).get("phase") in _FINISHED:
            continue
        node = pod["spec"].get("nodeName")
        if node is None:
            waiting.append((pod["metadata"].get("creationTimestamp", ""), pod["metadata"]["name"]))
        elif node in room:
            held[node] = held.get(node, 0) + amount
            if (end := _end_of(pod)) is not None:
                ends.append(end)
    return Free(
        total=sum(room.values()),
        used=sum(held.values()),
        places=sum(max(0, amount - held.get(node, 0)) // want.count for node, amount in room.items()),
        waiting=tuple(name for _, name in sorted(waiting)),
        next_end=min(ends, default=None),
    )


class Availability:
    """The same, asked for by any number of viewers: nodes are listed once every few seconds.

    Parameters
    ----------
    list_nodes
        Lists the cluster's nodes; what it raises means that nothing is shown.
    """

    def __init__(self, list_nodes: Callable[[], Awaitable[Sequence[JsonObject]]]) -> None:
        self._list_nodes = list_nodes
        self._nodes: Sequence[JsonObject] | None = None
        self._until = 0.0
        self._listing: asyncio.Task[None] | None = None

    async def free(self, want: Want, pods: Iterable[JsonObject]) -> Free | None:
        """Return how it stands with what a server wants; None where the nodes cannot be seen."""
        if asyncio.get_running_loop().time() >= self._until:
            if self._listing is None:
                self._listing = asyncio.ensure_future(self._list())
            # Whoever asks meanwhile waits for the same list, and whoever leaves does not take it along.
            await asyncio.shield(self._listing)
        return None if self._nodes is None else free_of(want, self._nodes, pods)

    async def _list(self) -> None:
        try:
            self._nodes = await self._list_nodes()
        except Exception:  # noqa: BLE001 - figures are an extra: without them the page says less
            self._nodes = None
        finally:
            self._until = asyncio.get_running_loop().time() + FRESH_SECONDS
            self._listing = None


def short_words(free: Free) -> str:
    """Return how it stands, for the label of a choice.

    Examples
    --------
    >>> short_words(Free(total=7, used=4, places=3))
    '3 of 7 free'
    """
    if free.total == 0:
        return "none available at the moment"
    waiting = f", {len(free.waiting)} waiting" if free.waiting else ""
    return f"{free.free or 'none'} of {free.total} free{waiting}"


def figures(want: Want, free: Free, pod: str, names: Mapping[str, str], now: datetime) -> str:
    """Return how it stands, in sentences for somebody who waits.

    Parameters
    ----------
    want, free
        What they wait for and how it stands.
    pod
        Name of their own pod.
    names
        What GPU resources are called.
    now
        The time, with its zone.
    """
    name = resource_words(want.resource, names)
    if free.total == 0:
        return f"No machine offers {name} at the moment."
    are = "is" if free.total == 1 else "are"
    said = [f"{free.used} of {free.total} {name} {are} in use."]
    if free.places:
        said = [f"{free.free} of {free.total} {name} {are} free, but not on a machine with enough room otherwise."]
    if pod in free.waiting:
        place = free.waiting.index(pod) + 1
        said.append("You are next in line." if place == 1 else f"You are {_ordinal(place)} in line.")
    if free.next_end is not None and not free.places:
        minutes = max(1, round((free.next_end - now).total_seconds() / 60))
        said.append(f"The next one is free in {_span(minutes)} at the latest.")
    return " ".join(said)


def _ordinal(number: int) -> str:
    teen = number % 100 in {11, 12, 13}
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _span(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    if hours == 0:
        return "1 minute" if rest == 1 else f"{rest} minutes"
    return f"{hours} h {rest} min" if rest else ("1 hour" if hours == 1 else f"{hours} hours")


def _items(value: object) -> tuple[Mapping[str, object], ...]:
    """Return a list of KubeSpawner's, which may also be a mapping whose keys only order it."""
    if isinstance(value, Mapping):
        known = cast("Mapping[str, Mapping[str, object]]", value)
        return tuple(known[key] for key in sorted(known))
    return tuple(cast("Sequence[Mapping[str, object]]", value or ()))


def _amount(thing: JsonObject, resource: str) -> int:
    return int(thing.get("status", {}).get("allocatable", {}).get(resource, "0"))


def _asked(pod: JsonObject, resource: str) -> int:
    return sum(
        int(container.get("resources", {}).get("limits", {}).get(resource, "0"))
        for container in pod["spec"].get("containers", ())
    )


def _end_of(pod: JsonObject) -> datetime | None:
    text = pod["metadata"].get("annotations", {}).get(ENDS_ANNOTATION)
    try:
        end = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return end if end is None or end.tzinfo is not None else end.replace(tzinfo=UTC)


def _takes(node: JsonObject, want: Want) -> bool:
    """Return whether a node may take such a server at all."""
    spec, labels = node.get("spec", {}), node["metadata"].get("labels", {})
    ready = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in node.get("status", {}).get("conditions", ())
    )
    if spec.get("unschedulable") or not ready:
        return False
    blocking = [taint for taint in spec.get("taints", ()) if taint["effect"] in _BLOCKING]
    if not all(any(_tolerates(toleration, taint) for toleration in want.tolerations) for taint in blocking):
        return False
    if any(labels.get(key) != value for key, value in want.selector.items()):
        return False
    return not want.terms or any(_meets(labels, term) for term in want.terms)


def _tolerates(toleration: Mapping[str, object], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect") not in {None, "", taint["effect"]}:
        return False
    if toleration.get("key") not in {None, "", taint["key"]}:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def _meets(labels: Mapping[str, str], term: Mapping[str, object]) -> bool:
    return all(_holds(labels, expression) for expression in _items(term.get("matchExpressions")))


def _holds(labels: Mapping[str, str], expression: Mapping[str, object]) -> bool:
    key, operator = str(expression["key"]), expression.get("operator")
    values = cast("Sequence[str]", expression.get("values") or ())
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    # Gt and Lt are not decided here: such a node counts, as it may.
    return (key in labels) if operator == "Exists" else (key not in labels) if operator == "DoesNotExist" else True
