"""How each program of the local hub is run, and where it tells that it is well. Pure."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from labctl.control_plane.processes import MARK

from .places import HubPort, address
from .programs import FILES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .places import HubFolders
    from .programs import HubPrograms

__all__ = ["HUB", "PROXY", "RUNNER", "HubComponent", "Way", "hub_components", "runner_component"]

RUNNER: Final = "labctl.control_plane.pods"
PROXY: Final = "configurable-http-proxy"
HUB: Final = "jupyterhub"
"""Names of the processes, by which one without a record is recognised; in the order in which they need each other."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH after the hub's own programs; nothing else of whoever starts it is inherited."""


@dataclass(frozen=True, kw_only=True)
class HubComponent:
    """One process to run."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    inputs: tuple[Path, ...]
    """Files it reads once at start: other content means it must be restarted."""
    health: str
    """Address that answers 200 when it is well; or a file that is touched while it works."""
    title: str
    """For people."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """What the release decides of how the hub is run."""

    base_url: str
    """Path of the hub below its address, with a slash at its end."""
    variables: Mapping[str, str] = field(repr=False)
    """Those of the hub's container."""
    proxy_token: str = field(repr=False)
    """What the hub shows to the proxy."""
    mark: str
    """Of all of these processes' children."""


def runner_component(folders: HubFolders) -> HubComponent:
    """Return how the pod runner is run."""
    # Of this very project, wherever it is run from.
    project = str(Path(__file__).parents[2])
    return HubComponent(
        name=RUNNER,
        command=(sys.executable, "-m", RUNNER, str(folders.runner)),
        environment={**_usual(folders), "PATH": SYSTEM_PATH, "PYTHONPATH": project},
        inputs=(folders.runner,),
        health=str(folders.pods / "alive"),
        title="pod runner",
    )


def hub_components(
    folders: HubFolders, programs: HubPrograms, ports: Mapping[HubPort, int], way: Way
) -> dict[str, HubComponent]:
    """Return the processes by name, in the order in which they need each other.

    Parameters
    ----------
    folders
        What they read is in there already.
    programs, ports, way
        What is run, where it listens, and what the release decides.
    """
    public, hub = address(ports[HubPort.PUBLIC]), address(ports[HubPort.HUB])
    search = f"{programs.environment / 'bin'}:{programs.node.parent}:{SYSTEM_PATH}"
    proxy = HubComponent(
        name=PROXY,
        command=(
            str(programs.node),
            str(programs.proxy),
            "--ip=127.0.0.1",
            f"--port={ports[HubPort.PUBLIC]}",
            "--api-ip=127.0.0.1",
            f"--api-port={ports[HubPort.PROXY_API]}",
            f"--default-target={hub}",
            f"--error-target={hub}{way.base_url}hub/error",
            "--log-level=warn",
            f"--pid-file={folders.directory / 'proxy.pid'}",
        ),
        environment={**_usual(folders), "PATH": search, "CONFIGPROXY_AUTH_TOKEN": way.proxy_token},
        inputs=(),
        health=f"{public}/_chp_healthz",
        title="proxy",
    )
    program = programs.environment / "bin" / HUB
    config = FILES / "jupyterhub_config.py"
    told = {
        "PATH": search,
        "PYTHONUNBUFFERED": "1",
        "CONFIGPROXY_AUTH_TOKEN": way.proxy_token,
        "LAB_HUB_SETTINGS": str(folders.settings),
        # Bytecode of the project's modules stays out of its folders.
        "PYTHONDONTWRITEBYTECODE": "1",
        MARK: way.mark,
    }
    files = tuple(sorted(path for path in folders.files.rglob("*") if path.is_file()))
    hub_process = HubComponent(
        name=HUB,
        command=(
            str(programs.python),
            str(program),
            "--upgrade-db",
            f"--config={config}",
            f"--pid-file={folders.directory / 'hub.pid'}",
        ),
        environment={**_usual(folders), **way.variables, **told},
        inputs=(folders.settings, folders.secrets, config, FILES / "z2jh.py", *files),
        health=f"{hub}{way.base_url}hub/health",
        title="hub",
    )
    return {each.name: each for each in (runner_component(folders), proxy, hub_process)}


def _usual(folders: HubFolders) -> dict[str, str]:
    return {"LANG": "C.UTF-8", "HOME": str(folders.directory)}
