"""Many people start their servers in the same minute: KubeSpawner as it comes, and ours, side by side.

A real JupyterHub with a real configurable-http-proxy against the embedded control plane, with the rights the chart
gives the hub. No notebook process runs: kwok makes pods Running, and one small process answers for all of them.
Everybody asks at the same moment and watches the progress of their own start, as a browser on the spawn page does;
homes exist. Both hubs are without JupyterHub's own limit on starts at once, which would answer 429; ours lets them take
turns.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

import aiohttp
from cluster_api import Api
from spawn_bed import HubBed, HubProgram, answering, give_claims, spawn_plane

from labctl.control_plane import ControlPlane, SimulatedNode

from .measure import Measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["measured"]

PEOPLE = int(os.environ.get("SPAWNS_PEOPLE", "760"))
"""Starts at once: ten times the peak of a university's hub of 40,000 users. Fewer for a quick look."""
ROUNDS = 2
"""Of each hub, one after the other in turn: a machine that is busy for a while is so for both."""
PODS_PER_NODE = 110
"""The kubelet's default."""
LONGEST_SECONDS = 600
"""For all of them; a start may take as long."""
MOST_RATIO = 0.8
"""Ours to plain KubeSpawner, 95th percentile, in the same run."""
PERCENT_95 = 18
"""Place of the 95th percentile among the nineteen of `quantiles`."""
CURL = """
import importlib.util
if importlib.util.find_spec("pycurl"):
    from tornado.httpclient import AsyncHTTPClient
    AsyncHTTPClient.configure("tornado.curl_httpclient.CurlAsyncHTTPClient")
"""
"""The chart's own choice of HTTP client."""
SPAWNER = """
from lab_hub.spawning import use_lab_spawner
c.KubeSpawner.pre_spawn_hook = use_lab_spawner(c, {"atOnce": 64, "resources": {}})
"""
"""What makes a hub ours, as far as starting goes."""
KINDS = {"plain": CURL, "ours": CURL + SPAWNER}


@dataclass
class Starts:
    """What became of everybody's start."""

    seconds: list[float] = field(default_factory=list[float])
    """From asking to being told that the server is ready."""
    problems: list[str] = field(default_factory=list[str])
    wall: float = 0.0
    hub_cpu: float = 0.0
    """Seconds of processor time of the hub's process."""
    hub_mebibytes: float = 0.0
    running: int = 0
    """Pods that were Running at the end."""

    def percentile_95(self) -> float:
        """Return how long 95 of 100 took at most, in seconds."""
        return quantiles(self.seconds, n=20)[PERCENT_95]


def measured() -> Iterator[Measured]:
    """Start everybody's server at once, by either spawner in turn."""
    with tempfile.TemporaryDirectory(prefix="bench-spawns-") as folder:
        rounds = list(_rounds(Path(folder)))
    for kind, starts in rounds:
        figure = (
            f"p50 {median(starts.seconds):.1f} s, p95 {starts.percentile_95():.1f} s, all {starts.wall:.1f} s; "
            f"{starts.running} Running, {len(starts.problems)} errors; "
            f"hub {starts.hub_cpu:.0f} s CPU, {starts.hub_mebibytes:.0f} MiB"
        )
        yield Measured(f"{PEOPLE} at once, {kind}", figure)
    best = {kind: min(starts.percentile_95() for found, starts in rounds if found == kind) for kind in KINDS}
    yield Measured("p95, ours to plain", f"{best['ours'] / best['plain']:.2f}", f"<= {MOST_RATIO}")


def _rounds(folder: Path) -> Iterator[tuple[str, Starts]]:
    with spawn_plane(folder, _nodes()) as plane:
        for kind in KINDS:
            give_claims(Api(plane), _namespace(plane, kind), [f"home-{user}" for user in _people()])
        with answering() as port:
            for number in range(ROUNDS):
                for kind, lines in KINDS.items():
                    program = HubProgram(namespace=kind, server_port=port, configuration=lines, users=_people())
                    yield kind, _round(plane, folder / f"{kind}-{number}", program)
                    _clear(Api(plane), kind)


def _round(plane: ControlPlane, folder: Path, program: HubProgram) -> Starts:
    with HubBed(plane, folder, program) as bed:
        starts = asyncio.run(_everybody(bed))
        starts.hub_cpu, starts.hub_mebibytes = _used(bed.pid)
        starts.running = sum(pod["status"]["phase"] == "Running" for pod in bed.pods())
        if keep := os.environ.get("SPAWNS_LOGS"):
            (Path(keep) / f"{folder.name}.log").write_text(bed.log, encoding="utf-8")
    return starts


def _people() -> Sequence[str]:
    return [f"person-{number:04d}" for number in range(PEOPLE)]


def _nodes() -> Sequence[SimulatedNode]:
    capacity = {"cpu": "64", "memory": "512Gi", "pods": str(PODS_PER_NODE)}
    count = -(-PEOPLE // PODS_PER_NODE) + 2
    return [SimulatedNode(name=f"node-{number}", address=None, capacity=capacity) for number in range(count)]


def _namespace(plane: ControlPlane, kind: str) -> str:
    Api(plane).namespace(kind)
    return kind


def _clear(api: Api, namespace: str) -> None:
    """Delete all pods and wait until they are gone."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    api.delete(pods)
    while api.get(pods)["items"]:
        time.sleep(0.5)


def _used(pid: int) -> tuple[float, float]:
    """Return processor seconds and resident MiB of a process (proc_pid_stat(5), proc_pid_statm(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def _everybody(bed: HubBed) -> Starts:
    starts = Starts()
    timeout = aiohttp.ClientTimeout(total=LONGEST_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"token {bed.token}"}
    users = f"http://127.0.0.1:{bed.port}/hub/api/users"
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, headers=headers) as session:
        tokens: list[str] = []
        for user in _people():
            async with session.post(f"{users}/{user}/tokens") as answer:
                tokens.append((await answer.json())["token"])
        began = time.perf_counter()
        # Each with a token of their own, checked as quickly as a browser's cookie; a service's takes 16,384 rounds.
        asked = zip(_people(), tokens, strict=True)
        await asyncio.gather(*(_one(session, f"{users}/{user}/server", token, starts) for user, token in asked))
        starts.wall = time.perf_counter() - began
    return starts


async def _one(session: aiohttp.ClientSession, server: str, token: str, starts: Starts) -> None:
    began = time.perf_counter()
    headers = {"Authorization": f"token {token}"}
    try:
        async with session.post(server, headers=headers) as answer:
            if answer.status not in {201, 202}:
                starts.problems.append(f"{answer.status} {await answer.text()}")
                return
        async with session.get(f"{server}/progress", headers=headers) as answer:
            if answer.status != 200:  # noqa: PLR2004 - "OK"
                starts.problems.append(f"{answer.status} {await answer.text()}")
                return
            async for line in answer.content:
                if not line.startswith(b"data: "):
                    continue
                event = json.loads(line[6:])
                if event.get("failed"):
                    starts.problems.append(str(event["message"]))
                if event.get("ready"):
                    starts.seconds.append(time.perf_counter() - began)
                    return
    except (aiohttp.ClientError, TimeoutError) as problem:
        starts.problems.append(repr(problem))
