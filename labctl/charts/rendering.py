"""Releases against their charts themselves: fetched, rendered with this program's values, weighed.

What this finds and facts cannot: a template that fails on our values, a chart that is not what its pin says, and a
release too large for Helm to store, which only shows when it is installed.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import tarfile
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from labctl.engine.providers.kubernetes.releases.exceptions import ChartUnreachableError, HelmFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from .graphs import RecordedRelease

__all__ = ["LARGEST_RELEASE_BYTES", "ChartCheck", "ChartTool", "Outcome", "check_release", "release_bytes"]

LARGEST_RELEASE_BYTES: Final = 2**20
"""Bytes of data a Secret may hold (Kubernetes, ``MaxSecretSize``); Helm stores a release in one Secret."""


class Outcome(StrEnum):
    """What became of one release."""

    RENDERED = "rendered"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    """Helm or the chart does not take the values."""
    TOO_LARGE = "too large"
    """It renders, and could not be stored."""
    ALTERED = "altered"
    """The packaged chart is not the one that was pinned."""


@dataclass(frozen=True, kw_only=True)
class ChartCheck:
    """What one release's chart says to its values."""

    release: str
    chart: str
    version: str
    outcome: Outcome
    detail: str = ""
    """Why, where it did not render."""
    objects: int = 0
    """Objects rendered."""
    stored_bytes: int = 0
    """About how large the release's Secret would be."""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong; a chart that nobody reached says nothing."""
        return self.outcome in {Outcome.RENDERED, Outcome.UNREACHABLE}


class ChartTool(Protocol):
    """What this needs of helm."""

    def fetch(self, release: RecordedRelease) -> Path:
        """Return the packaged chart. Raises `ChartUnreachableError`."""
        ...

    def render(self, release: RecordedRelease, archive: Path) -> str:
        """Return the release's objects as YAML documents. Raises `HelmFailedError`."""
        ...


def check_release(release: RecordedRelease, tool: ChartTool, digest: str | None = None) -> ChartCheck:
    """Return what the release's own chart says to its values.

    Parameters
    ----------
    release
        The release, as the program asks for it.
    tool
        Helm.
    digest
        ``sha256:...`` of the packaged chart, where it is pinned.
    """

    def result(outcome: Outcome, detail: str = "", objects: int = 0, stored_bytes: int = 0) -> ChartCheck:
        return ChartCheck(
            release=release.name,
            chart=release.chart,
            version=release.version,
            outcome=outcome,
            detail=detail,
            objects=objects,
            stored_bytes=stored_bytes,
        )

    try:
        archive = tool.fetch(release)
    except ChartUnreachableError as error:
        return result(Outcome.UNREACHABLE, f"{release.repository or release.reference}: {error.reason}")
    found = f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}" if archive.is_file() else None
    if digest is not None and found != digest:
        return result(Outcome.ALTERED, f"its digest is {found}, and {digest} is pinned")
    try:
        manifest = tool.render(release, archive)
    except HelmFailedError as error:
        return result(Outcome.REFUSED, str(error))
    objects = sum(1 for document in manifest.split("\n---") if "\nkind:" in f"\n{document.lstrip()}")
    stored = release_bytes(archive, manifest, release.values)
    if stored > LARGEST_RELEASE_BYTES:
        detail = f"its Secret would take about {stored:,} bytes, and at most {LARGEST_RELEASE_BYTES:,} are stored"
        return result(Outcome.TOO_LARGE, detail, objects, stored)
    return result(Outcome.RENDERED, "", objects, stored)


def release_bytes(archive: Path, manifest: str, values: Mapping[str, object]) -> int:
    """Return about how many bytes Helm's Secret of a release takes.

    Helm stores the chart's own files (base64 within JSON; its subcharts' are left out), the values and the rendered
    manifest, compressed and in base64 again (helm 3 and 4, ``pkg/storage/driver``, ``encodeRelease``).

    Parameters
    ----------
    archive
        The packaged chart, or its folder.
    manifest
        What it renders.
    values
        The release's values.
    """
    files = {name: base64.b64encode(content).decode() for name, content in _own_files(archive)}
    stored = json.dumps({"chart": files, "config": values, "manifest": manifest}, default=str)
    return len(base64.b64encode(gzip.compress(stored.encode(), compresslevel=9)))


def _own_files(archive: Path) -> Iterable[tuple[str, bytes]]:
    if archive.is_dir():
        for path in sorted(archive.rglob("*")):
            name = path.relative_to(archive).as_posix()
            if path.is_file() and not name.startswith("charts/"):
                yield name, path.read_bytes()
        return
    with tarfile.open(archive) as packed:
        for member in packed:
            _, _, name = member.name.partition("/")
            content = packed.extractfile(member)
            if content is not None and not name.startswith("charts/"):
                yield name, content.read()
