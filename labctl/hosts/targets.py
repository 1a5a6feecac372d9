"""How hosts are reached from here: the stack file's settings and secrets as SSH targets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from labctl.ssh import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.nodes.config import NodesConfig
    from components.nodes.plan import SshTarget

__all__ = ["host_target", "jump_target"]

RETRIES: Final = 1
"""Further attempts to connect: one lost packet is forgiven, and a host that is off is named soon."""
AGENT_VARIABLE: Final = "SSH_AUTH_SOCK"
"""Names the socket of the agent of whoever runs this."""


def host_target(config: NodesConfig, host: SshTarget, secrets: Mapping[str, str]) -> Target:
    """Return how a host is reached, through the jump host where there is one.

    Raises
    ------
    SshError
        The host has no key, or one that is none.
    """
    return Target(
        host=str(host.address),
        host_key=host.host_key or "",
        port=host.port,
        user=host.user,
        private_key=_private_key(config, secrets),
        agent_socket=_agent(config),
        proxy=jump_target(config, secrets),
        dial_timeout_seconds=config.ssh.connect_timeout.seconds,
        dial_retries=RETRIES,
    )


def jump_target(config: NodesConfig, secrets: Mapping[str, str]) -> Target | None:
    """Return the host that connections go through, None where they are direct."""
    jump = config.ssh.jump
    if jump is None:
        return None
    return Target(
        host=str(jump.address),
        host_key=jump.host_key,
        port=jump.port,
        user=jump.user,
        private_key=_private_key(config, secrets),
        agent_socket=_agent(config),
        dial_timeout_seconds=config.ssh.connect_timeout.seconds,
        dial_retries=RETRIES,
    )


def _private_key(config: NodesConfig, secrets: Mapping[str, str]) -> str | None:
    reference = config.ssh.private_key
    return None if reference is None else secrets[reference.secret]


def _agent(config: NodesConfig) -> str | None:
    """Return the agent's socket where the stack file names no key, as `labctl up` does."""
    return None if config.ssh.private_key is not None else os.environ.get(AGENT_VARIABLE) or None
