"""The engine on many small objects: previews offline, creations on the embedded control plane."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.core.v1 import ConfigMap

from labctl.control_plane import ControlPlane
from labctl.engine.destruction import Gate
from labctl.engine.operations import deploy, destroy
from labctl.engine.providers.kubernetes import KubernetesFactory
from labctl.engine.providers.kubernetes.client import APPLY_PATCH, Client, Method, Request
from labctl.engine.providers.kubernetes.kubeconfig import Kubeconfig, Overrides
from labctl.engine.registry import ProviderRegistry
from labctl.engine.run import Run
from labctl.engine.state import FileBackend, UpdateKind, open_stack
from labctl.graph.program import Program

from .measure import Measured, peak_mebibytes, stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["create", "preview"]

SIZES = (500, 5000)
"""Numbers of objects: the first is what the official engine was measured with."""
OFFICIAL_PER_SECOND = 22.0
"""Objects the official engine created per second: 503 in 22.9 s on such a machine."""
BARE_CONNECTIONS = 4
"""Connections of the bare server-side apply that the engine is compared with."""


def program_of(count: int, kubeconfig: str) -> Program:
    """Return a program of `count` ConfigMaps of one small entry."""

    def entry() -> None:
        provider = Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="bench", enable_server_side_apply=True)
        options = pulumi.ResourceOptions(provider=provider)
        for index in range(count):
            name = f"small-{index:05d}"
            ConfigMap(name, metadata={"name": name, "namespace": "default"}, data={"index": str(index)}, opts=options)

    return Program(project="bench", stack="dev", entry=entry)


def registry() -> ProviderRegistry:
    """Return the kubernetes provider alone."""
    return ProviderRegistry({"kubernetes": KubernetesFactory()})


def preview() -> Iterator[Measured]:
    """Preview without a cluster."""
    for count in SIZES:
        with stopwatch() as watch:
            report = deploy(program_of(count, "nowhere"), Run(providers=registry()))
        assert not report.failures
        yield Measured(f"{count} objects", f"{watch.seconds * 1000 / count:.2f} ms each", "<= 2 ms each")
    yield Measured("peak memory", f"{peak_mebibytes():.0f} MiB")


def create() -> Iterator[Measured]:
    """Create, create again (nothing to do) and destroy, beside bare server-side apply in the same run."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        plane = ControlPlane(
            Path(folder) / "control-plane",
            kubeconfig=Path(folder) / "kubeconfig",
            pod_network="10.244.0.0/16",
            service_network="10.96.0.0/16",
        )
        plane.start()
        try:
            yield from _create(Path(folder), (Path(folder) / "kubeconfig").read_text(encoding="utf-8"))
        finally:
            plane.stop()


def _create(folder: Path, kubeconfig: str) -> Iterator[Measured]:
    for count in SIZES:
        bare = count / _bare_seconds(count, folder / "kubeconfig")
        ours = count / _up(folder, program_of(count, kubeconfig))
        yield Measured(f"{count} objects, bare apply", f"{bare:.0f}/s")
        yield Measured(f"{count} objects", f"{ours:.0f}/s", f">= {OFFICIAL_PER_SECOND * 10:.0f}/s")
        yield Measured(f"{count} objects, of bare apply", f"{ours / bare:.2f}", ">= 0.33")
        again = _up(folder, program_of(count, kubeconfig))
        yield Measured(f"{count} objects, nothing to do", f"{again * 1000 / count:.2f} ms each")
        gone = _destroy(folder)
        yield Measured(f"{count} objects, destroyed", f"{count / gone:.0f}/s")
    yield Measured("peak memory", f"{peak_mebibytes():.0f} MiB")


def _up(folder: Path, program: Program) -> float:
    stack = open_stack(FileBackend(f"file://{folder}").files("bench", "dev"), UpdateKind.UPDATE, passphrases=())
    with stopwatch() as watch:
        report = deploy(program, Run(providers=registry(), old=stack.snapshot, record=stack, preview=False))
        stack.close(succeeded=not report.failures, changes=report.summary())
    assert not report.failures, report.failures[:3]
    return watch.seconds


def _destroy(folder: Path) -> float:
    stack = open_stack(FileBackend(f"file://{folder}").files("bench", "dev"), UpdateKind.DESTROY, passphrases=())
    with stopwatch() as watch:
        report = destroy(Run(providers=registry(), old=stack.snapshot, record=stack, preview=False, gate=Gate(("*",))))
        stack.close(succeeded=not report.failures, changes=report.summary())
    assert not report.failures, report.failures[:3]
    return watch.seconds


def _bare_seconds(count: int, kubeconfig: Path) -> float:
    """Return what `count` bare server-side applies over four connections take, in one Python process like ours."""
    client = Client(Kubeconfig.load(str(kubeconfig), Path()).access(Overrides("", "")))
    queues = [range(start, count, BARE_CONNECTIONS) for start in range(BARE_CONNECTIONS)]

    def work(indices: range) -> None:
        for index in indices:
            name = f"bare-{count}-{index:05d}"
            client.send(
                Request(
                    method=Method.PATCH,
                    path=f"/api/v1/namespaces/default/configmaps/{name}",
                    query={"fieldManager": "bench", "fieldValidation": "Strict"},
                    body={
                        "apiVersion": "v1",
                        "kind": "ConfigMap",
                        "metadata": {"name": name, "namespace": "default"},
                        "data": {"index": str(index)},
                    },
                    content_type=APPLY_PATCH,
                )
            )

    with stopwatch() as watch, ThreadPoolExecutor(BARE_CONNECTIONS) as pool:
        list(pool.map(work, queues))
    return watch.seconds
