"""Third-party operators by their upstream charts: the one place where a Helm release is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_kubernetes.helm.v3 import Release, ReleaseArgs, RepositoryOptsArgs

from .quantities import Duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from .model import Value
    from .pins import ChartPin

__all__ = ["DEFAULT_TIMEOUT", "release"]

DEFAULT_TIMEOUT = Duration.parse("10m")
"""How long a release may take to become ready: an operator's large images (several GB for GPU drivers) take 5 to 10
minutes to pull, after Zero to JupyterHub's documentation."""
_KEPT_REVISIONS = 5
"""Revisions Helm keeps for a rollback; its default of 10 only fills etcd with Secrets."""


def release(  # noqa: PLR0913 - a release has these parts, each named at the call
    name: str,
    pin: ChartPin,
    *,
    release_name: pulumi.Input[str],
    namespace: pulumi.Input[str],
    values: Mapping[str, pulumi.Input[Value]],
    opts: pulumi.ResourceOptions,
    awaits: bool = True,
    timeout: Duration = DEFAULT_TIMEOUT,
) -> Release:
    """Return the release of a pinned chart; once it exists its workloads are ready, unless `awaits` is false.

    Parameters
    ----------
    name
        Pulumi's name of the resource.
    pin
        The chart, its exact version and where it comes from (a mirror already put in place).
    release_name
        Helm's name of the release: explicit, so that no engine invents one.
    namespace
        Namespace of the release; it has to exist.
    values
        The chart's values. No secrets: they would seal the whole of it, and a chart reads a Secret by name.
    opts
        ``ResourceOptions(parent=self)`` of the component, with its ``depends_on``.
    awaits
        False for a chart whose pods can only run on hardware that may not be there yet (GPU operands).
    timeout
        How long its workloads may take to become ready.
    """
    kind, _, place = pin.repository.partition("://")
    chart, repository = pin.chart, RepositoryOptsArgs(repo=pin.repository)
    if kind == "oci":
        chart, repository = f"{pin.repository.rstrip('/')}/{pin.chart}", None
    elif kind == "file":
        chart, repository = f"{place.rstrip('/')}/{pin.chart}-{pin.version}.tgz", None
    return Release(
        name,
        ReleaseArgs(
            name=release_name,
            namespace=namespace,
            chart=chart,
            version=pin.version,
            repository_opts=repository,
            values=values,
            create_namespace=False,
            max_history=_KEPT_REVISIONS,
            skip_await=not awaits,
            timeout=timeout.seconds,
        ),
        opts=opts,
    )
