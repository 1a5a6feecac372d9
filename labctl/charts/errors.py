"""Failures of the checks against charts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import VerbError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MalformedFactsError", "NoClusterError", "ReleasesRefusedError", "UnknownChartError", "UnknownKindError"]


class MalformedFactsError(ValueError):
    """A file of facts that is not what its folder's README says."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")


class NoClusterError(RuntimeError):
    """A check of charts that would have gone to a cluster: a mistake in the check."""

    def __init__(self) -> None:
        super().__init__("charts are checked without a cluster")


class ReleasesRefusedError(VerbError):
    """Releases that their own charts do not take as they are; what is wrong with each was shown already."""

    def __init__(self, *, refused: int, checked: int) -> None:
        super().__init__(f"{refused} of {checked} releases would not be installed")


class UnknownChartError(LookupError):
    """A chart of which there are no facts."""

    def __init__(self, chart: str) -> None:
        super().__init__(f"there are no facts of chart {chart}")


class UnknownKindError(LookupError):
    """A kind of which there are no facts."""

    def __init__(self, api_version: str, kind: str) -> None:
        super().__init__(f"there are no facts of kind {kind} in {api_version}")
