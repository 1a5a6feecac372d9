"""GPU utilisation under the packing profile and under Kubernetes' default, on the same jobs.

The scheduler is the real one, on the embedded control plane; nodes are simulated and time is the list's, not the
clock's: the next arrival or end is taken, jobs that fit somewhere are made as pods in the order of their arrival, and
the scheduler alone says where each goes. Both profiles are in one scheduler process with the same list of jobs.
"""

from __future__ import annotations

import heapq
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from components.gpu.models import GpuModelName
from components.gpu.slices import TAINT_KEY, possible_resources
from components.scheduling.config import SchedulingConfig
from components.scheduling.plan import PACKING, SPREADING, scheduler_configuration
from labctl.control_plane import ControlPlane

from .measure import Measured
from .packing_jobs import HOUR, Job, Lab, Work, arrivals, lab

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labctl.control_plane import SimulatedNode
    from labctl.control_plane.client import ApiClient, JsonValue

__all__ = ["Outcome", "packing", "play"]

WARM_UP_DAYS = 1.0
"""Left out of every figure: the lab begins empty."""
WAIT_SECONDS = 30.0
"""For one pod to be placed."""
PODS = "/api/v1/namespaces/default/pods"
IMAGE = "registry.invalid/job@sha256:" + "0" * 64


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a list of jobs."""

    utilisation: float
    """GPU time used, as a part of what there was."""
    given_up: Mapping[str, int]
    """Jobs that were never placed, by kind."""
    arrived: Mapping[str, int]
    wait_hours: float
    """Mean wait of the GPU jobs, of those that gave up too."""
    milliseconds: float
    """Median from a pod's making until it has a node."""


@dataclass
class _Room:
    """What is free on each node, as the scheduler's own filter sees it."""

    free: dict[str, dict[str, float]]
    tainted: frozenset[str]

    @classmethod
    def of(cls, nodes: Sequence[SimulatedNode]) -> _Room:
        return cls(
            free={node.name: {key: _amount(text) for key, text in node.capacity.items()} for node in nodes},
            tainted=frozenset(node.name for node in nodes if node.taints),
        )

    def fits(self, job: Job) -> bool:
        wanted = _wanted(job)
        return any(
            all(free.get(key, 0) >= amount for key, amount in wanted.items())
            for name, free in self.free.items()
            if job.kind.resource is not None or name not in self.tainted
        )

    def take(self, node: str, job: Job, sign: int = -1) -> None:
        for key, amount in _wanted(job).items():
            self.free[node][key] += sign * amount


@dataclass
class _Play:
    """One list of jobs under one scheduler."""

    client: ApiClient
    scheduler: str
    room: _Room
    patience: float
    """Minutes a job waits before whoever sent it gives up."""
    running: list[tuple[float, str, Job, str]] = field(default_factory=list["tuple[float, str, Job, str]"])
    waiting: list[Job] = field(default_factory=list["Job"])
    busy: list[tuple[float, float, float]] = field(default_factory=list["tuple[float, float, float]"])
    """From, until, GPUs."""
    waits: list[float] = field(default_factory=list["float"])
    given_up: Counter[str] = field(default_factory=Counter[str])
    took: list[float] = field(default_factory=list["float"])

    def end_one(self) -> float:
        """End the job that ends next; return when."""
        now, _, job, node = heapq.heappop(self.running)
        self.client.request("DELETE", f"{PODS}/{job.name}?gracePeriodSeconds=0")
        self.room.take(node, job, +1)
        return now

    def start_all(self, now: float) -> None:
        """Start every waiting job that fits somewhere, first come, first served; those whose time is up leave."""
        still: list[Job] = []
        for job in self.waiting:
            if now - job.arrives > self.patience:
                self.given_up[job.kind.name] += 1
                self._waited(job, self.patience)
            elif self.room.fits(job):
                node = self._place(job)
                self.room.take(node, job)
                heapq.heappush(self.running, (now + job.lasts, job.name, job, node))
                self.busy.append((now, now + job.lasts, job.kind.gpus))
                self._waited(job, now - job.arrives)
            else:
                still.append(job)
        self.waiting = still

    def _waited(self, job: Job, minutes: float) -> None:
        if job.kind.resource is not None:
            self.waits.append(minutes)

    def _place(self, job: Job) -> str:
        began = time.perf_counter()
        self.client.request("POST", PODS, _pod(job, self.scheduler))
        while time.perf_counter() - began < WAIT_SECONDS:
            node = json.loads(self.client.request("GET", f"{PODS}/{job.name}"))["spec"].get("nodeName")
            if node:
                self.took.append(1000 * (time.perf_counter() - began))
                return str(node)
            time.sleep(0.002)
        message = f"{job.name} fits somewhere and was placed nowhere in {WAIT_SECONDS:.0f} s"
        raise TimeoutError(message)


def play(client: ApiClient, laboratory: Lab, work: Work, scheduler: str) -> Outcome:
    """Return what becomes of the work's jobs under one scheduler; no pod is left.

    Raises
    ------
    TimeoutError
        If the scheduler leaves a pod waiting that fits somewhere.
    """
    jobs = arrivals(laboratory, work)
    room = _Room.of(laboratory.nodes)
    running = _Play(client=client, scheduler=scheduler, room=room, patience=work.patience_hours * HOUR)
    begin, end = WARM_UP_DAYS * 24 * HOUR, work.days * 24 * HOUR
    for job in jobs:
        while running.running and running.running[0][0] <= job.arrives:
            running.start_all(running.end_one())
        running.waiting.append(job)
        running.start_all(job.arrives)
    while running.running and running.running[0][0] <= end:
        running.start_all(running.end_one())
    client.request("DELETE", f"{PODS}?gracePeriodSeconds=0")
    used = sum(max(0.0, min(until, end) - max(since, begin)) * gpus for since, until, gpus in running.busy)
    return Outcome(
        utilisation=used / ((end - begin) * laboratory.gpus),
        given_up=dict(running.given_up),
        arrived=Counter(job.kind.name for job in jobs),
        wait_hours=sum(running.waits) / max(1, len(running.waits)) / HOUR,
        milliseconds=sorted(running.took)[len(running.took) // 2],
    )


def _wanted(job: Job) -> Mapping[str, float]:
    kind = job.kind
    extended = {kind.resource: float(kind.count)} if kind.resource is not None else {}
    return {"cpu": kind.cpus, "memory": kind.memory_gibibytes * 2**30, "pods": 1, **extended}


def _amount(text: str) -> float:
    return float(text.removesuffix("Gi")) * 2**30 if text.endswith("Gi") else float(text)


def _pod(job: Job, scheduler: str) -> dict[str, JsonValue]:
    kind = job.kind
    requests: dict[str, JsonValue] = {"cpu": str(kind.cpus), "memory": f"{kind.memory_gibibytes}Gi"}
    extended: dict[str, JsonValue] = {kind.resource: str(kind.count)} if kind.resource is not None else {}
    toleration: JsonValue = {"key": TAINT_KEY, "operator": "Exists", "effect": "NoSchedule"}
    return {
        "metadata": {"name": job.name},
        "spec": {
            "schedulerName": scheduler,
            "automountServiceAccountToken": False,
            "tolerations": [toleration] if extended else [],
            "containers": [
                {"name": "job", "image": IMAGE, "resources": {"requests": {**requests, **extended}, "limits": extended}}
            ],
        },
    }


_SCARCE = Work(gpu_load=1.1, cpu_load=0.85, patience_hours=0.5)
SCENARIOS: Mapping[str, tuple[Work, bool, str]] = {
    "scarce, nobody waits": (_SCARCE, False, ">= 1.3x"),
    "scarce, nobody waits, GPU nodes tainted": (_SCARCE, True, ""),
    "scarce, jobs wait a day": (replace(_SCARCE, patience_hours=24), False, ""),
    "enough, nobody waits": (replace(_SCARCE, gpu_load=0.5), False, ""),
}
"""What is asked for, whether GPU nodes have their taint, and the bar. Nobody waits: half an hour."""


def packing() -> Iterator[Measured]:
    """Yield the GPU utilisation under both profiles and their ratio, for each scenario."""
    configuration = scheduler_configuration(SchedulingConfig(), possible_resources([GpuModelName.A100_80_SXM]))
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "packing"
        plane = ControlPlane(
            directory / "control-plane",
            kubeconfig=directory / "kubeconfig",
            pod_network="10.244.0.0/16",
            service_network="10.96.0.0/16",
            scheduler=configuration,
        )
        try:
            plane.start()
            for name, (work, is_tainted, bar) in SCENARIOS.items():
                yield from _measured(plane, name, lab(is_tainted=is_tainted), work, bar)
        finally:
            plane.wipe()


def _measured(plane: ControlPlane, name: str, laboratory: Lab, work: Work, bar: str) -> Iterator[Measured]:
    # Taints are set when a node is made.
    plane.reconcile_nodes([])
    plane.reconcile_nodes(laboratory.nodes)
    with plane.client() as client:
        found = {scheduler: play(client, laboratory, work, scheduler) for scheduler in (SPREADING, PACKING)}
    for scheduler, outcome in found.items():
        lost = ", ".join(f"{count} of {outcome.arrived[kind]} {kind}" for kind, count in outcome.given_up.items())
        yield Measured(
            f"{name}: {scheduler}",
            f"{outcome.utilisation:.1%} of GPU time used, {outcome.wait_hours:.2f} h mean wait, "
            f"{outcome.milliseconds:.0f} ms to place a pod; given up: {lost or 'none'}",
        )
    ratio = found[PACKING].utilisation / found[SPREADING].utilisation
    yield Measured(f"{name}: packing against default", f"{ratio:.2f}x", bar)
