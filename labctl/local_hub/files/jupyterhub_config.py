"""The local hub's configuration: what `labctl` has translated from the release's values, put into JupyterHub's ``c``.

Read by JupyterHub itself, in the environment of its own; nothing of this project but the folder of settings is there.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, Protocol, cast

from kubernetes_asyncio.config import incluster_config
from tornado.httpclient import AsyncHTTPClient


class _Section(Protocol):
    """Traits of one class."""

    cookie_secret: bytes
    keys: list[str]
    services: list[dict[str, object]]

    def update(self, traits: dict[str, object]) -> None:
        """Set traits."""
        ...


class _Configuration(Protocol):
    """JupyterHub's ``c``."""

    JupyterHub: _Section
    CryptKeeper: _Section

    def __getitem__(self, section: str) -> _Section: ...


settings: dict[str, Any] = json.loads(Path(os.environ["LAB_HUB_SETTINGS"]).read_text(encoding="utf-8"))
secrets: dict[str, str] = json.loads(Path(settings["secrets"]).read_text(encoding="utf-8"))
# The chart's own folder comes first, as in its image; then `z2jh`, which stands in for the chart's module of that name.
sys.path[:0] = [settings["folder"], str(Path(__file__).parent)]

# As in a pod: the service account's token, read anew every minute, and the authority of the API server.
incluster_config.SERVICE_TOKEN_FILENAME = settings["token"]
incluster_config.SERVICE_CERT_FILENAME = settings["authority"]

AsyncHTTPClient.configure("tornado.curl_httpclient.CurlAsyncHTTPClient")

c = cast("_Configuration", globals()["get_config"]())
for section, traits in settings["config"].items():
    c[section].update(traits)
c.JupyterHub.cookie_secret = bytes.fromhex(secrets["hub.config.JupyterHub.cookie_secret"])
c.CryptKeeper.keys = secrets["hub.config.CryptKeeper.keys"].split(";")
for service in c.JupyterHub.services:
    if service["name"] in settings["services"]:
        service["api_token"] = secrets[f"hub.services.{service['name']}.apiToken"]

for key, text in sorted(settings["extra_config"].items()):
    exec(compile(text, f"hub.extraConfig.{key}", "exec"))  # noqa: S102 - as the chart runs its values
