"""The project's own stacks: the prod preview, a no-op of dev, and a lab of a thousand nodes."""

from __future__ import annotations

import copy
import json
import tempfile
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, cast

from labctl.control_plane import ControlPlane
from labctl.embedded import nodes_of
from labctl.engine.operations import deploy
from labctl.engine.run import Run
from labctl.engine.state import FileBackend, Snapshot, UpdateKind, open_stack
from labctl.lab import Lab, open_lab
from stacks.config import parse_cluster

from .measure import ROOT, Measured, stopwatch, wall_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.model import Value
    from labctl.graph.program import Program

__all__ = ["nothing_to_do", "prod_preview", "thousand_nodes"]

RUNS = 7
"""Runs of a whole process; their median is quoted."""
NODE_COUNTS = (10, 1000)
"""Nodes of the labs that are compared: the cost per resource should be the same."""


def prod_preview() -> Iterator[Measured]:
    """Preview the whole prod stack, process start and imports included."""
    seconds = wall_seconds([".venv/bin/labctl", "preview", "--stack", "prod"], RUNS)
    yield Measured("preview of prod, wall", f"{seconds:.2f} s", "<= 2 s")


def nothing_to_do() -> Iterator[Measured]:
    """Bring dev up twice: the second time there is nothing to do."""
    command = [".venv/bin/labctl", "up", "--stack", "dev", "--yes"]
    seconds = wall_seconds(command, 3)
    yield Measured("up of dev with nothing to do, wall", f"{seconds:.2f} s", "engine < 3 s")


def thousand_nodes() -> Iterator[Measured]:
    """Simulate labs of ten and of a thousand nodes and bring their program up on them."""
    for count in NODE_COUNTS:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            yield from _lab_of(count, Path(folder))


def _lab_of(count: int, folder: Path) -> Iterator[Measured]:
    lab = _enlarged(count, folder)
    plane = ControlPlane(
        folder / "control-plane",
        kubeconfig=folder / "kubeconfig",
        pod_network="10.128.0.0/12",
        service_network="10.96.0.0/16",
    )
    plane.start()
    try:
        nodes = nodes_of(lab)
        with stopwatch() as watch:
            plane.reconcile_nodes(nodes, ready_seconds=300)
        yield Measured(f"{count} nodes, simulated to Ready", f"{watch.seconds:.1f} s")
        files = FileBackend(f"file://{folder}").files("research-compute", "dev")
        with stopwatch() as watch:
            planned = deploy(lab.program(), Run(providers=lab.providers()))
        yield _per_resource(f"{count} nodes, preview", watch.seconds, len(planned.steps))
        stack = open_stack(files, UpdateKind.UPDATE, passphrases=lab.passphrases())
        with stopwatch() as watch:
            report = deploy(lab.program(), Run(providers=lab.providers(), record=stack, preview=False))
            merged: Snapshot = stack.close(succeeded=not report.failures, changes=report.summary())
        assert not report.failures, report.failures[:3]
        yield _per_resource(f"{count} nodes, up", watch.seconds, len(report.steps))
        with stopwatch() as watch:
            deploy(lab.program(), Run(providers=lab.providers(), old=merged))
        yield _per_resource(f"{count} nodes, nothing to do", watch.seconds, len(report.steps))
    finally:
        plane.stop()


def _per_resource(what: str, seconds: float, resources: int) -> Measured:
    return Measured(what, f"{seconds:.2f} s for {resources} resources, {seconds * 1000 / resources:.1f} ms each")


def _enlarged(count: int, folder: Path) -> Lab:
    """Return the dev lab with `count` GPU workers like its own, its networks wide enough for them."""
    lab = open_lab("dev", ROOT)
    program = lab.program()
    cluster = cast("dict[str, Value]", json.loads(program.config["research-compute:cluster"]))
    shape = copy.deepcopy(cluster)
    nodes = cast("dict[str, dict[str, dict[str, Value]]]", shape["nodes"])
    network = cast("dict[str, Value]", shape["network"])
    pattern = nodes["hosts"]["gpu-1"]
    network["hosts"], network["pods"] = "10.20.0.0/16", "10.128.0.0/12"
    first = int(ip_address("10.20.8.0"))
    names = [f"gpu-node-{index}" for index in range(count)]
    for index, name in enumerate(names):
        nodes["hosts"][name] = pattern | {"address": str(ip_address(first + index))}
    gpu = cast("dict[str, dict[str, dict[str, list[str]]]]", shape["gpu"])
    gpu["groups"]["sliced"]["hosts"] = ["gpu-1", *names]
    adopt = cast("dict[str, Value]", nodes["adopt"])
    adopt["kubeconfig"] = str(folder / "kubeconfig")
    return _Enlarged(
        root=lab.root,
        stack=lab.stack,
        file=lab.file,
        cluster=parse_cluster(shape, file="the enlarged lab"),
        environment=lab.environment,
        text=json.dumps(shape),
    )


@dataclass(frozen=True, kw_only=True)
class _Enlarged(Lab):
    """A lab whose cluster is not what its file says."""

    text: str

    def program(self) -> Program:
        """Return the program with the enlarged cluster."""
        program = super().program()
        return replace(program, config=dict(program.config) | {"research-compute:cluster": self.text})
