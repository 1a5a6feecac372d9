"""The command provider: which type does what."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.base import Context, Created, Diff, Resource
from labctl.engine.providers.properties import UnknownPropertyError, UnsupportedTypeError
from labctl.graph.differences import differences
from labctl.ssh import Connector

from .exceptions import NotBuiltError
from .local import LocalCommand
from .remote import REMOTE, RemoteCommand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.values import Inputs

    from .lifecycle import CommandResource

__all__ = ["CommandFactory", "CommandProvider"]

PROVIDER: Final = "pulumi:providers:command"
LOCAL: Final = "command:local:Command"
COPIES: Final = frozenset({"command:remote:CopyFile", "command:remote:CopyToRemote"})
"""Types of the official provider that this one does not have."""
CONFIGURATION_KEYS: Final = frozenset({"version", "pluginDownloadURL", "__internal", "__pulumi-go-provider-version"})
GO_PROVIDER_VERSION: Final = "1.2.0"
"""Version of the framework that pulumi-command 1.2.1 is built with, as it notes in its own configuration."""
TYPES: Final = (LOCAL, REMOTE)
"""Types that there are."""


class CommandProvider:
    """The command provider; it has no configuration.

    Commands of this machine run in the folder `project`, those of others through `connector`.
    """

    def __init__(self, project: Path, connector: Connector) -> None:
        self._handlers: Mapping[str, CommandResource] = {LOCAL: LocalCommand(project), REMOTE: RemoteCommand(connector)}

    def check(self, resource: Resource, old: Resource | None) -> Inputs:
        """Return the inputs as they are stored; raises `ProviderError` for a type or property there is not."""
        del old
        return self._handler(resource.type).check(resource)

    def diff(self, old: Resource, inputs: Inputs, context: Context) -> Diff:
        """Return how the inputs differ from those of the last run."""
        del context
        return self._handler(old.type).diff(old, inputs)

    def create(self, resource: Resource, context: Context) -> Created:
        """Run the command for a new resource; in a preview its output is unknown."""
        return self._handler(resource.type).create(resource, context)

    def update(self, old: Resource, inputs: Inputs, context: Context) -> Created:
        """Run the command for a changed resource; in a preview its output is unknown."""
        return self._handler(old.type).update(old, inputs, context)

    def read(self, resource: Resource, context: Context) -> Created | None:
        """Return the state's copy: what a command has done cannot be asked for (nor can the official provider)."""
        del context
        return Created(id=resource.id, outputs=resource.outputs, inputs=resource.inputs)

    def delete(self, resource: Resource, context: Context) -> None:
        """Run the command for a resource that goes."""
        self._handler(resource.type).delete(resource, context)

    def _handler(self, type_token: str) -> CommandResource:
        if type_token in COPIES:
            raise NotBuiltError(type_token, TYPES)
        if type_token not in self._handlers:
            raise UnsupportedTypeError(type_token, TYPES)
        return self._handlers[type_token]


@dataclass(frozen=True, kw_only=True)
class CommandFactory:
    """Makes `CommandProvider`.

    Parameters
    ----------
    project
        Folder in which commands run: the project's, whatever the working folder is (as the official engine has it).
    connector
        Runs the commands of other machines; one for all providers of a run.
    """

    project: Path = Path()
    connector: Connector = field(default_factory=Connector)

    def check_config(self, inputs: Inputs) -> Inputs:
        """Return the provider resource's inputs as the official engine stores them; there is nothing to configure."""
        for name in inputs:
            if name not in CONFIGURATION_KEYS:
                raise UnknownPropertyError(PROVIDER, name, CONFIGURATION_KEYS)
        return {"__internal": {}, "__pulumi-go-provider-version": GO_PROVIDER_VERSION, **inputs}

    def diff_config(self, old: Inputs, new: Inputs) -> Diff:
        """Return the changed properties; none of them replaces a resource."""
        return Diff(changes=differences(dict(old), dict(new)))

    def configure(self, inputs: Inputs) -> CommandProvider:
        """Return the provider."""
        del inputs
        return CommandProvider(self.project, self.connector)

    def close(self) -> None:
        """Close the connections to other machines; one that is needed later is made again."""
        self.connector.close()
