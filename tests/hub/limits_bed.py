"""A real JupyterHub with the planned step before each start and the planned service, and a real Prometheus to ask.

Servers are no processes: they are where one small server of the test answers, which is all JupyterHub asks of them, and
the hub's proxy is a table in its memory. So only the hub, its service and Prometheus run, all on loopback.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, cast

from debian_programs import PROMETHEUS, path_of

from components.hub.limits.plan import CULLER, culler_settings, limits_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from components.hub.config import HubConfig

__all__ = ["NAMESPACE", "GpuSample", "LimitsBed", "MetricsPage", "PrometheusBed", "eventually", "serving"]

FILES = Path(__file__).resolve().parents[2] / "components" / "hub" / "files"
NAMESPACE = "hub-bed"
START_SECONDS = 60.0
STOP_SECONDS = 30.0

_CONFIGURATION = """
import sys
sys.path.insert(0, {files!r})
from jupyterhub.proxy import Proxy
from jupyterhub.spawner import Spawner
from traitlets import Dict, Unicode
from lab_hub.limits import keep_limits

class BedProxy(Proxy):
    should_start = False
    _routes = {{}}
    async def add_route(self, routespec, target, data):
        self._routes[routespec] = {{"routespec": routespec, "target": target, "data": data}}
    async def delete_route(self, routespec):
        self._routes.pop(routespec, None)
    async def get_all_routes(self):
        return dict(self._routes)

class BedSpawner(Spawner):
    namespace = Unicode({namespace!r})
    extra_annotations = Dict()
    is_up = False
    @property
    def pod_name(self):
        return "-".join(filter(None, ("jupyter", self.user.name, self.name)))
    def load_state(self, state):
        super().load_state(state)
        self.is_up = state.get("up", False)
    def get_state(self):
        return {{**super().get_state(), "up": self.is_up}}
    def clear_state(self):
        super().clear_state()
        self.is_up = False
    async def poll(self):
        return None if self.is_up else 0
    async def start(self):
        print("BED started", self.pod_name, dict(self.extra_annotations), flush=True)
        self.is_up = True
        return ("127.0.0.1", {answers})
    async def stop(self, now=False):
        print("BED stopped", self.pod_name, flush=True)
        self.is_up = False

c.JupyterHub.spawner_class = BedSpawner
c.JupyterHub.proxy_class = BedProxy
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
for key, value in {hub!r}.items():
    if key == "consecutiveFailureLimit":
        c.Spawner.consecutive_failure_limit = value
    elif key == "allowNamedServers":
        c.JupyterHub.allow_named_servers = value
    elif key == "namedServerLimitPerUser":
        c.JupyterHub.named_server_limit_per_user = value
    else:
        raise KeyError(key)
c.Spawner.pre_spawn_hook = keep_limits({settings!r})
c.JupyterHub.services = [{{"name": "bed", "api_token": {token!r}}}] + {services!r}
scopes = ["admin:users", "admin:servers", "admin:groups"]
c.JupyterHub.load_roles = [{{"name": "bed", "services": ["bed"], "scopes": scopes}}] + {roles!r}
"""


def eventually(holds: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
    """Wait until something holds; say what there was where it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


class serving:  # noqa: N801 - used as a function is
    """A small HTTP server on loopback that answers every request with a text, while the context lasts."""

    def __init__(self, text: Callable[[], str | None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = text()
                body = (answer or "").encode()
                self.send_response(http.HTTPStatus.OK if answer is not None else http.HTTPStatus.SERVICE_UNAVAILABLE)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(frozen=True, kw_only=True)
class GpuSample:
    """One GPU or MIG instance, as dcgm-exporter tells of it."""

    pod: str
    uuid: str
    activity: float
    """Percent."""
    mig: str | None = None
    """MIG profile; None for a whole GPU."""
    namespace: str = NAMESPACE

    def lines(self) -> tuple[str, str | None]:
        """Return its lines of DCGM_FI_PROF_GR_ENGINE_ACTIVE and, as a whole GPU, of DCGM_FI_DEV_GPU_UTIL."""
        device = f'gpu="0",UUID="{self.uuid}",pci_bus_id="00000000:07:00.0",device="nvidia0"'
        instance = "" if self.mig is None else f',GPU_I_PROFILE="{self.mig}",GPU_I_ID="7"'
        rest = f'modelName="NVIDIA A100-SXM4-80GB"{instance},Hostname="gpu1",DCGM_FI_DRIVER_VERSION="580.65.06"'
        owner = f'container="notebook",namespace="{self.namespace}",pod="{self.pod}"'
        labels = f"{{{device},{rest},{owner}}}"
        engine = f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{labels} {self.activity / 100:.6f}"
        return engine, None if self.mig else f"DCGM_FI_DEV_GPU_UTIL{labels} {self.activity:.0f}"


@dataclass
class MetricsPage:
    """What the exporter answers; None where it is out of order."""

    samples: list[GpuSample] | None = field(default_factory=list["GpuSample"])

    def text(self) -> str | None:
        """Return the page in Prometheus' text format."""
        if self.samples is None:
            return None
        engine = [sample.lines()[0] for sample in self.samples]
        util = [line for sample in self.samples if (line := sample.lines()[1]) is not None]
        lines = [
            "# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).",
            "# TYPE DCGM_FI_DEV_GPU_UTIL gauge",
            *util,
            "# HELP DCGM_FI_PROF_GR_ENGINE_ACTIVE Ratio of time the graphics engine is active (in %).",
            "# TYPE DCGM_FI_PROF_GR_ENGINE_ACTIVE gauge",
            *engine,
        ]
        return "\n".join(lines) + "\n"


class PrometheusBed:
    """Prometheus, which collects one exporter every second."""

    def __init__(self, folder: Path, exporter: int, *, honor_labels: bool) -> None:
        self.folder, (self.port,) = folder, free_ports(1)
        job = {
            "job_name": "dcgm",
            "honor_labels": honor_labels,
            "static_configs": [
                # Labels a Prometheus in a cluster gives the exporter's own pod; its samples' get a prefix beside them.
                {
                    "targets": [f"127.0.0.1:{exporter}"],
                    "labels": {"namespace": "gpu-operator", "pod": "nvidia-dcgm-exporter-abcde"},
                }
            ],
        }
        interval = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        folder.mkdir(parents=True)
        (folder / "prometheus.yml").write_text(json.dumps({"global": interval, "scrape_configs": [job]}))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        with (self.folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(path_of(PROMETHEUS)),
                    "--config.file=prometheus.yml",
                    "--storage.tsdb.path=data",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(lambda: answers(self.port, "/-/ready"), START_SECONDS, self._said)
        return self

    def __exit__(self, *_problem: object) -> None:
        process = self._process
        if process is not None:
            process.terminate()
            process.wait(STOP_SECONDS)
            self._process = None

    def _said(self) -> str:
        return (self.folder / "prometheus.log").read_text(encoding="utf-8")[-3000:]


class LimitsBed:
    """A hub that keeps the limits of a section, with its service."""

    def __init__(self, folder: Path, config: HubConfig, *, look_every: float = 1.0) -> None:
        self._folder, self.config, self._every = folder, config, look_every
        self._port, self._public = free_ports(2)
        self._token = "b" * 40
        self._answering = serving(lambda: "{}")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What hub and service have said."""
        return (self._folder / "hub.log").read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        self._answering.__enter__()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._answering.__exit__(kind, problem, trace)

    def start(self) -> None:
        """Start the hub and wait until it answers."""
        (self._folder / "jupyterhub_config.py").write_text(self._configuration(), encoding="utf-8")
        with (self._folder / "hub.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", "jupyterhub_config.py"],
                cwd=self._folder,
                env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(self._folder)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        eventually(lambda: answers(self._port, "/hub/health"), START_SECONDS, lambda: self.log[-4000:])

    def stop(self) -> None:
        """Kill the hub, and wait until its service has noticed; servers go on."""
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait(STOP_SECONDS)
        self._process = None
        eventually(lambda: not self._processes(), STOP_SECONDS, lambda: f"still there: {self._processes()}")

    def _processes(self) -> list[str]:
        """Return the command lines of what runs in the hub's folder."""
        found: list[str] = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").readlink() == self._folder.resolve():
                    found.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found

    def ask(self, method: str, path: str, body: object = None, token: str | None = None) -> tuple[int, object]:
        """Return status and content of an answer of the hub's API, asked as its administrator or with a token."""
        headers = {"Authorization": f"token {token or self._token}"}
        text = None if body is None else json.dumps(body)
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request(method, f"/hub/api{path}", text, headers)
            answer = connection.getresponse()
            content = answer.read().decode()
            return answer.status, json.loads(content) if content else None

    def start_server(self, user: str, profile: str | None = None, name: str = "") -> tuple[int, str]:
        """Ask for a user's server; return the status, and what the user is told where it is refused."""
        self.ask("POST", f"/users/{user}")
        path = f"/users/{user}/servers/{name}" if name else f"/users/{user}/server"
        status, content = self.ask("POST", path, None if profile is None else {"profile": profile})
        return status, str(cast("Mapping[str, object]", content)["message"]) if content else ""

    def servers(self) -> set[str]:
        """Return the servers that run, each as user/name."""
        _, users = self.ask("GET", "/users?state=ready")
        found = cast("Sequence[Mapping[str, Mapping[str, object] | str]]", users)
        return {f"{user['name']}/{name}" for user in found for name in user["servers"]}

    def _configuration(self) -> str:
        part = limits_part(self.config)
        services = [{**cast("Mapping[str, object]", each), "name": name} for name, each in part.services.items()]
        for service in services:
            settings = {**culler_settings(self.config), "everySeconds": self._every}
            service["environment"] = {"PYTHONPATH": str(FILES), "LAB_CULLER": json.dumps(settings)}
            service["command"] = [sys.executable, *cast("Sequence[str]", service["command"])[1:]]
            service["api_token"] = self.service_token
        roles = [{**cast("Mapping[str, object]", each), "name": name} for name, each in part.roles.items()]
        return _CONFIGURATION.format(
            files=str(FILES),
            namespace=NAMESPACE,
            answers=self._answering.port,
            public=self._public,
            port=self._port,
            hub=dict(part.hub),
            settings=part.settings["limits"],
            token=self._token,
            services=services,
            roles=roles,
        )

    @property
    def service_token(self) -> str:
        """Token of the service `CULLER`, as the chart makes it one."""
        return f"{CULLER}-" + "c" * 40


def answers(port: int, path: str) -> bool:
    """Return whether something on loopback answers a request well."""
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    taken = [socket.socket() for _ in range(count)]
    try:
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [cast("tuple[str, int]", each.getsockname())[1] for each in taken]
    finally:
        for each in taken:
            each.close()
