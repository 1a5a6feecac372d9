"""The secrets a cluster names, out of the stack's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from components.hub.identity.plan import bind_password
from components.hub.operation.plan import database_password
from components.hub.signin.plan import sign_in_secret
from components.network.plan import secrets as network_secrets
from components.nodes import plan as nodes_plan
from components.storage.hosts_plan import secrets as storage_secrets
from components.unknown import unknown_text

from .errors import MissingSecretsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.secrets import SecretRef

    from .config import ClusterConfig

__all__ = ["StackSecrets", "host_secrets", "used_secrets"]


def used_secrets(config: ClusterConfig) -> tuple[SecretRef, ...]:
    """Return the secrets the program reads for a cluster: of its hosts, certificates, sign-in, hub's database."""
    network, hub = config.network, config.hub
    signing_in = sign_in_secret(hub.authentication) if hub is not None else None
    named = (
        *host_secrets(config),
        *(network_secrets(network) if network is not None else ()),
        signing_in.reference if signing_in is not None else None,
        database_password(hub) if hub is not None else None,
        bind_password(hub) if hub is not None else None,
    )
    return tuple(reference for reference in named if reference is not None)


def host_secrets(config: ClusterConfig) -> tuple[SecretRef, ...]:
    """Return the secrets that reaching the hosts and their steps take; of an adopted cluster, its kubeconfig alone."""
    storage = storage_secrets(config.storage) if config.nodes.adopt is None else ()
    return (*nodes_plan.secrets(config.nodes), *storage)


class StackSecrets:
    """Secrets of this stack by reference. In a preview without them, unknown values stand for them.

    Parameters
    ----------
    config
        The stack's configuration.
    references
        All the secrets that will be asked for.

    Raises
    ------
    MissingSecretsError
        With every secret that is missing, outside a preview.
    """

    def __init__(self, config: pulumi.Config, references: Sequence[SecretRef]) -> None:
        self._values = {reference.secret: config.get_secret(reference.secret) for reference in references}
        missing = sorted(key for key, value in self._values.items() if value is None)
        if missing and not pulumi.runtime.is_dry_run():
            raise MissingSecretsError(stack=pulumi.get_stack(), keys=missing)

    def known(self, reference: SecretRef) -> pulumi.Output[str]:
        """Return the secret."""
        value = self._values.get(reference.secret)
        return unknown_text() if value is None else value

    def get(self, reference: SecretRef | None) -> pulumi.Output[str] | None:
        """Return the secret, or None where nothing is referred to."""
        return None if reference is None else self.known(reference)
