"""What the chart makes of the hub's values -> the same for a hub on this machine. Pure.

Addresses become loopback ones, folders of the hub's container folders of this machine, the database a file. The rest
stays as it is: what users may do, what their servers are, how they sign in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.control_plane.pods.model import RUN_LABEL, RUN_LOCALLY
from labctl.control_plane.processes import MARK

from .chart import HUB_URL
from .trees import as_list, as_mapping, texts_replaced

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labctl.graph.values import Plain as Value

    from .chart import Translation

__all__ = ["CONFIGURATION_FOLDER", "Places", "hub_settings"]

CONFIGURATION_FOLDER = "/usr/local/etc/jupyterhub"
"""Where the chart's image has the hub's configuration, on Python's path (``jupyterhub_config.py``)."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where things are on this machine."""

    public: str
    """Address of the proxy, as people's browsers have it, without a path."""
    proxy_api: str
    hub: str
    """Address of the hub, for the proxy and for users' servers."""
    database: Path
    secrets: Path
    """File of the hub's secrets."""
    token: Path
    authority: Path
    files: Path
    """In place of the root folder of the hub's container."""
    volumes: Mapping[str, Path]
    """Folder by volume of the hub's pod."""
    mark: str
    """Of the processes that the hub starts."""
    runs_servers: bool = True
    """Whether users' servers are processes of this machine."""


def hub_settings(translation: Translation, places: Places) -> dict[str, Value]:
    """Return what ``files/jupyterhub_config.py`` reads.

    Parameters
    ----------
    translation
        What the chart makes of the values.
    places
        Where things are here.
    """
    folders = {mount: str(places.volumes[name]) for mount, name in translation.mounts.items()}
    folders[CONFIGURATION_FOLDER] = str(places.files / CONFIGURATION_FOLDER.lstrip("/"))
    by_length = sorted(folders.items(), key=lambda item: -len(item[0]))

    def here(text: str) -> str:
        for folder, local in by_length:
            if text == folder or text.startswith(f"{folder}/"):
                return f"{local}{text[len(folder) :]}"
        return text.replace(HUB_URL, places.hub)

    config = {section: as_mapping(texts_replaced(traits, here)) for section, traits in translation.config.items()}
    hub, spawner = config["JupyterHub"], config["KubeSpawner"]
    hub |= {
        "bind_url": f"{places.public}{hub.pop('base_url', '/')}",
        "hub_bind_url": places.hub,
        "hub_connect_url": places.hub,
        "db_url": f"sqlite:///{places.database}",
        "services": [_marked(service, places.mark) for service in as_list(hub["services"])],
    }
    config["ConfigurableHTTPProxy"]["api_url"] = places.proxy_api
    if places.runs_servers:
        spawner["common_labels"] = {**as_mapping(spawner["common_labels"]), RUN_LABEL: RUN_LOCALLY}
    for section, traits in config.items():
        callback = traits.get("oauth_callback_url")
        if isinstance(callback, str):
            # The provider has to know it: one for development, registered with this machine's address.
            path = callback.partition("://")[2].partition("/")[2]
            config[section]["oauth_callback_url"] = f"{places.public}/{path}"
    return {
        "config": dict(config),
        "services": list(translation.services),
        "extra_config": dict(translation.extra_config),
        "values": as_mapping(texts_replaced(translation.values, here)),
        "folder": folders[CONFIGURATION_FOLDER],
        "secrets": str(places.secrets),
        "token": str(places.token),
        "authority": str(places.authority),
    }


def _marked(service: Value, mark: str) -> Value:
    """Return a service whose process is found again, were the hub killed before it could end it."""
    known = as_mapping(service)
    return {**known, "environment": {**as_mapping(known.get("environment")), MARK: mark}}
