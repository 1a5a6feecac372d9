"""Planning of a lab of a thousand GPUs: what is wrong with it, what the operator is told, what users are offered."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from components.gpu.checks import check
from components.gpu.config import GpuConfig
from components.gpu.geometry import layouts_of, plan_layout
from components.gpu.models import GpuModelName
from components.gpu.plan import plan
from components.gpu.slices import offered_slices

from .measure import Measured, stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["planning"]

GPUS_PER_HOST = 8
"""As in an HGX board."""
HOSTS = 125
"""Together with `GPUS_PER_HOST` a thousand GPUs."""
GROUPS = 25
"""Groups of five hosts, each cut in its own way."""
RUNS = 5


@dataclass(frozen=True)
class _Gpus:
    model: str
    count: int


def planning() -> Iterator[Measured]:
    """Check, plan and list the slices of a thousand H100s in groups that are all cut differently."""
    cold, warm = _seconds(is_cold=True), _seconds(is_cold=False)
    yield Measured("1000 GPUs, check + plan + slices, caches empty", f"{cold * 1000:.0f} ms", "< 1000 ms")
    yield Measured("1000 GPUs, check + plan + slices, again", f"{warm * 1000:.0f} ms")


def _seconds(*, is_cold: bool) -> float:
    taken: list[float] = []
    for _ in range(RUNS):
        if is_cold:
            plan_layout.cache_clear()
        gc.collect()
        with stopwatch() as watch:
            _once()
        taken.append(watch.seconds)
    return median(taken)


def _once() -> None:
    hosts = {f"gpu-{n:03}": _Gpus("H100-80GB-SXM", GPUS_PER_HOST) for n in range(HOSTS)}
    config = GpuConfig.model_validate({"groups": _groups(sorted(hosts))})
    assert not list(check(config, hosts))
    planned = plan(config, hosts)
    assert len(planned.nodes) == HOSTS
    assert sum(offered.total for offered in offered_slices(config, hosts)) >= HOSTS * GPUS_PER_HOST


def _groups(names: list[str]) -> dict[str, object]:
    """Return groups of which each has a list of eight layouts of its own."""
    layouts = [dict(layout) for layout in layouts_of(GpuModelName.H100_SXM) if layout]
    return {
        f"group-{number}": {
            "hosts": names[number::GROUPS],
            "slicing": {
                "kind": "mig",
                "layout": [layouts[(number * GPUS_PER_HOST + gpu) % len(layouts)] for gpu in range(GPUS_PER_HOST)],
            },
        }
        for number in range(GROUPS)
    }
