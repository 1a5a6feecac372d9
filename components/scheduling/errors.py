"""Failures of the scheduling section."""

from __future__ import annotations

from components.errors import ConfigurationError

__all__ = ["ForeignSchedulersError", "PlacementAndUseError"]


class PlacementAndUseError(ConfigurationError):
    """A section that both configures schedulers and names another's."""

    def __init__(self, placements: tuple[str, ...]) -> None:
        super().__init__(
            what=f"use names schedulers that are there, but {' and '.join(placements)} would make some",
            remedy="keep one of the two",
        )


class ForeignSchedulersError(LookupError):
    """The configuration of a scheduler was asked for that is not this stack's: a fault of the caller."""

    def __init__(self) -> None:
        super().__init__("scheduling.use names schedulers of another's, which this stack does not configure")
