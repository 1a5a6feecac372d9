"""One local hub: pod runner, proxy and hub as processes beside the embedded control plane, with data in one folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from labctl.control_plane.cache import exclusive_lock, tail_of
from labctl.control_plane.pods.runner import alive_file, delete_pods, end_pods
from labctl.control_plane.processes import ProcessTable, end_marked, memory_bytes
from labctl.control_plane.progress import Progress, heartbeat, silent

from .components import HUB, PROXY, RUNNER, HubComponent, runner_component
from .errors import HubFailedError
from .places import HubFolders, HubPort, address, keep_ports, read_ports
from .preparation import Preparation
from .programs import obtain_programs

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from labctl.control_plane import ControlPlane

    from .chart import HubRelease

__all__ = ["HubComponentStatus", "LocalHub"]

START_SECONDS = 120.0
"""For all to become well: 4 s on an idle machine, many more beside other work."""
POLL_SECONDS = 0.1
ANSWER_SECONDS = 2.0
"""For one answer on loopback; slower than this is not well."""
GRACE_SECONDS = 20.0
"""Between SIGTERM and SIGKILL. The hub ends its services first, and waits for them."""
ALIVE_SECONDS = 15.0
"""Since the pod runner last touched its file: longer than this is not well."""


@dataclass(frozen=True, kw_only=True)
class HubComponentStatus:
    """One process of a local hub, as it is now."""

    name: str
    pid: int | None
    """None: not running."""
    healthy: bool
    memory_bytes: int
    log: Path


class LocalHub:
    """A hub and its data; starting it twice is starting it once.

    Parameters
    ----------
    folder
        The stack's: ``.lab/<stack>``.
    plane
        Its embedded control plane; must run when the hub is started.
    progress
        Told of every step that takes time.
    runs_servers
        Whether users' servers are processes of this machine; else kwok plays them, with nothing behind.
    """

    components = (RUNNER, PROXY, HUB)

    def __init__(
        self, folder: Path, plane: ControlPlane, progress: Progress = silent, *, runs_servers: bool = True
    ) -> None:
        self._folders = HubFolders(folder.absolute() / "hub")
        self._plane = plane
        self._runs_servers = runs_servers
        self._progress = progress
        directory = self._folders.directory
        self._table = ProcessTable(directory=directory, records=self._folders.records, logs=self._folders.logs)
        self._mark = f"{directory}#"

    @property
    def exists(self) -> bool:
        """Whether it was ever started, and not wiped since."""
        return self._folders.directory.exists()

    @property
    def url(self) -> str | None:
        """Where browsers find it; None before the first start."""
        ports = read_ports(self._folders.ports)
        return address(ports[HubPort.PUBLIC]) if HubPort.PUBLIC in ports else None

    def start(self, release: HubRelease) -> str:
        """Return its address, with every process running, well and as the release says.

        A changed release restarts the hub alone; users' servers go on, and the hub finds them again.

        Raises
        ------
        LocalHubError, ControlPlaneError
            Each names what, where and what to do.
        """
        programs = obtain_programs(self._progress)
        self._folders.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock("starting"):
            ports = keep_ports(self._folders.ports, self._ports_in_use())
            with self._plane.client() as client:
                prepared = Preparation(self._folders, self._plane, client, programs)
                specs = prepared.hub(release, ports, self._mark, runs_servers=self._runs_servers)
            self._bring_up(specs)
        return address(ports[HubPort.PUBLIC])

    def stop(self, *, keep_pods: bool = False) -> tuple[str, ...]:
        """Return with none of its processes running, and the names of those that were; its data stays.

        Parameters
        ----------
        keep_pods
            Leave the runner and users' servers running: what deletes the pods needs it.
        """
        if not self.exists:
            return ()
        with self._lock("stopping"):
            names = (HUB, PROXY) if keep_pods else (HUB, PROXY, RUNNER)
            stopped = self._table.end(names, grace_seconds=GRACE_SECONDS, progress=self._progress)
            end_marked(self._mark)
            if not keep_pods:
                end_pods(self._folders.pods)
        return tuple("pod-runner" if name == RUNNER else name for name in stopped)

    def end_servers(self) -> None:
        """Return with no user's server in the cluster, nobody to start another, and the pod runner running.

        Before the lab is destroyed: a claim that a pod uses is not deleted, and nobody else deletes these pods.
        """
        self.stop(keep_pods=True)
        if not self._folders.runner.exists():
            return
        programs = obtain_programs(self._progress)
        with self._lock("starting"), self._plane.client() as client:
            namespace = Preparation(self._folders, self._plane, client, programs).runner()
            self._bring_up({RUNNER: runner_component(self._folders)})
            with heartbeat(self._progress, "ending users' servers"):
                delete_pods(client, namespace)

    def wipe(self) -> None:
        """Return with no process and no data of it left: no user, no home."""
        self.stop()
        for folder in (self._folders.directory, self._folders.pods):
            if folder.exists():
                shutil.rmtree(folder)
        self._folders.lock.unlink(missing_ok=True)

    def status(self) -> tuple[HubComponentStatus, ...]:
        """Return what runs and how well, started or not."""
        ports = read_ports(self._folders.ports)
        found: list[HubComponentStatus] = []
        for name in self.components:
            record = self._table.find(name, silent) if self.exists else None
            found.append(
                HubComponentStatus(
                    name="pod-runner" if name == RUNNER else name,
                    pid=record.pid if record else None,
                    healthy=record is not None and self._is_well(name, ports),
                    memory_bytes=memory_bytes(record.pid) if record else 0,
                    log=self._table.log_of(name),
                )
            )
        return tuple(found)

    @contextlib.contextmanager
    def _lock(self, doing: str) -> Generator[None]:
        with exclusive_lock(self._folders.lock, progress=self._progress, waiting_for=f"{doing} the hub"):
            yield

    def _ports_in_use(self) -> dict[HubPort, int]:
        kept = read_ports(self._folders.ports)
        owner = {HubPort.PUBLIC: PROXY, HubPort.PROXY_API: PROXY, HubPort.HUB: HUB}
        running = {name for name in (PROXY, HUB) if self._table.find(name, self._progress)}
        return {use: port for use, port in kept.items() if owner[use] in running}

    def _bring_up(self, specs: Mapping[str, HubComponent]) -> None:
        """Return with these running as they should and well."""
        outdated = [
            name
            for name, spec in specs.items()
            if (record := self._table.find(name, self._progress)) is not None and record.fingerprint != _digest(spec)
        ]
        if outdated:
            titles = ", ".join(specs[name].title for name in outdated)
            self._progress(f"restarting {titles}: settings changed")
            self._table.end(reversed(outdated), grace_seconds=GRACE_SECONDS, progress=self._progress)
        if HUB in specs and self._table.find(HUB, self._progress) is None:
            # Services of a hub that was killed.
            end_marked(self._mark)
        for name, spec in specs.items():
            if self._table.find(name, self._progress) is None:
                if name == RUNNER:
                    alive_file(self._folders.pods).unlink(missing_ok=True)
                self._table.launch(name, spec.command, environment=spec.environment, fingerprint=_digest(spec))
        self._await(list(specs.values()))

    def _await(self, waiting: Sequence[HubComponent]) -> None:
        deadline = time.monotonic() + START_SECONDS
        names = " and ".join(spec.title for spec in waiting)
        with heartbeat(self._progress, f"starting {names}"):
            left = list(waiting)
            while left:
                gone = [spec for spec in left if self._table.find(spec.name, self._progress) is None]
                left = [spec for spec in left if spec in gone or not _answers(spec.health)]
                if left and (gone or time.monotonic() > deadline):
                    first = gone[0] if gone else left[0]
                    log = self._table.log_of(first.name)
                    reason = "ended while starting" if gone else f"does not become well ({first.health})"
                    raise HubFailedError(component=first.title, reason=reason, log=log, tail=tail_of(log))
                if left:
                    time.sleep(POLL_SECONDS)

    def _is_well(self, name: str, ports: Mapping[HubPort, int]) -> bool:
        if name == RUNNER:
            return _answers(str(alive_file(self._folders.pods)))
        if set(ports) != set(HubPort):
            return False
        base = "/"
        with contextlib.suppress(OSError, ValueError):
            settings = json.loads(self._folders.settings.read_bytes())
            base = str(settings["values"]["hub"]["baseUrl"])
        health = {PROXY: f"{address(ports[HubPort.PUBLIC])}/_chp_healthz"}
        return _answers(health.get(name, f"{address(ports[HubPort.HUB])}{base}hub/health"))


def _answers(health: str) -> bool:
    """Return whether what `health` names says it is well."""
    if not health.startswith("http"):
        with contextlib.suppress(OSError):
            return time.time() - Path(health).stat().st_mtime < ALIVE_SECONDS
        return False
    with urllib3.PoolManager(retries=False, timeout=ANSWER_SECONDS) as pool:
        try:
            return pool.request("GET", health).status == 200  # noqa: PLR2004 - HTTP's own number
        except urllib3.exceptions.HTTPError:
            return False


def _digest(spec: HubComponent) -> str:
    """Return a digest of everything that decides how a component runs: arguments, variables, the files it reads."""
    digest = hashlib.sha256()
    for text in (*spec.command, *(f"{key}={value}" for key, value in sorted(spec.environment.items()))):
        digest.update(text.encode() + b"\0")
    for path in spec.inputs:
        digest.update(str(path).encode() + b"\0" + (path.read_bytes() if path.exists() else b""))
    return digest.hexdigest()
