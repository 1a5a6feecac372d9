"""Servers that are plain processes, for a hub that hands them tokens: each writes down what it was given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import httpx2

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from signin_bed import Hub

__all__ = ["SERVERS", "ask", "given", "start", "stop", "token_of"]

SERVERS = """
from jupyterhub.spawner import SimpleLocalProcessSpawner

(here / "server.py").write_text('''
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

address = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
name = os.environ["JUPYTERHUB_USER"] + "." + os.environ["JUPYTERHUB_SERVER_NAME"]
given = {key: value for key, value in os.environ.items() if key.startswith("JUPYTERHUB_")}
Path(sys.argv[1], name + ".json").write_text(json.dumps(given))
HTTPServer((address.hostname, address.port), Answer).serve_forever()
''')
c.JupyterHub.spawner_class = SimpleLocalProcessSpawner
c.JupyterHub.allow_named_servers = True
# Signing in starts none.
c.JupyterHub.redirect_to_server = False
# A hub that starts anew finds them.
c.JupyterHub.cleanup_servers = False
c.Spawner.cmd = [sys.executable, str(here / "server.py"), str(here)]
c.Spawner.args = []
c.Spawner.ip = "127.0.0.1"
c.SimpleLocalProcessSpawner.home_dir_template = str(here)
scopes += ["servers", "tokens"]

from lab_hub.tokens import hand_tokens

hand_tokens(c, {"default": "tools", "profiles": ["tools"]})
"""
"""Goes to the end of the hub's configuration."""


def start(hub: Hub, user: str, profile: str | None = "tools", server: str = "") -> None:
    """Have somebody's server run."""
    chosen = {} if profile is None else {"profile": profile}
    headers = {"Authorization": f"token {hub.token}"}
    path = f"{hub.url}/hub/api/users/{user}/" + (f"servers/{server}" if server else "server")
    answer = httpx2.post(path, json=chosen, headers=headers, timeout=60)
    assert answer.status_code in {201, 202}, answer.text


def stop(hub: Hub, user: str) -> None:
    """Have somebody's server end."""
    headers = {"Authorization": f"token {hub.token}"}
    answer = httpx2.delete(f"{hub.url}/hub/api/users/{user}/server", headers=headers, timeout=60)
    assert answer.status_code in {202, 204}, answer.text


def given(hub: Hub, user: str, server: str = "") -> Mapping[str, str]:
    """Return the variables that somebody's server was given by the hub."""
    file: Path = hub.folder / f"{user}.{server}.json"
    return cast("Mapping[str, str]", json.loads(file.read_text()))


def ask(hub: Hub, user: str, key: str) -> httpx2.Response:
    """Ask the hub for somebody's token with some token of its own."""
    headers = {"Authorization": f"token {key}"}
    return httpx2.get(f"{hub.url}/hub/api/users/{user}/lab-token", headers=headers, timeout=60)


def token_of(hub: Hub, user: str) -> str:
    """Return the token that somebody's server is handed."""
    answer = ask(hub, user, given(hub, user)["JUPYTERHUB_API_TOKEN"])
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])
