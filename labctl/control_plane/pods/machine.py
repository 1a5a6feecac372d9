"""What this machine gives to pods: addresses, folders for claims, and as much isolation as it allows."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, cast

from pydantic import Field

from labctl.control_plane.errors import ApiRequestError

from .errors import UnboundClaimError
from .model import Part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labctl.control_plane.client import ApiClient

    from .environment import Person

__all__ = [
    "ADDRESSES",
    "CLAIMS",
    "Isolation",
    "allows",
    "answers",
    "cluster_content",
    "folder_of_claim",
    "free_address",
    "isolation",
]

ADDRESSES = IPv4Network("127.64.0.0/10")
"""Where pods get their addresses: loopback, which any process may listen on without being told; the pod network of the
lab is nobody's here. Above 127.64 so that nothing customary (127.0.0.1, 127.0.0.53, 127.0.1.1) is among them."""

PROBE_SECONDS = 10.0
"""For `unshare` to start nothing."""
CONNECT_SECONDS = 0.2
"""For a connection on loopback."""

CLAIMS = "claims"
"""Folder of volumes that belong to one claim, by namespace."""
SHARED_MODE, WRITABLE_MODE = 0o755, 0o1777
"""Of a share's folder when it is made: whoever may write to it in the cluster is not known here."""


class Isolation(StrEnum):
    """How a pod's processes are kept apart from the machine."""

    ROOT = "root"
    """Namespaces of their own, and another user: as root."""
    OWN_USER = "own-user"
    """Namespaces of their own below a user namespace, always the user who runs this."""
    NONE = "none"
    """Plain processes: no mounts, a home folder where the claim's folder is."""


def isolation() -> Isolation:
    """Return the most isolation this machine allows."""
    wanted = Isolation.ROOT if os.geteuid() == 0 else Isolation.OWN_USER
    return wanted if allows(wanted) else Isolation.NONE


def allows(level: Isolation) -> bool:
    """Return whether namespaces of this kind can be had here."""
    program = shutil.which("unshare")
    if program is None or (level is Isolation.ROOT and os.geteuid() != 0):
        return level is Isolation.NONE
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = [program, *flags(level), "true"]
        subprocess.run(command, check=True, capture_output=True, timeout=PROBE_SECONDS)  # noqa: S603 - ours
        return True
    return False


def flags(level: Isolation) -> tuple[str, ...]:
    """Return what `unshare` is told."""
    own = ("--user", "--map-current-user", "--keep-caps") if level is Isolation.OWN_USER else ()
    return (*own, "--mount", "--pid", "--fork", "--kill-child", "--uts", "--propagation", "private")


def free_address(uid: str, port: int | None) -> str:
    """Return a loopback address for a pod, one at which nobody listens; the same for the same pod, if it is free."""
    size = ADDRESSES.num_addresses
    first = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8], "big")
    for attempt in range(64):
        address = str(IPv4Address(int(ADDRESSES.network_address) + 1 + (first + attempt * 7919) % (size - 2)))
        if port is None or _is_free(address, port):
            return address
    return str(ADDRESSES.network_address + 1)


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def answers(address: str, port: int) -> bool:
    """Return whether somebody listens there."""
    try:
        with socket.create_connection((address, port), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


def cluster_content(client: ApiClient, namespace: str, kind: str, name: str) -> Mapping[str, bytes] | None:
    """Return the keys of a ConfigMap or Secret; None where there is none."""
    plural = {"ConfigMap": "configmaps", "Secret": "secrets"}[kind]
    try:
        found = json.loads(client.request("GET", f"/api/v1/namespaces/{namespace}/{plural}/{name}"))
    except ApiRequestError as error:
        if error.status == 404:  # noqa: PLR2004 - HTTP's own number
            return None
        raise
    data = cast("dict[str, str]", found.get("data") or {})
    binary = cast("dict[str, str]", found.get("binaryData") or {})
    if kind == "Secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    return {key: value.encode() for key, value in data.items()} | {
        key: base64.b64decode(value) for key, value in binary.items()
    }


class _Nfs(Part):
    server: str
    path: str


class _Csi(Part):
    volume_attributes: dict[str, str] = Field(default_factory=dict[str, str])


class _ClaimSpec(Part):
    volume_name: str = ""


class _Claim(Part):
    spec: _ClaimSpec = _ClaimSpec()


class _VolumeSpec(Part):
    nfs: _Nfs | None = None
    csi: _Csi | None = None


class _Volume(Part):
    spec: _VolumeSpec = _VolumeSpec()


def folder_of_claim(  # noqa: PLR0913 - the claim by namespace and name, and for whom
    client: ApiClient, volumes: Path, namespace: str, claim: str, owner: Person | None, *, is_written: bool
) -> Path:
    """Return the folder that stands for a claim's volume, made the first time.

    Parameters
    ----------
    volumes
        Where all of them are.
    owner
        Whose a new home is; None: whoever runs this. A folder that is there keeps its owner.
    is_written
        Whether the pod may write to it.

    Raises
    ------
    UnboundClaimError
        The claim is not bound.
    """
    try:
        found = _Claim.model_validate_json(
            client.request("GET", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}")
        )
        if not found.spec.volume_name:
            raise UnboundClaimError(claim)
        volume = _Volume.model_validate_json(
            client.request("GET", f"/api/v1/persistentvolumes/{found.spec.volume_name}")
        )
    except ApiRequestError as error:
        if error.status == 404:  # noqa: PLR2004 - HTTP's own number
            raise UnboundClaimError(claim) from error
        raise
    share = _share_of(volume)
    if share is None:
        folder = volumes / CLAIMS / namespace / claim
        if not folder.exists():
            folder.mkdir(parents=True, mode=0o700)
            if owner is not None:
                os.chown(folder, owner.uid, owner.gid)
        return folder
    folder = volumes / "shared" / share
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(SHARED_MODE)
    if is_written:
        folder.chmod(WRITABLE_MODE)
    return folder


def _share_of(volume: _Volume) -> str | None:
    """Return ``server/path`` of a share of the storage host; None for a volume of one claim."""
    if volume.spec.nfs is not None:
        return f"{volume.spec.nfs.server}/{volume.spec.nfs.path.strip('/')}"
    attributes = volume.spec.csi.volume_attributes if volume.spec.csi else {}
    if "share" not in attributes:
        return None
    parts = (attributes.get("server", "local"), attributes["share"].strip("/"), attributes.get("subdir", "").strip("/"))
    return "/".join(part for part in parts if part)
