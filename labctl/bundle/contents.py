"""The list of everything a stack needs from outside: pure, from its configuration, its pins and its recorded graph."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from labctl.charts.graphs import recorded_releases

from .distributions import Distribution
from .errors import MalformedReferenceError
from .references import Reference, parse_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from components.pins import Architecture, Pins
    from labctl.graph.record import Graph


__all__ = [
    "Contents",
    "HostNeeds",
    "ListedChart",
    "ListedFile",
    "ListedImage",
    "ListedPackages",
    "contents_of",
    "images_in",
    "lock",
]

FORMAT: Final = 1
"""Version of the lock file's own shape."""
_LEAST_REFERENCE: Final = "/"
"""In every image reference that a manifest writes out; a value such as `image: notebook` is a name of another kind."""


@dataclass(frozen=True, kw_only=True, order=True)
class ListedFile:
    """One file that hosts download."""

    name: str
    version: str
    architecture: str
    url: str
    sha256: str


@dataclass(frozen=True, kw_only=True, order=True)
class ListedPackages:
    """Packages that hosts of one distribution install, their dependencies left to apt."""

    distribution: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, order=True)
class ListedImage:
    """One image, and who wants it."""

    reference: str
    """Registry, repository, tag, and digest where it is pinned."""
    wanted_by: tuple[str, ...]

    @property
    def parsed(self) -> Reference:
        """The reference in its parts."""
        return parse_reference(self.reference)


@dataclass(frozen=True, kw_only=True, order=True)
class ListedChart:
    """One packaged chart."""

    chart: str
    version: str
    repository: str
    digest: str | None


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Everything a stack needs from outside, each part sorted."""

    stack: str
    kubernetes: str
    architectures: tuple[str, ...]
    files: tuple[ListedFile, ...]
    packages: tuple[ListedPackages, ...]
    images: tuple[ListedImage, ...]
    charts: tuple[ListedChart, ...]

    def with_images(self, references: Mapping[str, Iterable[str]]) -> Contents:
        """Return the same list with more images, given with who wants them."""
        known = {image.parsed.key: set(image.wanted_by) for image in self.images}
        spelled = {image.parsed.key: image.reference for image in self.images}
        for text, wanted_by in references.items():
            reference = parse_reference(text)
            known.setdefault(reference.key, set()).update(wanted_by)
            if reference.digest is not None or reference.key not in spelled:
                spelled[reference.key] = str(reference)
        images = (ListedImage(reference=spelled[key], wanted_by=tuple(sorted(known[key]))) for key in known)
        return replace(self, images=tuple(sorted(images)))


@dataclass(frozen=True, kw_only=True)
class HostNeeds:
    """What the hosts of a stack are, and what its steps put on them."""

    packages: tuple[str, ...]
    """Names, their dependencies left out."""
    architectures: tuple[Architecture, ...]
    distributions: tuple[Distribution, ...]
    debian_packages: tuple[str, ...] = ()
    """Names that only Debian's hosts install, beside the others."""
    pre_pulled: tuple[str, ...] = ()
    """Pinned images, by name, that workers have beforehand."""


def contents_of(graph: Graph, pins: Pins, hosts: HostNeeds, *, bootstrapped: bool) -> Contents:
    """Return everything that the stack of `graph` needs from outside.

    Parameters
    ----------
    graph
        The stack, recorded: its releases say which charts, its objects and values which images.
    pins
        The environment's pins, not yet turned to a mirror.
    hosts
        What its hosts are.
    bootstrapped
        Whether the stack makes its cluster of them; one that adopts a cluster downloads nothing to hosts.

    Raises
    ------
    MissingPinError
        A chart or an image is not among the pins.
    """
    wanted: dict[str, set[str]] = {}
    if bootstrapped:
        for name, reference in pins.kubernetes_images.items():
            wanted.setdefault(str(parse_reference(reference)), set()).add(f"kubernetes: {name}")
        for name in hosts.pre_pulled:
            wanted.setdefault(str(pins.image(name)), set()).add(f"pre-pulled: {name}")
    for reference, where in _graph_images(graph, pins):
        wanted.setdefault(reference, set()).add(where)
    packages = (
        ListedPackages(distribution=found.value, names=names)
        for found in hosts.distributions
        if (names := _package_names(hosts, found))
    )
    listed = Contents(
        stack=graph.stack,
        kubernetes=pins.kubernetes,
        architectures=tuple(sorted(architecture.value for architecture in hosts.architectures)),
        files=tuple(sorted(_files(pins, hosts.architectures))) if bootstrapped else (),
        packages=tuple(sorted(packages)) if bootstrapped else (),
        images=(),
        charts=tuple(sorted(set(_charts(graph, pins)), key=lambda chart: (chart.chart, chart.version))),
    )
    return listed.with_images(wanted)


def _package_names(hosts: HostNeeds, distribution: Distribution) -> tuple[str, ...]:
    further = hosts.debian_packages if distribution is Distribution.BOOKWORM else ()
    return tuple(sorted({*hosts.packages, *further}))


def lock(contents: Contents, fetched: Mapping[str, object] | None = None) -> str:
    """Return the text of ``bundle.lock.json``: the same contents give the same text, byte by byte.

    Parameters
    ----------
    contents
        The list.
    fetched
        What names turned out to be: digests of tags, versions and checksums of packages, checksums of charts.
    """
    document: dict[str, object] = {"format": FORMAT, **asdict(contents)}
    if fetched is not None:
        document["fetched"] = fetched
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def images_in(value: object) -> Iterator[str]:
    """Yield every image that plain data names under a key ``image``: pod templates, and most custom resources."""
    if isinstance(value, dict):
        for key, inner in cast("Mapping[object, object]", value).items():
            if key == "image" and isinstance(inner, str):
                if _is_reference(inner):
                    yield inner
            else:
                yield from images_in(inner)
    elif isinstance(value, list | tuple):
        for inner in cast("Sequence[object]", value):
            yield from images_in(inner)


def _files(pins: Pins, architectures: Sequence[Architecture]) -> Iterator[ListedFile]:
    for name, pin in pins.host_files.items():
        for architecture in architectures:
            if architecture in pin.sha256:
                yield ListedFile(
                    name=name,
                    version=pin.version,
                    architecture=architecture.value,
                    url=pin.address(architecture),
                    sha256=pin.sha256[architecture],
                )


def _charts(graph: Graph, pins: Pins) -> Iterator[ListedChart]:
    by_name = {pin.chart: pin for pin in pins.charts.values()}
    for release in recorded_releases(graph):
        pin = by_name.get(release.chart) or pins.chart(release.chart)
        yield ListedChart(chart=pin.chart, version=pin.version, repository=pin.repository, digest=pin.digest)


def _graph_images(graph: Graph, pins: Pins) -> Iterator[tuple[str, str]]:
    """Yield images that the graph's objects name, and pinned ones whose digest stands anywhere in it."""
    pinned = {pin.image.digest: (name, str(pin.image)) for name, pin in pins.images.items()}
    for goal in graph.goals:
        for reference in images_in(goal.inputs):
            yield str(parse_reference(reference)), f"object: {goal.name}"
        text = json.dumps(goal.inputs, default=str)
        for digest, (name, reference) in pinned.items():
            if digest in text:
                yield reference, f"image: {name}"


def _is_reference(text: str) -> bool:
    if _LEAST_REFERENCE not in text:
        return False
    try:
        parse_reference(text)
    except MalformedReferenceError:
        return False
    return True
