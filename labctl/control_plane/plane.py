"""One embedded control plane: a real API server with its controllers, on loopback, with its data in one directory."""

import contextlib
import hashlib
import shutil
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .cache import exclusive_lock, full_disk_told, require_space, require_supported_platform
from .client import ApiClient, tls_context
from .components import CONTROLLERS, ComponentSpec, Layout, Networks, component_specs, scheduler_text
from .definitions import establish_definitions
from .errors import (
    ApiRequestError,
    NodesNotReadyError,
    NotRunningError,
)
from .health import await_health, is_well, still_unwell
from .kubeconfig import KubeconfigUser, kubeconfig_text
from .kwok import kwok_configuration
from .networks import ipv4_network, keep_networks, kept_networks
from .nodes import CONCURRENCY, NodeChanges, SimulatedNode, reconcile, unready
from .obtain import Toolbox
from .pins import CONTROL_PLANE_TOOLS, tool_pin
from .pki import control_plane_requests, ensure_pki, write_private
from .ports import LOOPBACK, PortUse, keep_ports, read_ports
from .processes import ProcessRecord, ProcessTable, memory_bytes
from .progress import Progress, silent
from .simulation import install_simulation

__all__ = ["ComponentStatus", "ControlPlane", "ControlPlaneStatus"]

NEEDED_DATA_BYTES = 512 << 20
"""Room asked for before a start: etcd allocates two 64 MB log segments at once, then there is the data and the logs."""

GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL. All end within 1.5 s, but for an API server that others watch: it waits for them for a
minute, and being killed costs it nothing, since what it has answered is in etcd."""

READY_POLL_SECONDS = 0.1
"""Between two lists of the nodes while they become Ready."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of the components. They inherit nothing else from whoever starts them either: ETCD_* or a proxy would count."""

_DATA = "the control plane's data"

_KUBECONFIGS = {
    "controller-manager": "system:kube-controller-manager",
    "scheduler": "system:kube-scheduler",
    "kwok": "labctl-kwok",
}


@dataclass(frozen=True, kw_only=True)
class ComponentStatus:
    """One process of a control plane, as it is now."""

    name: str
    version: str
    """The pinned one; a program taken from PATH may differ in its patch level."""
    pid: int | None
    """None: not running."""
    healthy: bool
    memory_bytes: int
    log: Path


@dataclass(frozen=True, kw_only=True)
class ControlPlaneStatus:
    """A control plane, as it is now."""

    name: str
    """Of its cluster and of the context in its kubeconfig."""
    directory: Path
    kubeconfig: Path
    server: str | None
    """Address of the API server; None before the first start."""
    components: tuple[ComponentStatus, ...]

    @property
    def running(self) -> bool:
        """Whether every component runs and says it is well."""
        return all(component.healthy for component in self.components)


class ControlPlane:
    """A control plane and its data; starting it twice is starting it once.

    Parameters
    ----------
    directory
        Where all its data is and stays: ``.lab/<stack>/control-plane``.
    kubeconfig
        Written at every start, mode 0600: administrator of the whole cluster.
    pod_network, service_network
        Networks in CIDR notation, IPv4, or of both families with a comma between, IPv4 first: the API server
        advertises a loopback address of IPv4. Fixed with the data.
    scheduler
        What its scheduler is told: a KubeSchedulerConfiguration, without how it signs in; None for its defaults.
        Another one restarts the scheduler, and nothing else, at the next start.
    progress
        Told of every step that takes time.
    """

    controllers: ClassVar[Sequence[str]] = CONTROLLERS
    """What works against its API server; one that is thrown away after a question does with fewer."""

    def __init__(  # noqa: PLR0913 - two networks, two paths, and two settings with defaults
        self,
        directory: Path,
        *,
        kubeconfig: Path,
        pod_network: str,
        service_network: str,
        scheduler: Mapping[str, object] | None = None,
        progress: Progress = silent,
    ) -> None:
        self.directory = directory.absolute()
        self.kubeconfig = kubeconfig.absolute()
        self._networks = Networks(pods=pod_network, services=service_network)
        self._service_address = str(ipv4_network("service", service_network).network_address + 1)
        ipv4_network("pod", pod_network)
        self._progress = progress
        self._layout = Layout(self.directory)
        self._scheduler = None if scheduler is None else scheduler_text(self._layout, scheduler)
        self._table = ProcessTable(directory=self.directory, records=self._layout.records, logs=self._layout.logs)

    @property
    def name(self) -> str:
        """Name of the cluster and of the context in the kubeconfig: ``lab-<stack>``, whatever port it listens on."""
        stack = self.directory.parent.name if self.directory.name == "control-plane" else self.directory.name
        return f"lab-{stack}"

    def start(self) -> ControlPlaneStatus:
        """Return with every component running, well, and as it should be; what runs already and is so is left running.

        Interrupted at any moment, the next start goes on from there. Missing programs are obtained first.

        Raises
        ------
        ControlPlaneError
            Everything in `errors`: each names what, where and what to do.
        """
        require_supported_platform()
        if self.is_running():
            return self.status()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock("starting"), full_disk_told(_DATA, self.directory, NEEDED_DATA_BYTES):
            self._start()
        return self.status()

    def is_running(self) -> bool:
        """Return whether every component runs as it should and is well, within milliseconds."""
        ports = read_ports(self._layout.ports)
        if set(ports) != set(PortUse) or not self.kubeconfig.exists() or kept_networks(self._layout) != self._networks:
            return False
        if not self._same_scheduler():
            return False
        specs = self._specs(ports)
        return all(self._runs(spec) and is_well(spec.health, self._layout) for spec in specs.values())

    def stop(self) -> tuple[str, ...]:
        """Return with none of its processes running; the data stays. Returns the names of those that were running.

        Raises
        ------
        ProcessSurvivedError
            One does not even end when killed.
        """
        require_supported_platform()
        if not self.directory.exists():
            return ()
        with self._lock("stopping"):
            return self._stop()

    def wipe(self) -> None:
        """Return with no process, no data and no kubeconfig of this control plane left."""
        require_supported_platform()
        if self.directory.exists():
            with self._lock("removing"):
                self._stop()
                # By name: a directory given by mistake loses nothing else.
                for path in (
                    self._layout.pki,
                    self._layout.config,
                    self._layout.etcd,
                    self._layout.logs,
                    self._layout.records,
                ):
                    if path.exists():
                        shutil.rmtree(path)
                for path in (self._layout.ports, self._layout.networks):
                    path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    self.directory.rmdir()
        self.kubeconfig.unlink(missing_ok=True)

    def status(self) -> ControlPlaneStatus:
        """Return what runs and how well, started or not."""
        ports = read_ports(self._layout.ports)
        complete = set(ports) == set(PortUse)
        specs = self._specs(ports) if complete else {}
        return ControlPlaneStatus(
            name=self.name,
            directory=self.directory,
            kubeconfig=self.kubeconfig,
            server=f"https://{LOOPBACK}:{ports[PortUse.API_SERVER]}" if complete else None,
            components=tuple(self._component_status(name, specs.get(name)) for name in self._programs),
        )

    def reconcile_nodes(self, nodes: Sequence[SimulatedNode], *, ready_seconds: float = 60.0) -> NodeChanges:
        """Return with exactly these simulated nodes in the cluster, all Ready; nodes of others are left alone.

        Labels are applied server-side by a field manager of their own; taints are set when a node is created and belong
        to whoever changes them afterwards; capacity goes through the status, as a kubelet's does.

        Parameters
        ----------
        ready_seconds
            How long to wait for kwok to make them Ready; 0: not at all.

        Raises
        ------
        NotRunningError, ForeignNodeError, NodesNotReadyError, ApiRequestError
            Each names what to do; after the last two a second call goes on.
        """
        with self.client(connections=CONCURRENCY) as client:
            try:
                client.request("GET", "/readyz")
            except ApiRequestError as error:
                raise NotRunningError(directory=self.directory) from error
            changes = reconcile(client, nodes)
            deadline = time.monotonic() + ready_seconds
            waiting = tuple(node.name for node in nodes)
            while ready_seconds and (waiting := unready(client, waiting)):
                if time.monotonic() > deadline:
                    log = self._table.log_of("kwok")
                    raise NodesNotReadyError(waiting=waiting, total=len(nodes), seconds=ready_seconds, log=log)
                time.sleep(READY_POLL_SECONDS)
        return changes

    def client(self, connections: int = 1) -> ApiClient:
        """Return its API server, spoken to as its administrator over so many connections.

        Raises
        ------
        NotRunningError
            If it was never started.
        """
        ports = read_ports(self._layout.ports)
        if PortUse.API_SERVER not in ports or not (self._layout.pki / "admin.crt").exists():
            raise NotRunningError(directory=self.directory)
        context = tls_context(authority=self._layout.pki / "ca.crt", client=self._layout.certificate("admin"))
        return ApiClient(
            server=f"https://{LOOPBACK}:{ports[PortUse.API_SERVER]}", context=context, connections=connections
        )

    @contextmanager
    def _lock(self, doing: str) -> Generator[None]:
        with exclusive_lock(self._layout.lock, progress=self._progress, waiting_for=f"{doing} {self.name}"):
            yield

    def _specs(self, ports: Mapping[PortUse, int]) -> dict[str, ComponentSpec]:
        configured = self._scheduler is not None
        specs = component_specs(self._layout, ports, self._networks, is_scheduler_configured=configured)
        return {name: spec for name, spec in specs.items() if name in self._programs}

    @property
    def _programs(self) -> tuple[str, ...]:
        return tuple(name for name in CONTROL_PLANE_TOOLS if name not in CONTROLLERS or name in self.controllers)

    def _same_scheduler(self) -> bool:
        """Return whether the scheduler's file says what it should; without one, it is not asked for."""
        kept = self._layout.scheduler
        return self._scheduler is None or (kept.exists() and kept.read_text(encoding="utf-8") == self._scheduler)

    def _start(self) -> None:
        require_space(_DATA, self.directory, NEEDED_DATA_BYTES)
        keep_networks(self._layout, self._networks)
        tools = Toolbox().obtain(self._programs, self._progress)
        ports = keep_ports(self._layout.ports, in_use_by_us=self._ports_in_use(), progress=self._progress)
        made = ensure_pki(self._layout.pki, control_plane_requests(self._service_address))
        self._write_configuration(ports)
        specs = self._specs(ports)
        outdated = [
            name for name, spec in specs.items() if self._table.find(name, self._progress) and not self._runs(spec)
        ]
        if outdated:
            self._progress(
                f"restarting {', '.join(outdated)}: {'certificates renewed' if made else 'settings changed'}"
            )
            self._table.end(reversed(outdated), grace_seconds=GRACE_SECONDS, progress=self._progress)
        self._progress(f"starting {self.name}")
        is_new_server = not self._runs(specs["kube-apiserver"])
        self._bring_up([specs["etcd"], specs["kube-apiserver"]], tools)
        if is_new_server:
            with self.client(connections=1) as client:
                establish_definitions(client)
        if "kwok" in specs and not self._runs(specs["kwok"]):
            self._prepare_for_kwok()
        self._bring_up([specs[name] for name in self.controllers], tools)

    def _bring_up(self, specs: Sequence[ComponentSpec], tools: Mapping[str, Path]) -> None:
        """Return with these running and well: the missing started all at once, those that hang started again."""
        there = [spec for spec in specs if self._table.find(spec.name, self._progress)]
        for spec in specs:
            if spec not in there:
                self._launch(spec, tools[spec.name])
        hanging = still_unwell(there, self._layout)
        if hanging:
            names = [spec.name for spec in hanging]
            self._progress(f"restarting {', '.join(names)}: running, but not answering")
            self._table.end(names, grace_seconds=1, progress=self._progress)
            for spec in hanging:
                self._launch(spec, tools[spec.name])
        await_health(specs, self._layout, self._table, self._progress)

    def _launch(self, spec: ComponentSpec, executable: Path) -> None:
        home = self._layout.config
        environment = {"PATH": SYSTEM_PATH, "HOME": str(home), "TMPDIR": tempfile.gettempdir(), "LANG": "C.UTF-8"}
        command = (str(executable), *spec.arguments)
        self._table.launch(spec.name, command, environment=environment, fingerprint=_fingerprint(spec))

    def _runs(self, spec: ComponentSpec) -> ProcessRecord | None:
        """Return the component's process if it runs and would be started the same way now."""
        record = self._table.find(spec.name, self._progress)
        return record if record is not None and record.fingerprint == _fingerprint(spec) else None

    def _stop(self) -> tuple[str, ...]:
        ended = self._table.end(reversed(CONTROLLERS), grace_seconds=GRACE_SECONDS, progress=self._progress)
        # The API server before etcd: it finishes what it was asked, and etcd must be there for that.
        ended += self._table.end(["kube-apiserver"], grace_seconds=GRACE_SECONDS, progress=self._progress)
        return ended + self._table.end(["etcd"], grace_seconds=GRACE_SECONDS, progress=self._progress)

    def _component_status(self, name: str, spec: ComponentSpec | None) -> ComponentStatus:
        record = self._table.find(name, self._progress)
        return ComponentStatus(
            name=name,
            version=tool_pin(name).version,
            pid=record.pid if record else None,
            healthy=record is not None and spec is not None and is_well(spec.health, self._layout),
            memory_bytes=memory_bytes(record.pid) if record else 0,
            log=self._table.log_of(name),
        )

    def _ports_in_use(self) -> dict[PortUse, int]:
        """Return the kept ports of the components that run now."""
        kept = read_ports(self._layout.ports)
        running = {name for name in CONTROL_PLANE_TOOLS if self._table.find(name, self._progress)}
        owner = {use: "etcd" if use is PortUse.ETCD_PEER else use.value for use in PortUse}
        return {use: port for use, port in kept.items() if owner[use] in running}

    def _prepare_for_kwok(self) -> None:
        with self.client(connections=1) as client:
            install_simulation(client)
            # The leases of the kwok that is gone: a new one would wait for each to run out.
            client.request(
                "DELETE", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", missing_is_fine=True
            )

    def _write_configuration(self, ports: Mapping[PortUse, int]) -> None:
        self._layout.config.mkdir(parents=True, exist_ok=True, mode=0o700)
        server = f"https://{LOOPBACK}:{ports[PortUse.API_SERVER]}"
        for name, user in _KUBECONFIGS.items():
            write_private(self._layout.config / f"{name}.kubeconfig", self._kubeconfig(name, user, server))
        # kwok gives a pod one address, of one network.
        kwok = kwok_configuration(pod_network=str(ipv4_network("pod", self._networks.pods)), port=ports[PortUse.KWOK])
        write_private(self._layout.config / "kwok.yaml", kwok.encode())
        if self._scheduler is not None:
            write_private(self._layout.scheduler, self._scheduler.encode())
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        write_private(self.kubeconfig, self._kubeconfig("admin", f"{self.name}-admin", server))

    def _kubeconfig(self, certificate: str, user: str, server: str) -> bytes:
        path, key = self._layout.certificate(certificate)
        authority = (self._layout.pki / "ca.crt").read_bytes()
        owner = KubeconfigUser(name=user, certificate=path.read_bytes(), key=key.read_bytes())
        return kubeconfig_text(cluster=self.name, server=server, authority=authority, user=owner).encode()


def _fingerprint(spec: ComponentSpec) -> str:
    """Return a digest of everything that decides how a component runs: version, arguments, the files it reads."""
    digest = hashlib.sha256(tool_pin(spec.name).version.encode())
    for argument in spec.arguments:
        digest.update(b"\0" + argument.encode())
    for path in spec.inputs:
        digest.update(b"\0" + (path.read_bytes() if path.exists() else b""))
    return digest.hexdigest()
