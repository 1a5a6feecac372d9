"""What can go wrong with a Helm release, one class per failure; every message says what to do."""

from __future__ import annotations

from labctl.engine.providers.kubernetes.exceptions import KubernetesError

__all__ = [
    "ChartUnreachableError",
    "FloatingVersionError",
    "HelmFailedError",
    "HelmUnavailableError",
    "ReleaseBusyError",
    "ReleaseExistsError",
    "UnknownChartSourceError",
    "UnreadableChartError",
    "UnsupportedReleaseInputError",
]


class UnsupportedReleaseInputError(KubernetesError):
    """The program sets an input that this engine does not carry out."""

    def __init__(self, logical_name: str, name: str, remedy: str) -> None:
        super().__init__(f"Release {logical_name!r}: {name} is not supported by this engine: {remedy}")


class FloatingVersionError(KubernetesError):
    """A chart from a repository without an exact version."""

    def __init__(self, logical_name: str, chart: str, version: str) -> None:
        given = f"version {version!r} is a range" if version else "it has no version"
        super().__init__(
            f"Release {logical_name!r} of chart {chart}: {given}, and would install something else another day: "
            "write the exact version"
        )


class UnknownChartSourceError(KubernetesError):
    """A chart by the name of a repository that only one person's Helm configuration knows."""

    def __init__(self, logical_name: str, chart: str) -> None:
        super().__init__(
            f"Release {logical_name!r}: chart {chart} is no folder or archive here; "
            "give its repository by repository_opts.repo, or an oci:// reference"
        )


class UnreadableChartError(KubernetesError):
    """A folder or archive that is no chart."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"chart {path}: {what}; a chart is a folder or .tgz with a Chart.yaml that names its version")


class ChartUnreachableError(KubernetesError):
    """The place a chart comes from does not answer, or does not have it."""

    def __init__(self, chart: str, source: str, reason: str) -> None:
        super().__init__(
            f"chart {chart} cannot be fetched from {source} ({reason}): "
            "open the way there (HTTPS_PROXY is respected), or set charts.mirror to a registry or folder that has it"
        )
        self.reason = reason


class HelmUnavailableError(KubernetesError):
    """No helm executable."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"helm cannot be obtained ({reason}): put the pinned version on PATH, or open the way to it")
        self.reason = reason


class HelmFailedError(KubernetesError):
    """Helm ran and failed."""

    def __init__(self, *, what: str, message: str) -> None:
        super().__init__(f"helm {what} failed: {message}")
        self.reason = message


class ReleaseExistsError(KubernetesError):
    """A release of that name is there already and is not this stack's."""

    def __init__(self, release_id: str, chart: str, revision: int) -> None:
        super().__init__(
            f"Helm release {release_id} exists in the cluster (chart {chart}, revision {revision}) and is not in this "
            "stack's state. It was left as it is. Choose another release name, or uninstall the existing one"
        )


class ReleaseBusyError(KubernetesError):
    """Somebody else's helm is working on the release."""

    def __init__(self, release_id: str, status: str) -> None:
        super().__init__(
            f"Helm release {release_id} is {status}: another helm is working on it, or was cut off. Wait for it; "
            "if there is none, delete the Secret of that revision (label owner=helm) and run again"
        )
