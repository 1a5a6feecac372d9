"""The TCP ports of one control plane on 127.0.0.1: chosen free once, kept with its data."""

import errno
import json
import random
import socket
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from .errors import DamagedDataError, NoFreePortError
from .pki import write_private
from .progress import Progress

__all__ = [
    "FIRST_PORT",
    "LAST_PORT",
    "LOOPBACK",
    "PortUse",
    "choose_ports",
    "is_free",
    "keep_ports",
    "port_holder",
    "read_ports",
]

LOOPBACK = "127.0.0.1"
"""The only address anything here listens on."""

FIRST_PORT = 18_000
LAST_PORT = 29_999
"""Above the ports of well-known services, below NodePorts (30000, Kubernetes' default) and below Linux's range for
outgoing connections (32768, ip_local_port_range): a kept port in there would now and then be a browser's."""


class PortUse(StrEnum):
    """What listens on a port."""

    API_SERVER = "kube-apiserver"
    ETCD_CLIENT = "etcd"
    ETCD_PEER = "etcd-peer"
    CONTROLLER_MANAGER = "kube-controller-manager"
    SCHEDULER = "kube-scheduler"
    KWOK = "kwok"


def is_free(port: int) -> bool:
    """Return whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Go's listeners do: connections of an earlier server that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def choose_ports(
    uses: Iterable[PortUse], *, avoid: Iterable[int], free: Callable[[int], bool] = is_free
) -> dict[PortUse, int]:
    """Return a free port for each use, different from each other and from `avoid`.

    They are tried in random order, so that two control planes made at the same moment do not try the same ones.

    Raises
    ------
    NoFreePortError
        The range is full.
    """
    taken = set(avoid)
    candidates = random.sample(range(FIRST_PORT, LAST_PORT + 1), LAST_PORT - FIRST_PORT + 1)
    chosen: dict[PortUse, int] = {}
    wanted = list(uses)
    for use in wanted:
        while candidates:
            port = candidates.pop()
            if port not in taken and free(port):
                chosen[use] = port
                break
        else:
            raise NoFreePortError(wanted=len(wanted), first=FIRST_PORT, last=LAST_PORT)
    return chosen


def read_ports(path: Path) -> dict[PortUse, int]:
    """Return the ports kept at `path`; empty if there are none yet.

    Raises
    ------
    DamagedDataError
        The file is not what `keep_ports` writes.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        return {PortUse(use): int(port) for use, port in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise DamagedDataError(path=path, reason=str(error)) from error


def keep_ports(
    path: Path, *, in_use_by_us: Mapping[PortUse, int], progress: Progress, free: Callable[[int], bool] = is_free
) -> dict[PortUse, int]:
    """Return this control plane's ports, the kept ones where possible, and keep what is new at `path`.

    A kept port that somebody else has taken meanwhile is replaced, and the change told: whoever reads the kubeconfig
    finds the new one there.

    Parameters
    ----------
    path
        The file the ports are kept in.
    in_use_by_us
        Ports our own running processes listen on: not free, and right.
    """
    kept = read_ports(path)
    good = {use: port for use, port in kept.items() if in_use_by_us.get(use) == port or free(port)}
    for use, port in kept.items():
        if use not in good:
            progress(f"port {port} of {use} is now used by {port_holder(port) or 'another program'}; choosing another")
    missing = [use for use in PortUse if use not in good]
    if missing:
        good |= choose_ports(missing, avoid=kept.values(), free=free)
        write_private(path, json.dumps({use.value: good[use] for use in PortUse}, indent=1).encode())
    return good


def port_holder(port: int) -> str | None:
    """Return ``<program> (pid <n>)`` for whoever listens on 127.0.0.1:`port`; None if that is not ours to see."""
    wanted = f":{port:04X}"
    sockets: set[str] = set()
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(wanted) and fields[3] == "0A":
            sockets.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in sockets for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue
    return None
