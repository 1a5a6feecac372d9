"""A real hub on loopback that people sign in to, and browsers for them; the hub is asked directly, without a proxy."""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import socket
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, cast

import httpx2

from components.hub.signin.config import Authentication
from components.hub.signin.plan import authenticator_config, sign_in_secret
from components.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from components.model import Value

__all__ = ["Browser", "Hub", "end", "eventually", "free_port", "plan", "running", "sign_in_hub"]

CONTACT = "cluster@lab.example.org"
FILES = Path(__file__).resolve().parents[2] / "components" / "hub" / "files"
QUIET_PORTS = range(30_000, 32_768)
"""Above those of control planes (`labctl.control_plane.ports`) and below Linux's for outgoing connections: one of those
is somebody's connection now and then before a program that takes seconds to start listens on it."""
START_SECONDS = 120
"""For a program to answer, on a machine that is busy."""
CONFIGURATION = '''\
import json
import sys
from pathlib import Path

from jupyterhub.proxy import Proxy
from jupyterhub.spawner import Spawner

here = Path(__file__).parent
said = json.loads((here / "said.json").read_text())
sys.path.insert(0, said["files"])


class NoProxy(Proxy):
    """The hub is asked directly."""

    should_start = False

    async def add_route(self, routespec, target, data):
        pass

    async def delete_route(self, routespec):
        pass

    async def get_all_routes(self):
        return {}


class NoServer(Spawner):
    """Writes down that a server was asked for, and has none."""

    async def start(self):
        with (here / "started").open("a") as file:
            file.write(self.user.name + chr(10))
        raise RuntimeError("no server in this test")

    async def stop(self, now=False):
        pass

    async def poll(self):
        return 0


for section, settings in said["sections"].items():
    for key, value in settings.items():
        setattr(c[section], key, value)
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.spawner_class = NoServer
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{said['port']}"
c.JupyterHub.bind_url = f"http://127.0.0.1:{said['port'] + 1}"
c.JupyterHub.db_url = f"sqlite:///{here}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(here / "cookie")
c.JupyterHub.template_paths = [said["files"] + "/templates"]
c.JupyterHub.services = [{"name": "test", "api_token": said["token"]}]
scopes = ["admin:users", "admin:auth_state", "read:groups", "read:users"]
c.JupyterHub.load_roles = [{"name": "test", "services": ["test"], "scopes": scopes}]
'''


class _Section(Model):
    """Holds one sign-in, so that it is read as the stack file's is."""

    authentication: Authentication


def free_port() -> int:
    """Return a TCP port of loopback that nobody has, and no connection will be given before it is used."""
    system = random.SystemRandom()
    while True:
        chosen = system.choice(QUIET_PORTS)
        with socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", chosen))
            except OSError:
                continue
        return chosen


def eventually(is_so: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)


@contextmanager
def running(
    command: list[str], log: Path, is_up: Callable[[], bool], variables: Mapping[str, str] | None = None
) -> Generator[subprocess.Popen[bytes]]:
    """Have a program run, and answer, while this lasts."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **(variables or {})}
        )
    try:
        eventually(lambda: process.poll() is not None or is_up(), f"{command[0]} answers: {log.read_text()[-2000:]}")
        assert process.poll() is None, log.read_text()[-4000:]
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Have a program of ours end."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Hub:
    """A hub that runs."""

    url: str
    folder: Path
    token: str
    opened: ExitStack
    """Browsers, closed with it."""

    def user(self, name: str) -> Mapping[str, object]:
        """Return what the hub knows of a user."""
        answer = httpx2.get(f"{self.url}/hub/api/users/{name}", headers={"Authorization": f"token {self.token}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def groups(self, name: str) -> set[str]:
        """Return the groups the hub has a user in."""
        return {str(each) for each in cast("list[object]", self.user(name)["groups"])}

    def state(self, name: str) -> Mapping[str, object]:
        """Return what the sign-in has kept of a user."""
        return cast("Mapping[str, object]", self.user(name)["auth_state"])

    def known(self, name: str, key: str) -> Mapping[str, str]:
        """Return one answer among it."""
        return cast("Mapping[str, str]", self.state(name)[key])

    def knows(self, name: str) -> bool:
        """Return whether the hub has a user of that name."""
        headers = {"Authorization": f"token {self.token}"}
        return httpx2.get(f"{self.url}/hub/api/users/{name}", headers=headers).status_code == 200

    def delete(self, name: str) -> None:
        """Delete a user as an administrator does."""
        headers = {"Authorization": f"token {self.token}"}
        assert httpx2.delete(f"{self.url}/hub/api/users/{name}", headers=headers).status_code == 204

    def log(self) -> str:
        """Return what the hub has said so far."""
        return (self.folder / "hub.log").read_text()

    def started(self) -> list[str]:
        """Return the users whose servers were asked for."""
        file = self.folder / "started"
        return file.read_text().splitlines() if file.exists() else []


def plan(section: Mapping[str, object], port: int) -> tuple[Authentication, Mapping[str, Mapping[str, Value]]]:
    """Return a sign-in of the stack file, and the settings planned for it by class."""
    authentication = _Section.model_validate({"authentication": section}).authentication
    return authentication, authenticator_config(authentication, f"127.0.0.1:{port}", CONTACT)


@contextmanager
def sign_in_hub(
    folder: Path,
    section: Mapping[str, object],
    secret: str,
    *,
    port: int | None = None,
    more: str = "",
    **changes: Mapping[str, object],
) -> Generator[Hub]:
    """Run a hub with a sign-in as the stack file has it; `changes` go over the plan, by class, `more` is read last."""
    port = port or free_port()
    authentication, planned = plan(section, port)
    sections = {name: {**values, **changes.get(name, {})} for name, values in planned.items()}
    folder.mkdir(exist_ok=True)
    said = {"sections": sections, "files": str(FILES), "port": port, "token": secrets.token_hex(16)}
    (folder / "said.json").write_text(json.dumps(said))
    (folder / "config.py").write_text(CONFIGURATION + more)
    needed = sign_in_secret(authentication)
    variables = {"JUPYTERHUB_CRYPT_KEY": "0123456789abcdef" * 4, **({needed.variable: secret} if needed else {})}
    hub = Hub(f"http://127.0.0.1:{port}", folder, str(said["token"]), ExitStack())
    command = [sys.executable, "-m", "jupyterhub", "-f", str(folder / "config.py"), "--debug"]
    with running(command, folder / "hub.log", lambda: _answers(f"{hub.url}/hub/api"), variables), hub.opened:
        yield hub


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.HTTPError:
        return False


class Browser:
    """Somebody's browser: keeps cookies, follows redirections, sends forms with what is hidden in them."""

    def __init__(self, hub: Hub, trusted: ssl.SSLContext | None = None) -> None:
        self._hub = hub
        self._client = httpx2.Client(
            follow_redirects=True,
            verify=trusted or ssl.create_default_context(),
            headers={"Sec-Fetch-Mode": "navigate", "User-Agent": f"test {secrets.token_hex(4)}"},
            timeout=60,
        )
        hub.opened.enter_context(self._client)

    def get(self, path: str) -> httpx2.Response:
        """Open a page of the hub, or any address."""
        return self._client.get(path if path.startswith("http") else f"{self._hub.url}{path}")

    def send(self, page: httpx2.Response, **fields: str) -> httpx2.Response:
        """Fill in a page's first form and send it."""
        form = re.search(r"<form[^>]*>.*?</form>", page.text, re.DOTALL)
        assert form is not None, page.text
        action = re.search(r'<form[^>]*action="([^"]*)"', form.group())
        hidden = dict(
            re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"', form.group(), re.DOTALL)
        )
        target = str(page.url.join(unescape(action.group(1)))) if action else str(page.url)
        return self._client.post(target, data={**hidden, **fields})

    def post_form(self, page: str, action: str) -> None:
        """Send the form of a page that goes to an address, with what is hidden in it."""
        opened = self.get(page)
        form = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', opened.text, re.DOTALL)
        assert form is not None, opened.text
        token = re.search(r'name="_xsrf" value="([^"]*)"', form.group())
        assert token is not None, form.group()
        answer = self._client.post(str(opened.url.join(action)), data={"_xsrf": token.group(1)})
        assert answer.status_code == 200, answer.text

    def sign_in(self, name: str, password: str) -> httpx2.Response:
        """Sign in by the hub's own form."""
        return self.send(self.get("/hub/login"), username=name, password=password)

    def several(self, paths: list[str], pause: float) -> None:
        """Open pages of the hub at once, in tabs of one browser, after a pause."""
        time.sleep(pause)
        with ThreadPoolExecutor(len(paths)) as tabs:
            list(tabs.map(self.get, paths))

    def is_in(self) -> bool:
        """Return whether the hub shows its pages."""
        return self.get("/hub/home").url.path == "/hub/home"
