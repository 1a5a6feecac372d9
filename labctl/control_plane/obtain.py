"""Every pinned program, obtained once: from PATH if it fits, else from the cache, else released, else built."""

import shutil
import subprocess
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from .cache import exclusive_lock, full_disk_told, require_space, require_supported_platform, tool_path
from .errors import BuildFailedError, GoUnavailableError, ReleaseUnavailableError, ToolUnavailableError
from .golang import KEPT, BuildRoom, build_room
from .pins import GoPin, Purpose, ToolPin, VersionFit, go_pin, load_pins, tool_pin
from .progress import Progress, silent
from .release import ReleaseSource
from .versions import fits, parse_version

__all__ = ["Builder", "Fetcher", "Toolbox", "kept_beside", "obtain_all", "obtain_tool", "obtain_tools"]

Builder = Callable[[ToolPin, Path, Progress], None]
"""Leaves the program at the path, or raises `BuildFailedError` or `GoUnavailableError`."""

Fetcher = Callable[[ToolPin, Path, Progress], None]
"""Leaves the program at the path, or raises `ReleaseUnavailableError`."""

PROBE_SECONDS = 20.0
"""For `<program> --version`: instant, but 130 MB from a cold disk are not."""

NEEDED_RELEASE_BYTES = 600 << 20
"""Room asked for before one download: the largest archive and the program in it at the same time."""


class Toolbox:
    """The ways to a program, in order; one per run, so that a dead network is found out once.

    Parameters
    ----------
    fetch
        The release route; default: the publishers' own builds.
    build
        The build route; default: a Go build in a room that all builds of one call share.
    """

    def __init__(self, *, fetch: Fetcher | None = None, build: Builder | None = None) -> None:
        self._fetch = fetch or ReleaseSource().fetch
        self._build = build

    def obtain(self, names: Iterable[str], progress: Progress = silent) -> dict[str, Path]:
        """Return the executable of each pinned program by name; see `obtain_pinned`.

        Raises
        ------
        UnknownToolError
            There is no such program; otherwise as `obtain_pinned`.
        """
        require_supported_platform()
        pins = [tool_pin(name) for name in names]
        return dict(zip((pin.name for pin in pins), self.obtain_pinned(pins, progress), strict=True))

    def obtain_pinned(self, pins: Iterable[ToolPin], progress: Progress = silent) -> list[Path]:
        """Return the executable of each pin, in their order; those that were missing are in the cache afterwards.

        Each is put there by an atomic rename as soon as it is finished, so a killed run loses one build at most. Two
        runs that want the same program do the work once: the second waits.

        Raises
        ------
        ToolUnavailableError, ChecksumMismatchError, DiskSpaceError, UnsupportedPlatformError
            Each names what to do.
        """
        require_supported_platform()
        wanted = list(pins)
        found = [self._at_hand(pin) for pin in wanted]
        with ExitStack() as stack:
            build = self._build or _in_one_room(stack)
            return [path or self._make(pin, build, progress) for pin, path in zip(wanted, found, strict=True)]

    @staticmethod
    def _at_hand(pin: ToolPin) -> Path | None:
        on_path = None if pin.fits is VersionFit.NONE else shutil.which(pin.name)
        if on_path and fits(_probe(on_path, pin.probe), pin.version, pin.fits):
            return Path(on_path)
        cached = tool_path(pin.name, pin.edition)
        return cached if cached.is_file() else None

    def _make(self, pin: ToolPin, build: Builder, progress: Progress) -> Path:
        path = tool_path(pin.name, pin.edition)
        lock = path.parent.with_name(f"{path.parent.name}.lock")
        with exclusive_lock(lock, progress=progress, waiting_for=f"obtaining {pin.name}"):
            if path.is_file():
                return path
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{pin.name}.partial")
            try:
                with full_disk_told(f"obtaining {pin.name}", path.parent, NEEDED_RELEASE_BYTES):
                    self._fill(pin, partial, build, progress)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        progress(f"{pin.name} {pin.version} is ready")
        return path

    def _fill(self, pin: ToolPin, partial: Path, build: Builder, progress: Progress) -> None:
        tried = {"on PATH": _path_finding(pin)}
        try:
            require_space(f"downloading {pin.name}", partial.parent, NEEDED_RELEASE_BYTES)
            self._fetch(pin, partial, progress)
        except ReleaseUnavailableError as error:
            tried["its release"] = str(error)
        else:
            return
        try:
            build(pin, partial, progress)
        except (BuildFailedError, GoUnavailableError) as error:
            tried["built from its Go module"] = str(error)
            raise ToolUnavailableError(name=pin.name, version=pin.version, tried=tried) from error


def _in_one_room(stack: ExitStack) -> Builder:
    """Return a builder that enters one `BuildRoom` per Go when it is first used and leaves it with `stack`."""
    rooms: dict[GoPin, BuildRoom] = {}

    def build(pin: ToolPin, destination: Path, progress: Progress) -> None:
        go = go_pin(pin.purpose)
        if go not in rooms:
            rooms[go] = stack.enter_context(build_room(progress, go))
        rooms[go].build(pin, destination, progress)

    return build


def _probe(executable: str, arguments: tuple[str, ...]) -> tuple[int, int, int] | None:
    try:
        finished = subprocess.run(  # noqa: S603 - a program of this name from PATH, asked for its version
            [executable, *arguments], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(finished.stdout) or parse_version(finished.stderr)


def _path_finding(pin: ToolPin) -> str:
    if pin.fits is VersionFit.NONE:
        return "not looked for: no other build of it may stand in"
    on_path = shutil.which(pin.name)
    if on_path is None:
        return "not there"
    found = _probe(on_path, pin.probe)
    version = ".".join(map(str, found)) if found else "no release version"
    return f"{on_path} is {version}, which does not fit {pin.version} (same {pin.fits} version needed)"


def obtain_tools(names: Iterable[str], progress: Progress = silent) -> dict[str, Path]:
    """Return the executables of these programs by name, obtaining what is missing; see `Toolbox.obtain`."""
    return Toolbox().obtain(names, progress)


def obtain_tool(name: str, progress: Progress = silent) -> Path:
    """Return the executable of one program, obtaining it first if need be; see `Toolbox.obtain`."""
    return obtain_tools([name], progress)[name]


def kept_beside(program: Path) -> Path:
    """Return the archive of what was kept when a program of the cache was built; see `ToolPin.kept`."""
    return program.with_name(KEPT)


def obtain_all(progress: Progress = silent) -> dict[str, Path]:
    """Return the executables of all a machine is prepared with: kubectl and helm too, what hosts and tests run not."""
    return obtain_tools([name for name, pin in load_pins()[1].items() if pin.purpose is Purpose.LAB], progress)
