"""Bare hosts to a cluster on the tests' bed of real hosts, beside Ansible doing the same in the same run."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from .measure import ROOT, Measured

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["hosts"]


def hosts() -> Iterator[Measured]:
    """Measure everything there is to measure on three real hosts; needs root, since it boots them."""
    if os.geteuid() != 0:
        yield Measured("not measured", "booting hosts needs root")
        return
    sys.path[:0] = [str(ROOT / "tests" / "hosts"), str(ROOT / "tests")]
    from .hosts_measured import measured  # noqa: PLC0415 - it imports the bed, which is not on the path before

    yield from measured()
