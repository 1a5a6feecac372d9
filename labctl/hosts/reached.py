"""All that asking the hosts of one lab needs: who they are, how they are reached, and what is hidden of their words."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from components.nodes.plan import ssh_targets
from labctl.engine.providers.command.veil import Veil
from labctl.graph.values import Secret
from labctl.secrets import opened_secrets
from stacks.secrets import host_secrets

from .errors import UnknownHostError
from .targets import host_target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from components.nodes.config import NodesConfig
    from components.nodes.plan import SshTarget
    from labctl.lab import Lab
    from labctl.ssh import Target

__all__ = ["LabHosts", "lab_hosts"]


@dataclass(frozen=True, kw_only=True)
class LabHosts:
    """Hosts of one lab that can be asked."""

    config: NodesConfig
    targets: Mapping[str, SshTarget]
    """By name, in the order of the stack file."""
    secrets: Mapping[str, str] = field(repr=False)
    """Secret values by their configuration key."""

    @property
    def sudo_password(self) -> str | None:
        """The password sudo asks for; None where it asks for none."""
        reference = self.config.ssh.sudo_password
        return None if reference is None else self.secrets[reference.secret]

    def reach(self, name: str) -> Callable[[], Target]:
        """Return what makes the SSH target of a host; an `SshError` of it is the host's own."""
        return partial(host_target, self.config, self.targets[name], self.secrets)

    def hider(self) -> Callable[[str], str]:
        """Return what takes secrets out of what hosts say."""
        return Veil({key: Secret(value) for key, value in self.secrets.items()}).hide


def lab_hosts(lab: Lab, names: Sequence[str] = ()) -> LabHosts:
    """Return the hosts of a lab that can be asked, or those of them that are named.

    Raises
    ------
    UnknownHostError
        A host is named that cannot be asked.
    MissingSecretsError, PassphraseMissingError
        A secret that reaching them needs is not there, or cannot be opened.
    """
    config = lab.cluster.nodes
    targets = {target.host: target for target in ssh_targets(config)}
    for name in names:
        if name not in targets:
            raise UnknownHostError(name=name, stack=lab.stack, known=list(targets))
    return LabHosts(
        config=config,
        targets={name: target for name, target in targets.items() if not names or name in names},
        secrets=opened_secrets(lab.file, lab.stack, host_secrets(lab.cluster), lab.passphrases()),
    )
