"""The capacity answer for a lab of two hundred nodes, by the real scheduler, beginning to end."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, cast

from labctl.capacity.answers import count_each, fill_up
from labctl.capacity.demand import even_demand
from labctl.capacity.question import Asked, answer, scheduler_told, setting_of
from labctl.capacity.simulator import running_scheduler
from labctl.control_plane.progress import silent
from labctl.lab import Lab, open_lab
from stacks.config import parse_cluster

from .measure import ROOT, Measured, peak_mebibytes, stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.model import Value

__all__ = ["capacity"]

WORKERS, GPU_NODES = 150, 49
"""With the control plane's host two hundred nodes, two GPUs in a quarter of them."""
MIXTURE = {"minimal": 40.0, "data-science": 50.0, "gpu-small": 5.0, "gpu-half": 1.0}
"""Shares of users with which CPUs and small slices run out at about the same time, after some 5,000 users."""


def capacity() -> Iterator[Measured]:
    """Ask about a lab of 200 nodes: all profiles, an even mixture and a layout; then its parts."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        lab = _large(Path(folder))
        demand = Path(folder) / "demand.yaml"
        demand.write_text(json.dumps({"shares": MIXTURE}), encoding="utf-8")
        yield Measured("load of the machine before", f"{os.getloadavg()[0]:.1f}")
        with stopwatch() as watch:
            found = answer(lab, Asked(demand=demand), silent)
        yield Measured(
            f"{found.nodes} nodes, counts and a mixture of {found.full.total} users", f"{watch.seconds:.1f} s", "< 60 s"
        )
        with stopwatch() as watch:
            found = answer(lab, Asked(demand=demand, layouts=True), silent)
        yield Measured(f"{found.nodes} nodes, with a search for layouts", f"{watch.seconds:.1f} s")
        yield from _parts(lab)
        yield Measured("peak memory of labctl", f"{peak_mebibytes():.0f} MiB")
        yield Measured("load of the machine after", f"{os.getloadavg()[0]:.1f}")


def _parts(lab: Lab) -> Iterator[Measured]:
    case = setting_of(lab, running=False).case
    with stopwatch() as watch, running_scheduler(lab.folder / "capacity", scheduler_told(lab), silent) as scheduler:
        with stopwatch() as inner:
            counts = count_each(scheduler, case, silent)
        yield Measured(f"counting {len(counts)} profiles", f"{inner.seconds:.1f} s")
        few = replace(even_demand(tuple(MIXTURE)), shares=MIXTURE)
        for by_scheduler in (500, 1500):
            with stopwatch() as inner:
                full = fill_up(scheduler, case, few, silent, by_scheduler=by_scheduler)
            figure = f"{inner.seconds:.1f} s, full with {full.total}"
            yield Measured(f"a mixture, {full.by_scheduler} users by the scheduler", figure)
        yield Measured("memory of the control plane", f"{scheduler.memory_bytes() / 2**20:.0f} MiB")
    yield Measured("parts, beginning to end", f"{watch.seconds:.1f} s")


def _large(folder: Path) -> Lab:
    """Return the dev lab with many nodes like its own."""
    lab = open_lab("dev", ROOT)
    cluster = cast("dict[str, Value]", json.loads(lab.program().config["research-compute:cluster"]))
    shape = copy.deepcopy(cluster)
    nodes = cast("dict[str, dict[str, dict[str, Value]]]", shape["nodes"])
    network = cast("dict[str, Value]", shape["network"])
    network["hosts"], network["pods"] = "10.20.0.0/16", "10.128.0.0/12"
    first = int(ip_address("10.20.8.0"))
    worker, gpu = nodes["hosts"]["worker-1"], nodes["hosts"]["gpu-1"]
    for name in ("worker-1", "worker-2", "gpu-2"):
        del nodes["hosts"][name]
    names = [f"gpu-{index}" for index in range(1, GPU_NODES + 1)]
    for index, name in enumerate([*(f"worker-{index}" for index in range(1, WORKERS + 1)), *names]):
        pattern = gpu if name in names else worker
        nodes["hosts"][name] = pattern | {"address": str(ip_address(first + index))}
    groups = cast("dict[str, dict[str, dict[str, Value]]]", shape["gpu"])["groups"]
    half = len(names) // 2
    groups["sliced"]["hosts"], groups["mixed"]["hosts"] = list(names[:half]), list(names[half:])
    return replace(lab, root=folder, cluster=parse_cluster(cast("Value", shape), file="the large lab"))
