"""The keys that hosts show, beside those that the stack file pins."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from components.nodes.plan import ssh_targets
from labctl.ssh import SshError, fingerprint

if TYPE_CHECKING:
    from collections.abc import Collection

    from components.nodes.config import NodesConfig
    from components.nodes.plan import SshTarget
    from labctl.ssh import Connector, Target

__all__ = ["KeyState", "ShownKey", "collect_keys"]

PARALLEL: Final = 32
"""Hosts asked at once; each is three short connections, one per kind of key."""


class KeyState(StrEnum):
    """How what a host shows relates to the stack file."""

    SAME = "same"
    MISSING = "not pinned yet"
    DIFFERENT = "DIFFERENT"
    SHARED = "shared"
    """Not pinned yet, and the same as another host's: a cloned disk, or twice the same machine."""
    UNANSWERED = "no answer"


@dataclass(frozen=True, kw_only=True)
class ShownKey:
    """One host and the key it shows."""

    host: str
    address: str
    """With the port, where that is not 22."""
    state: KeyState
    key: str | None = None
    """The line for the stack file: the pinned one where it is shown, else the first of Ed25519, ECDSA, RSA."""
    pinned: str | None = None
    reason: str | None = None
    """Why there is no answer; which host has the same key."""

    @property
    def fingerprint(self) -> str:
        """What `ssh-keygen -l` shows of the key; empty where there is none."""
        return fingerprint(self.key, self.host) if self.key else ""


def collect_keys(
    config: NodesConfig, connector: Connector, *, proxy: Target | None, names: Collection[str] = ()
) -> tuple[ShownKey, ...]:
    """Return what each host that is not lost shows, by name in order; nobody is let in anywhere but on a jump host.

    Parameters
    ----------
    config
        The nodes section.
    connector
        Connects.
    proxy
        The jump host, known by its pinned key.
    names
        Hosts to ask; all where none is named.
    """
    targets = [target for target in ssh_targets(config) if not names or target.host in names]
    seconds = config.ssh.connect_timeout.seconds

    def ask(target: SshTarget) -> ShownKey:
        return _shown(target, connector, proxy, seconds)

    with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="host-keys") as pool:
        found = tuple(pool.map(ask, targets))
    return _without_shared(config, found)


def _shown(target: SshTarget, connector: Connector, proxy: Target | None, seconds: float) -> ShownKey:
    host = f"[{target.address}]" if ":" in str(target.address) else str(target.address)
    place = host if target.port == 22 else f"{host}:{target.port}"  # noqa: PLR2004 - SSH's port, which goes unsaid
    shown = ShownKey(host=target.host, address=place, state=KeyState.UNANSWERED, pinned=target.host_key)
    try:
        keys = connector.host_keys(str(target.address), target.port, proxy=proxy, timeout_seconds=seconds)
    except SshError as error:
        return replace(shown, reason=str(error))
    if not keys:
        return replace(shown, reason="it shows no Ed25519, ECDSA or RSA key")
    if target.host_key is None:
        return replace(shown, state=KeyState.MISSING, key=keys[0])
    pinned = fingerprint(target.host_key, target.host)
    same = next((key for key in keys if fingerprint(key, target.host) == pinned), None)
    state = KeyState.DIFFERENT if same is None else KeyState.SAME
    return replace(shown, state=state, key=same or keys[0])


def _without_shared(config: NodesConfig, found: tuple[ShownKey, ...]) -> tuple[ShownKey, ...]:
    """Return what was found, with keys that several hosts have marked where they are not pinned yet."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for name, host in sorted(config.hosts.items()):
        if host.host_key is not None:
            owners[fingerprint(host.host_key, name)].append(name)
    for shown in found:
        if shown.state is KeyState.MISSING:
            owners[shown.fingerprint].append(shown.host)
    return tuple(
        replace(shown, state=KeyState.SHARED, reason=f"the same key as {', '.join(others)}")
        if shown.state is KeyState.MISSING
        and (others := [name for name in owners[shown.fingerprint] if name != shown.host])
        else shown
        for shown in found
    )
