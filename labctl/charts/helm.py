"""Charts by helm itself: fetched through the engine's own cache, rendered without a cluster."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Final, cast

from labctl.engine.providers.kubernetes.releases import HelmCommand
from labctl.engine.providers.kubernetes.releases.charts import ChartReference, ChartSources
from labctl.engine.providers.kubernetes.releases.command import Credentials
from labctl.engine.providers.kubernetes.releases.exceptions import ChartUnreachableError, HelmFailedError
from labctl.graph.values import UNKNOWN, Secret, Value

from .errors import NoClusterError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from labctl.engine.providers.kubernetes.kubeconfig import Access

    from .graphs import RecordedRelease

__all__ = ["HelmCharts"]

PLACEHOLDER: Final = "known-once-applied"
"""Stands in values for what a recorded graph does not know; only ever rendered, never installed."""
RENDER_SECONDS: Final = 120
"""The largest charts of CRDs render in a few seconds; this only ends a helm that hangs."""


class HelmCharts:
    """Helm, for charts and no cluster.

    Parameters
    ----------
    helm
        Returns the executable; called when first needed.
    project
        The project's folder: paths of local charts mean this.
    work
        Folder for helm's home and fetched charts.
    kubernetes
        Version of Kubernetes that charts are told.
    """

    def __init__(self, *, helm: Callable[[], Path], project: Path, work: Path, kubernetes: str) -> None:
        self._command = HelmCommand(helm=helm, access=_no_cluster, work=work)
        self._sources = ChartSources(project=project)
        self._project = project
        self._work = work
        self._kubernetes = kubernetes

    def fetch(self, release: RecordedRelease) -> Path:
        """Return the packaged chart, or its folder; an archive fetched once is kept.

        Raises
        ------
        ChartUnreachableError
            Its place does not answer, or has no such chart.
        """
        reference = ChartReference.of(
            {
                "chart": release.reference.removeprefix("file://"),
                "version": release.version,
                "repositoryOpts": {"repo": release.repository} if release.repository else None,
            }
        )
        if reason := self._sources.why_unreachable(reference):
            raise ChartUnreachableError(reference.name, reference.source, reason)
        return self._command.fetch(reference, Credentials(), self._project)

    def render(self, release: RecordedRelease, archive: Path) -> str:
        """Return what the chart makes of the release's values, CRDs of templates and hooks included.

        Raises
        ------
        HelmFailedError
            With the end of what helm said.
        """
        arguments = ["template", release.name, str(archive), "--namespace", release.namespace]
        arguments += ["--kube-version", self._kubernetes, "--values", "-"]
        home = {"HOME": str(self._work), "PATH": os.environ.get("PATH", "")}
        try:
            finished = subprocess.run(  # noqa: S603 - the pinned helm, its arguments given one by one
                [str(self._command.executable()), *arguments],
                input=json.dumps(_known(cast("Value", dict(release.values)))),
                capture_output=True,
                text=True,
                check=False,
                env=home,
                timeout=RENDER_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            what = f"template {release.chart}"
            raise HelmFailedError(what=what, message=f"not done within {RENDER_SECONDS} s") from error
        if finished.returncode != 0:
            message = finished.stderr.strip().removeprefix("Error: ")
            raise HelmFailedError(what=f"template {release.chart}", message=message or "no reason given")
        return finished.stdout


def _known(value: Value) -> Value:
    """Return values with placeholders for what the graph does not know or does not show."""
    if value is UNKNOWN or isinstance(value, Secret):
        return PLACEHOLDER
    if isinstance(value, dict):
        return {key: _known(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_known(inner) for inner in value]
    return value


def _no_cluster() -> Access:
    raise NoClusterError
