"""Folders, ports and secrets of one local hub, kept from one start to the next."""

from __future__ import annotations

import json
import random
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter, ValidationError

from labctl.control_plane.pki import write_private
from labctl.control_plane.ports import FIRST_PORT, LAST_PORT, LOOPBACK, is_free

from .errors import DamagedHubFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["HubFolders", "HubPort", "address", "keep_ports", "keep_secrets", "read_ports"]

TOKEN_BYTES = 32
"""Randomness of a token, as the chart's own have."""

_Kept = TypeVar("_Kept")


class HubPort(StrEnum):
    """What listens on a port."""

    PUBLIC = "proxy"
    PROXY_API = "proxy-api"
    HUB = "hub"


_PORTS = TypeAdapter(dict[HubPort, int])
_SECRETS = TypeAdapter(dict[str, str])


@dataclass(frozen=True)
class HubFolders:
    """Where a local hub keeps its things: ``.lab/<stack>/hub``, pods beside it in ``.lab/<stack>/pods``."""

    directory: Path

    @property
    def pods(self) -> Path:
        """Users' servers: their volumes, logs and records."""
        return self.directory.with_name("pods")

    @property
    def ports(self) -> Path:
        """The kept ports."""
        return self.directory / "ports.json"

    @property
    def tokens(self) -> Path:
        """The kept tokens, between the hub, its proxy and its services."""
        return self.directory / "tokens.json"

    @property
    def secrets(self) -> Path:
        """What the hub reads of secrets: those, and the cluster's."""
        return self.directory / "secrets.json"

    @property
    def settings(self) -> Path:
        """What the hub reads of settings."""
        return self.directory / "settings.json"

    @property
    def runner(self) -> Path:
        """What the pod runner reads."""
        return self.directory / "runner.json"

    @property
    def files(self) -> Path:
        """In place of the root folder of the hub's container."""
        return self.directory / "files"

    @property
    def database(self) -> Path:
        """Users, their servers and tokens."""
        return self.directory / "jupyterhub.sqlite"

    @property
    def token(self) -> Path:
        """Of the hub's service account, kept fresh by the pod runner."""
        return self.directory / "account" / "token"

    @property
    def records(self) -> Path:
        """One process record per component."""
        return self.directory / "run"

    @property
    def logs(self) -> Path:
        """One log per component."""
        return self.directory / "logs"

    @property
    def lock(self) -> Path:
        """Held while something is started or stopped."""
        return self.directory.with_name(f"{self.directory.name}.lock")


def read_ports(path: Path) -> dict[HubPort, int]:
    """Return the kept ports; empty before the first start.

    Raises
    ------
    DamagedHubFileError
        The file is not what was written.
    """
    return _read(path, _PORTS, {})


def keep_ports(path: Path, in_use: Mapping[HubPort, int]) -> dict[HubPort, int]:
    """Return the hub's ports on 127.0.0.1: the kept ones, others for those that somebody else has taken meanwhile.

    Parameters
    ----------
    in_use
        Ports our own running processes listen on.
    """
    kept = read_ports(path)
    good = {use: port for use, port in kept.items() if in_use.get(use) == port or is_free(port)}
    candidates = iter(random.sample(range(FIRST_PORT, LAST_PORT + 1), 500))
    for use in HubPort:
        while use not in good:
            port = next(candidates)
            if port not in kept.values() and port not in good.values() and is_free(port):
                good[use] = port
    if good != kept:
        write_private(path, _PORTS.dump_json(good, indent=1))
    return good


def keep_secrets(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return a random token for each name, those that were made before unchanged."""
    kept = _read(path, _SECRETS, {})
    missing = {name: secrets.token_hex(TOKEN_BYTES) for name in names if name not in kept}
    if missing:
        write_private(path, json.dumps(kept | missing, indent=1).encode())
    return {name: (kept | missing)[name] for name in names}


def _read(path: Path, kind: TypeAdapter[_Kept], missing: _Kept) -> _Kept:
    try:
        return kind.validate_json(path.read_bytes())
    except FileNotFoundError:
        return missing
    except ValidationError as error:
        raise DamagedHubFileError(path=path, reason=str(error)) from error


def address(port: int) -> str:
    """Return where something listens."""
    return f"http://{LOOPBACK}:{port}"
