"""Packaged charts of a bundle, and the images that they name when they are rendered with the stack's own values."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import yaml

from labctl.control_plane.errors import ControlPlaneError
from labctl.engine.providers.kubernetes.exceptions import KubernetesError
from labctl.engine.providers.kubernetes.releases.exceptions import ChartUnreachableError

from .contents import images_in
from .errors import ChartFetchError, ChecksumError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from labctl.charts.graphs import RecordedRelease
    from labctl.charts.rendering import ChartTool

    from .contents import ListedChart

__all__ = ["ChartFolder"]


class ChartFolder:
    """The charts of a bundle.

    Parameters
    ----------
    folder
        Where the packaged charts are put, as ``<chart>-<version>.tgz``: what `charts.mirror: file://...` reads.
    releases
        The stack's, whose values the charts are rendered with.
    tool
        Helm.
    recorded
        Digests of charts that an earlier run fetched, by file name.
    """

    def __init__(
        self, folder: Path, *, releases: Sequence[RecordedRelease], tool: ChartTool, recorded: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._releases = releases
        self._tool = tool
        self._recorded = recorded

    def path(self, chart: ListedChart) -> Path:
        """Return where a chart is, or would be."""
        return self._folder / f"{chart.chart}-{chart.version}.tgz"

    def fetch(self, chart: ListedChart) -> str:
        """Return the digest of the packaged chart once it is in the folder.

        Raises
        ------
        ChartFetchError
            It cannot be had.
        ChecksumError
            It is not the one that is pinned; it was not kept.
        """
        path = self.path(chart)
        expected = chart.digest or self._recorded.get(path.name)
        if expected is not None and path.is_file() and _digest(path) == expected:
            return expected
        release = next(found for found in self._releases if found.chart == chart.chart)
        try:
            archive = self._tool.fetch(_from_publisher(release, chart))
        except ChartUnreachableError as error:
            raise ChartFetchError(chart.repository, reason=error.reason) from error
        except (KubernetesError, ControlPlaneError) as error:
            raise ChartFetchError(chart.repository, reason=str(error)) from error
        actual = _digest(archive)
        if chart.digest is not None and actual != chart.digest:
            raise ChecksumError(chart.repository, expected=chart.digest, actual=actual)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.new")
        shutil.copyfile(archive, draft)
        draft.replace(path)
        return actual

    def images(self, charts: Sequence[ListedChart], failed: Callable[[str, str], None]) -> Mapping[str, Iterable[str]]:
        """Return the images that the releases of `charts` name, each with the releases that do.

        Images that an operator only chooses at run time stand in no manifest: they have to be named.

        Parameters
        ----------
        charts
            Those that are in the folder.
        failed
            Told of a release that its chart does not render, and why.
        """
        found: dict[str, set[str]] = {}
        by_name = {chart.chart: chart for chart in charts}
        for release in self._releases:
            if release.chart not in by_name:
                continue
            try:
                text = self._tool.render(release, self.path(by_name[release.chart]))
                named = {image for document in yaml.load_all(text, Loader=_Loader) for image in images_in(document)}
            except (KubernetesError, ControlPlaneError, yaml.YAMLError) as error:
                failed(f"images of release {release.name}", str(error))
                continue
            for image in named:
                found.setdefault(image, set()).add(f"release: {release.name}")
        return found


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: a lone equals sign, which is in some CRDs, is a text."""


def _text(_loader: _Loader, node: yaml.ScalarNode) -> str:
    return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:value", _text)


def _from_publisher(release: RecordedRelease, chart: ListedChart) -> RecordedRelease:
    """Return the release with its chart from where it is published, whatever mirror the stack uses."""
    kind, _, place = chart.repository.partition("://")
    if kind == "oci":
        return replace(release, reference=f"{chart.repository.rstrip('/')}/{chart.chart}", repository=None)
    if kind == "file":
        return replace(release, reference=f"{place.rstrip('/')}/{chart.chart}-{chart.version}.tgz", repository=None)
    return replace(release, reference=chart.chart, repository=chart.repository)


def _digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
