"""Encryption of Secrets in etcd: what follows from the stack file alone, and the step that writes them all anew.

Which change of the keys may be made on a living cluster depends on what its API servers have now: that is checked on
the hosts, before anything is changed (`files/encryption-check.sh`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.problems import Problem

from .plan import bootstrap_host, control_planes
from .steps import Lifecycle, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .config import NodesConfig

__all__ = ["PLAIN", "check", "rewrite_steps"]

PLAIN = "identity"
"""Name of the key that is none: no encryption (kube-apiserver, EncryptionConfiguration: the identity provider)."""


def rewrite_steps(config: NodesConfig) -> tuple[Step, ...]:
    """Return the one step that writes every Secret anew with the first key, where the file asks for it."""
    encryption, host = config.control_plane.encryption, bootstrap_host(config)
    if encryption is None or encryption.rewritten is None or host is None:
        return ()
    return (
        Step(
            name="rewrite",
            subject=None,
            host=host,
            libraries=("kube", "encryption-check"),
            lifecycle=Lifecycle.ONCE,
            generation=encryption.rewritten,
            values={"ADDRESS": str(config.hosts[host].address), "REWRITE_KEY": encryption.rewritten},
            after=tuple(
                (step, plane) for plane in control_planes(config) for step in ("control-plane", "join", "version")
            ),
        ),
    )


def check(config: NodesConfig) -> Iterator[Problem]:
    """Yield what is wrong with the keys, paths relative to the section."""
    encryption, path = config.control_plane.encryption, ("controlPlane", "encryption")
    if encryption is None:
        return
    names: set[str] = set()
    secrets: set[str] = set()
    for index, key in enumerate(encryption.keys):
        if (key.name == PLAIN) != (key.key is None):
            plain = key.name == PLAIN
            yield Problem(
                path=(*path, "keys", index),
                what=f"{PLAIN} stands for no encryption, and has no key" if plain else f"{key.name} names no secret",
                remedy="leave key out, or give it another name" if plain else "add key: {secret: ...}",
            )
        secret = None if key.key is None else key.key.secret
        if key.name in names or secret in secrets:
            what = f"the name {key.name}" if key.name in names else f"the secret {secret}"
            yield Problem(
                path=(*path, "keys", index),
                what=f"{what} is used twice",
                remedy="give each key a name and a secret of its own; a name never gets another key",
            )
        names.add(key.name)
        if secret is not None:
            secrets.add(secret)
    first = encryption.keys[0].name
    if encryption.rewritten is not None and encryption.rewritten != first:
        yield Problem(
            path=(*path, "rewritten"),
            what=f"Secrets are written with the first key, {first}, not with {encryption.rewritten}",
            remedy=f"name {first}, or make {encryption.rewritten} the first key in an `up` of its own",
        )
