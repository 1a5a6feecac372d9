"""``command:remote:Command``: a command of another machine as a resource (pulumi-command 1.2, ``remote.Command``)."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.properties import Kind
from labctl.graph.values import Value, as_mapping, as_text
from labctl.ssh import ConnectionLostError, SshError

from .connection import checked_connection, connection_secrets, target_of
from .exceptions import NotStartedError, UnknownOutcomeError
from .lifecycle import COMMON_KINDS, CommandResource, Telling, previous_output

if TYPE_CHECKING:
    from labctl.engine.providers.base import Context, Resource
    from labctl.graph.values import Inputs
    from labctl.ssh import Connector

__all__ = ["REMOTE", "RemoteCommand"]

REMOTE: Final = "command:remote:Command"
SIGNALLED_STATUS: Final = 128
"""What Go adds a signal's number to (golang.org/x/crypto/ssh: ``Waitmsg``)."""


class RemoteCommand(CommandResource):
    """What the provider does for ``command:remote:Command``.

    The host must be the one that ``connection.hostKey`` says; the official provider takes any where that is unset.

    Parameters
    ----------
    connector
        Runs the commands; shared by all resources of a run, and so are its connections.
    """

    kinds = COMMON_KINDS | {"connection": Kind.ANY}
    required = ("connection",)

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    def check(self, resource: Resource) -> Inputs:
        """Return the inputs as they are stored: the connection completed, and sealed as a whole."""
        inputs = super().check(resource)
        return {**inputs, "connection": checked_connection(resource.type, inputs["connection"])}

    def run(self, command: Value, inputs: Inputs, previous: Inputs, context: Context) -> Inputs:
        """Run `command` on its host and return what it said.

        Raises
        ------
        UnknownOutcomeError
            It was started, and the connection was lost before its end: the next run runs it again.
        CommandFailedError, NotStartedError
            It failed, or was not run at all.
        """
        connection = inputs.get("connection")
        values = {key: value for key, value in inputs.items() if key != "connection"}
        hidden: Inputs = {"connection": list(connection_secrets(connection)), "previous": list(previous.values())}
        telling = Telling(command, inputs, values | hidden, context)
        environment = {key: as_text(value) for key, value in as_mapping(inputs.get("environment")).items()}
        try:
            finished = self._connector.run(
                target_of(REMOTE, connection),
                as_text(command),
                stdin=as_text(inputs.get("stdin")).encode(),
                environment=environment,
                hints=previous_output(inputs, previous),
                on_line=telling.line,
                on_refused=lambda name: context.report(_refused(name)),
                cancelled=context.cancelled,
                timeout_seconds=context.timeout_seconds,
            )
        except ConnectionLostError as error:
            raise UnknownOutcomeError(telling.hide(str(error)), telling.command) from None
        except SshError as error:
            raise NotStartedError(telling.hide(str(error)), telling.command) from None
        return telling.outputs(finished, _how)


def _refused(name: str) -> str:
    return (
        f"warning: the host does not take {name} (sshd_config: AcceptEnv); the command runs without it. "
        "addPreviousOutputInEnv=False says that it is not wanted"
    )


def _how(status: int) -> str:
    """Return how a remote command failed, in the words of Go's SSH library."""
    if status >= 0:
        return f"Process exited with status {status}"
    try:
        name = signal.Signals(-status).name.removeprefix("SIG")
    except ValueError:
        name = "an unknown one"
    return f"Process exited with status {SIGNALLED_STATUS - status} from signal {name}"
