"""A real hub on simulated nodes, for tests and measurements of starting servers.

JupyterHub, KubeSpawner and configurable-http-proxy themselves, against an embedded control plane, with the rights the
chart gives the hub. No notebook process runs: kwok makes pods Running at loopback addresses, and one small process
answers for all of them, which is all that JupyterHub asks of a server that starts.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cluster_api import Api

from labctl.control_plane import ControlPlane
from labctl.local_hub.programs import obtain_programs

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from cluster_api import Object

    from labctl.control_plane import SimulatedNode

__all__ = ["CLASS", "USER_KEY", "HubBed", "HubProgram", "answering", "give_claims", "spawn_plane"]

ROOT = Path(__file__).resolve().parents[1]
FILES = ROOT / "components" / "hub" / "files"
"""Folder of the package of ours the hub imports."""
POD_NETWORK = "127.8.0.0/16"
"""Loopback addresses: what kwok gives a pod is one that a local process can answer at."""
START_TIMEOUT_SECONDS = 600
"""The stacks' own default (``hub.servers.startTimeout``); JupyterHub's 60 s are over before a busy machine is done."""
HTTP_TIMEOUT_SECONDS = 120
"""For a server to answer, of whatever spawner; JupyterHub's 30 s are over where its own loop is held up for longer."""
HUB_SECONDS = 180.0
"""For a hub to answer; it takes 4 to 6 s alone."""
STOP_SECONDS = 30.0
"""For a hub to stop; it takes about 12 s."""
CLASS = "simulated"
"""StorageClass of homes: kwok's stage makes the volumes, the real controller binds them."""
USER_KEY = "spawn-bed"
"""What everybody signs in with: the hub listens on loopback."""

_CHART_RULES: Sequence[Mapping[str, object]] = (
    {
        "apiGroups": [""],
        "resources": ["pods", "persistentvolumeclaims", "secrets", "services"],
        "verbs": ["get", "watch", "list", "create", "delete"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "watch", "list"]},
)
"""What the chart lets its hub do (Zero to JupyterHub 4.4.0, ``hub/rbac.yaml``)."""

_NODE_RULES: Sequence[Mapping[str, object]] = (
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
)

_ANSWERER = """
import asyncio, socket
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nX-JupyterHub-Version: 5.5.0\\r\\n"
ANSWER += b"Connection: close\\r\\nContent-Length: 2\\r\\n\\r\\n{}"
async def answer(reader, writer):
    try:
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write(ANSWER)
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()
async def main():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    listener.bind(("0.0.0.0", 0))
    server = await asyncio.start_server(answer, sock=listener, backlog=1024)
    print(listener.getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
"""All of 127.0.0.0/8 with one socket; bound to the loopback device, it hears nothing from elsewhere."""


@contextmanager
def answering() -> Generator[int]:
    """Yield the port at which one process answers for every server."""
    with subprocess.Popen([sys.executable, "-c", _ANSWERER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def give_claims(api: Api, namespace: str, names: Sequence[str]) -> None:
    """Make homes and wait until all are bound, as those of people who were here before."""
    for name in names:
        spec = {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": CLASS,
            "resources": {"requests": {"storage": "1Gi"}},
        }
        api.post(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", {"metadata": {"name": name}, "spec": spec})
    deadline = time.monotonic() + 60 + len(names) / 5
    while True:
        found = api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims")["items"]
        bound = {claim["metadata"]["name"] for claim in found if claim["status"].get("phase") == "Bound"}
        if bound.issuperset(names):
            return
        assert time.monotonic() < deadline, f"{len(set(names) - bound)} claims were not bound"
        time.sleep(0.5)


@contextmanager
def spawn_plane(folder: Path, nodes: Sequence[SimulatedNode]) -> Generator[ControlPlane]:
    """Yield a running control plane with these nodes and the class of homes; gone afterwards."""
    plane = ControlPlane(
        folder / "control-plane",
        kubeconfig=folder / "kubeconfig",
        pod_network=POD_NETWORK,
        service_network="10.96.0.0/16",
    )
    plane.start()
    try:
        plane.reconcile_nodes(nodes)
        Api(plane).post(
            "/apis/storage.k8s.io/v1/storageclasses",
            {"metadata": {"name": CLASS}, "provisioner": "simulated.lab", "volumeBindingMode": "Immediate"},
        )
        yield plane
    finally:
        plane.wipe()


@dataclass(frozen=True, kw_only=True)
class HubProgram:
    """Which hub is run and how it is configured."""

    namespace: str
    server_port: int
    """Where its servers answer (`answering`)."""
    configuration: str
    """Lines of its configuration, after those of the bed."""
    users: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


class HubBed:
    """A hub that answers on loopback, and what asks it."""

    def __init__(self, plane: ControlPlane, folder: Path, program: HubProgram) -> None:
        self.api = Api(plane)
        self.program = program
        self._programs = obtain_programs(print)
        self.namespace = program.namespace
        self.folder = folder
        self.token = secrets.token_hex(16)
        self._plane = plane
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self._hub_port, self._proxy_port = free_ports(3)

    @property
    def pid(self) -> int:
        """Of the hub's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the hub has said."""
        return (self.folder / "hub.log").read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._permit()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the hub and wait until it answers."""
        (self.folder / "jupyterhub_config.py").write_text(self._configuration(), encoding="utf-8")
        environment = {
            "PATH": f"{self._programs.python.parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.program.environment,
        }
        with (self.folder / "hub.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs.python), "-m", "jupyterhub", "-f", "jupyterhub_config.py"],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + HUB_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log[-3000:]
            assert time.monotonic() < deadline, self.log[-3000:]
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the hub and the proxy it has started, whatever state they are in."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._process = None

    def request(self, method: str, path: str, body: object = None, *, token: str | None = None) -> tuple[int, str]:
        """Return status and text of an answer of the hub's API, asked as its administrator or with a token."""
        headers = {"Authorization": f"token {token or self.token}"}
        text = None if body is None else json.dumps(body)
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, f"/hub/api{path}", text, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def progress(self, user: str, seconds: float = 60.0) -> Iterator[Object]:
        """Yield what the spawn page of a user is told, until it ends."""
        headers = {"Authorization": f"token {self.token}", "Accept": "text/event-stream"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)) as connection:
            connection.request("GET", f"/hub/api/users/{user}/server/progress", headers=headers)
            answer = connection.getresponse()
            assert answer.status == http.HTTPStatus.OK, answer.read()
            while line := answer.readline():
                if line.startswith(b"data: "):
                    yield cast("Object", json.loads(line[6:]))

    def pods(self) -> Sequence[Object]:
        """Return the pods in the hub's namespace."""
        return cast("Sequence[Object]", self.api.get(f"/api/v1/namespaces/{self.namespace}/pods")["items"])

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/")[0] == http.HTTPStatus.OK
        except OSError:
            return False

    def _permit(self) -> None:
        """Give the hub its account, with the chart's rights and that of seeing nodes."""
        api, name, rbac = self.api, self.namespace, "/apis/rbac.authorization.k8s.io/v1"
        if not api.exists(f"/api/v1/namespaces/{name}"):
            api.namespace(name)
        if not api.exists(f"/api/v1/namespaces/{name}/serviceaccounts/hub"):
            subject = [{"kind": "ServiceAccount", "name": "hub", "namespace": name}]
            group = "rbac.authorization.k8s.io"
            api.post(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "hub"}})
            api.post(f"{rbac}/namespaces/{name}/roles", {"metadata": {"name": "hub"}, "rules": list(_CHART_RULES)})
            reference = {"apiGroup": group, "kind": "Role", "name": "hub"}
            binding = {"metadata": {"name": "hub"}, "subjects": subject, "roleRef": reference}
            api.post(f"{rbac}/namespaces/{name}/rolebindings", binding)
            api.post(f"{rbac}/clusterroles", {"metadata": {"name": f"hub-{name}"}, "rules": list(_NODE_RULES)})
            reference = {"apiGroup": group, "kind": "ClusterRole", "name": f"hub-{name}"}
            binding = {"metadata": {"name": f"hub-{name}"}, "subjects": subject, "roleRef": reference}
            api.post(f"{rbac}/clusterrolebindings", binding)
        asked = api.post(
            f"/api/v1/namespaces/{name}/serviceaccounts/hub/token", {"spec": {"expirationSeconds": 6 * 3600}}
        )
        authority = base64.b64encode((self._plane.directory / "pki" / "ca.crt").read_bytes()).decode()
        text = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "hub",
            "clusters": [{"name": "lab", "cluster": {"server": api.server, "certificate-authority-data": authority}}],
            "users": [{"name": "hub", "user": {"token": asked["status"]["token"]}}],
            "contexts": [{"name": "hub", "context": {"cluster": "lab", "user": "hub"}}],
        }
        path = self.folder / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(text), encoding="utf-8")

    def _configuration(self) -> str:
        proxy = [str(self._programs.node), str(self._programs.proxy)]
        return f"""
import sys
sys.path.insert(0, {str(FILES)!r})
c.JupyterHub.bind_url = "http://127.0.0.1:{self.port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{self._hub_port}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{self._proxy_port}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = {USER_KEY!r}
c.SharedPasswordAuthenticator.allow_all = True
c.Authenticator.allowed_users = set({list(self.program.users)!r})
c.JupyterHub.cleanup_servers = False
c.JupyterHub.last_activity_interval = 60
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.services = [{{"name": "bed", "api_token": {self.token!r}}}]
c.JupyterHub.load_roles = [{{"name": "bed", "services": ["bed"], "scopes": ["admin:users", "admin:servers", "tokens"]}}]
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.KubeSpawner.namespace = {self.namespace!r}
c.KubeSpawner.port = {self.program.server_port}
c.KubeSpawner.image = "registry.invalid/notebook:1"
c.KubeSpawner.storage_pvc_ensure = True
c.KubeSpawner.storage_class = {CLASS!r}
c.KubeSpawner.storage_access_modes = ["ReadWriteMany"]
c.KubeSpawner.storage_capacity = "1Gi"
c.KubeSpawner.remember_pvc_name = False
c.KubeSpawner.handle_legacy_names = False
c.KubeSpawner.pvc_name_template = "home-{{safe_username}}"
c.KubeSpawner.volumes = {{"home": {{"name": "home", "persistentVolumeClaim": {{"claimName": "{{pvc_name}}"}}}}}}
c.KubeSpawner.volume_mounts = {{"home": {{"name": "home", "mountPath": "/home/jovyan"}}}}
c.KubeSpawner.automount_service_account_token = False
c.KubeSpawner.consecutive_failure_limit = 0
c.KubeSpawner.start_timeout = {START_TIMEOUT_SECONDS}
c.KubeSpawner.http_timeout = {HTTP_TIMEOUT_SECONDS}
{self.program.configuration}
"""


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address nobody listens on."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [cast("int", each.getsockname()[1]) for each in taken]
