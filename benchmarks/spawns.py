"""Many people start their servers in the same minute: KubeSpawner as it comes and ours, side by side."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .measure import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .measure import Measured

__all__ = ["spawns"]


def spawns() -> Iterator[Measured]:
    """Start everybody's server at once, by either spawner in turn."""
    sys.path[:0] = [str(ROOT / "tests")]
    from .spawns_measured import measured  # noqa: PLC0415 - it imports the bed, which is not on the path before

    yield from measured()
