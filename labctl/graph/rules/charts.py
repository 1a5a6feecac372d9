"""Pinned charts: the same version every time, from a place whose identity is checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from labctl.graph.values import Unknown

from .model import Finding, Rule, Severity
from .reading import at, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import RuledResource, Surroundings

__all__ = ["RULES"]

EXACT: Final = re.compile(r"v?\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")
"""One version (Semantic Versioning 2.0.0, with the ``v`` that many charts have): no range, no ``1.2``."""
SCHEMES: Final = ("https://", "oci://", "file://")
"""Where charts may come from: over TLS, or from a disk."""
FILE: Final = (".tgz", "/")
"""Ends of a chart's name that is a path: a packaged chart, or a folder."""


def _check(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield what of a release could be another chart tomorrow."""
    if not resource.is_release:
        return
    version = at(resource.inputs, "version")
    packaged = text(at(resource.inputs, "chart")).endswith(FILE)
    if not isinstance(version, Unknown) and not packaged and EXACT.fullmatch(text(version)) is None:
        yield Finding(
            path="version",
            what="the version is not one exact version" if version else "no version: whatever is newest is installed",
            remedy="give one version, as stacks/pins has it: 4.4.0",
        )
    if at(resource.inputs, "devel") is True:
        yield Finding(path="devel", what="development versions are let in", remedy="leave devel out")
    yield from _place(resource)


def _place(resource: RuledResource) -> Iterator[Finding]:
    """Yield what is wrong with where a chart comes from."""
    chart, repository = at(resource.inputs, "chart"), at(resource.inputs, "repositoryOpts", "repo")
    if isinstance(chart, Unknown) or isinstance(repository, Unknown):
        return
    name, place = text(chart), text(repository)
    if place and not place.startswith(SCHEMES):
        yield Finding(
            path="repositoryOpts.repo",
            what="the repository is not reached over TLS",
            remedy="use an https://, oci:// or file:// address",
        )
    elif "://" in name and not name.startswith(SCHEMES):
        yield Finding(
            path="chart", what="the chart is not fetched over TLS", remedy="use an https:// or oci:// address"
        )
    elif not place and "://" not in name and not name.endswith(FILE):
        yield Finding(
            path="chart",
            what="no repository: it would come from one that the machine happens to know by name",
            remedy="set repositoryOpts.repo, or name the chart as oci://...",
        )


RULES: Final = (
    Rule(
        name="chart-pinned",
        description="Every chart has one exact version and comes over https, oci or from a file.",
        severity=Severity.MANDATORY,
        check=_check,
    ),
)
