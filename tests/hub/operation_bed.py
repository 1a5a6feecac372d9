"""A hub with its proxy and its database as processes on loopback, its users' servers real ones beside it.

What the chart sets for a hub that is restarted (``jupyterhub_config.py``) is set here; database, service and roles are
those of `components.hub.operation.plan`. Servers are processes of this machine: this bed is about the hub.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import urllib3

from components.hub.operation.plan import HEALTH_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from cluster_api import Object

    from components.model import Value
    from labctl.local_hub.programs import HubPrograms

__all__ = ["ADMIN", "BROKEN", "SLOW", "OperationBed"]

ADMIN: Final = "bed"
SLOW: Final = "slow"
BROKEN: Final = "broken"
"""Starts that take a minute, and that are refused, by what the profile's slug is mapped to."""
REFUSAL: Final = "There is no room in this bed."
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0

_SPAWNER: Final = '''
import asyncio
from jupyterhub.spawner import SimpleLocalProcessSpawner

class Refused(Exception):
    jupyterhub_message = {refusal!r}

class BedSpawner(SimpleLocalProcessSpawner):
    """Servers of this machine, whose start goes as the profile says."""

    async def start(self):
        manner = {manners!r}.get(self.user_options.get("profile"))
        if manner == "broken":
            raise Refused()
        if manner == "slow":
            await asyncio.sleep(60)
        return await super().start()

c.JupyterHub.spawner_class = BedSpawner
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r} + "/{{username}}"
c.Spawner.cmd = [{singleuser!r}]
c.Spawner.args = ["--allow-root"]
c.Spawner.environment = {{"JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp"}}
c.Spawner.poll_interval = 5
'''

_SETTINGS: Final = """
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy}"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.last_activity_interval = 60
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
c.JupyterHub.db_url = {database!r}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.services = [
    {{"name": "{admin}", "api_token": {admin_token!r}}},
    {{"name": "{health}", "api_token": {token!r}}},
]
c.JupyterHub.load_roles = [
    {{"name": "{admin}", "services": ["{admin}"], "scopes": ["admin:users", "admin:servers", "access:servers"]}},
    *({{"name": name, **role}} for name, role in {roles!r}.items()),
]
"""


class OperationBed:
    """A hub that can be killed, restarted and asked.

    Parameters
    ----------
    folder
        What it keeps.
    programs
        The proxy and what runs as a user's server.
    database
        Where its database is, for SQLAlchemy.
    roles
        Roles of `components.hub.operation.plan`, which the health service has.
    manners
        How a start goes, by the profile's slug; well unless said.
    environment
        Further variables of the hub.
    """

    def __init__(  # noqa: PLR0913 - what a hub is made of
        self,
        folder: Path,
        programs: HubPrograms,
        *,
        database: str,
        roles: Mapping[str, Value],
        manners: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.programs, self.database = folder, programs, database
        self.roles, self.manners, self.environment = roles, dict(manners or {}), dict(environment or {})
        self.token, self.admin_token = "c" * 40, "d" * 40
        with ExitStack() as stack:
            taken = [stack.enter_context(socket.socket()) for _ in range(3)]
            for each in taken:
                each.bind(("127.0.0.1", 0))
            self.public, self.hub_port, self.proxy_port = (cast("int", each.getsockname()[1]) for each in taken)
        self.url = f"http://127.0.0.1:{self.public}"
        self._hub: subprocess.Popen[bytes] | None = None
        self._proxy: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What the hub has said."""
        return (self.folder / "hub.log").read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        (self.folder / "homes").mkdir(parents=True)
        try:
            self.start_proxy()
            self.start_hub()
        except BaseException:
            self.stop_hub(signal.SIGKILL)
            self.stop_proxy()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._hub is None:
                self.start_hub()
            for user in cast("list[Object]", self.get("/users")):
                if user["servers"]:
                    self.stop_server(user["name"])
        finally:
            self.stop_hub(signal.SIGKILL)
            self.stop_proxy()

    def start_proxy(self) -> None:
        """Start the proxy, which knows no route at first."""
        self._proxy = self._start(
            "proxy",
            [
                str(self.programs.node),
                str(self.programs.proxy),
                *("--ip", "127.0.0.1", "--port", str(self.public)),
                *("--api-ip", "127.0.0.1", "--api-port", str(self.proxy_port)),
                *("--default-target", f"http://127.0.0.1:{self.hub_port}"),
                *("--error-target", f"http://127.0.0.1:{self.hub_port}/hub/error"),
            ],
        )

    def start_hub(self) -> None:
        """Start the hub and return when it answers through the proxy."""
        text = _SETTINGS.format(
            public=self.public,
            hub=self.hub_port,
            proxy=self.proxy_port,
            database=self.database,
            admin=ADMIN,
            admin_token=self.admin_token,
            health=HEALTH_SERVICE,
            token=self.token,
            roles=self.roles,
        ) + _SPAWNER.format(
            refusal=REFUSAL,
            manners=self.manners,
            homes=str(self.folder / "homes"),
            singleuser=str(self.programs.environment / "bin" / "jupyterhub-singleuser"),
        )
        configuration = self.folder / "jupyterhub_config.py"
        configuration.write_text(text, encoding="utf-8")
        self._hub = self._start("hub", [sys.executable, "-m", "jupyterhub", "-f", str(configuration)])
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._hub.poll() is None, self.log[-4000:]
            assert time.monotonic() < deadline, self.log[-4000:]
            time.sleep(0.1)

    def stop_hub(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End the hub; its users' servers are left alone, as they are in pods of their own."""
        if self._hub is not None:
            self._hub.send_signal(by)
            self._hub.wait(STOP_SECONDS)
        self._hub = None

    def stop_proxy(self) -> None:
        """End the proxy."""
        if self._proxy is not None:
            self._proxy.kill()
            self._proxy.wait(STOP_SECONDS)
        self._proxy = None

    def ask(self, method: str, path: str, body: object = None, *, token: str | None = None) -> tuple[int, str]:
        """Return status and text of an answer of the hub's API, as its administrator or with a token."""
        answer = urllib3.request(
            method,
            f"{self.url}/hub/api{path}",
            json=body,
            headers={"Authorization": f"token {token or self.admin_token}"},
            retries=False,
            timeout=30,
        )
        return answer.status, answer.data.decode()

    def get(self, path: str) -> Object:
        """Return what the hub's API has there."""
        status, text = self.ask("GET", path)
        assert status == 200, f"{path}: {status} {text}"
        return json.loads(text)

    def start_server(self, user: str, profile: str) -> Object:
        """Start a user's server; return it once it is ready."""
        status, text = self.ask("POST", f"/users/{user}/server", {"profile": profile})
        assert status in {201, 202}, f"{status} {text}"
        return self.server(user, ready=True)

    def stop_server(self, user: str) -> None:
        """Stop a user's server; return once it is gone."""
        self.ask("DELETE", f"/users/{user}/server")
        deadline = time.monotonic() + START_SECONDS
        while self.get(f"/users/{user}")["servers"]:
            assert time.monotonic() < deadline, self.log[-3000:]
            time.sleep(0.1)

    def server(self, user: str, *, ready: bool) -> Object:
        """Return the user's server once there is one, and it is ready where that is asked for."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            found = self.get(f"/users/{user}")["servers"].get("")
            if found is not None and (found["ready"] or not ready):
                return found
            assert time.monotonic() < deadline, self.log[-4000:]
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "/users")[0] == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "CONFIGPROXY_AUTH_TOKEN": "e" * 40,
            "JUPYTERHUB_CRYPT_KEY": "f" * 64,
            **self.environment,
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
