"""What a command resource is, wherever its commands run: one for its creation, its changes and its end."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.base import Context, Created, Diff, Resource
from labctl.engine.providers.properties import InvalidPropertyError, Kind, check_properties, known
from labctl.graph.differences import differences
from labctl.graph.values import UNKNOWN, Value, as_text, reveal
from labctl.ssh.outcome import Ending, Stream

from .exceptions import CommandFailedError
from .veil import Veil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labctl.graph.values import Inputs
    from labctl.ssh.outcome import Finished

__all__ = ["COMMON_KINDS", "CommandResource", "Telling", "previous_output"]

COMMON_KINDS: Final = {
    "addPreviousOutputInEnv": Kind.BOOLEAN,
    "create": Kind.TEXT,
    "delete": Kind.TEXT,
    "environment": Kind.TEXT_MAP,
    "logging": Kind.TEXT,
    "stdin": Kind.TEXT,
    "triggers": Kind.LIST,
    "update": Kind.TEXT,
}
"""Properties of commands of every sort."""
LOGGED: Final = {
    "stdoutAndStderr": frozenset(Stream),
    "stdout": frozenset({Stream.STDOUT}),
    "stderr": frozenset({Stream.STDERR}),
    "none": frozenset[Stream](),
}
"""Which output each ``logging`` shows while the command runs."""
PREVIOUS_STDOUT: Final = "PULUMI_COMMAND_STDOUT"
PREVIOUS_STDERR: Final = "PULUMI_COMMAND_STDERR"
ID_HEX_BYTES: Final = 4
"""Ids are the resource's name and 8 hexadecimal digits (``resource.NewUniqueHex``)."""


class CommandResource(ABC):
    """What the provider does for one type of command."""

    kinds: Mapping[str, Kind] = COMMON_KINDS
    """Properties the type has."""
    required: tuple[str, ...] = ()

    def check(self, resource: Resource) -> Inputs:
        """Return the inputs as they are stored; raises `ProviderError` for what the type does not have."""
        inputs = check_properties(resource.type, resource.inputs, self.kinds, self.required)
        logging = inputs.get("logging")
        if known(logging) and as_text(logging) not in LOGGED:
            raise InvalidPropertyError(resource.type, "logging", f"one of {', '.join(LOGGED)}")
        return inputs

    def diff(self, old: Resource, inputs: Inputs) -> Diff:
        """Return the changed paths. All are updates to the provider, except ``triggers`` coming or going as a whole.

        That a changed element of it replaces is said by the registration (``replaceOnChanges: triggers[*]``, which
        the SDK adds), and is for the engine to apply.
        """
        changes = differences(dict(old.inputs), dict(inputs))
        return Diff(changes=changes, replace_paths=frozenset({"triggers"} & changes.keys()))

    def create(self, resource: Resource, context: Context) -> Created:
        """Run ``create``, if there is one."""
        if context.preview:
            return Created(id="", outputs={**resource.inputs, "stdout": UNKNOWN, "stderr": UNKNOWN})
        outputs: Inputs = {"stdout": "", "stderr": ""}
        command = resource.inputs.get("create")
        if command is not None:
            outputs = self.run(command, resource.inputs, outputs, context)
        identity = f"{resource.name}{secrets.token_hex(ID_HEX_BYTES)}"
        return Created(id=identity, outputs={**resource.inputs, **outputs})

    def update(self, old: Resource, inputs: Inputs, context: Context) -> Created:
        """Run ``update``, or ``create`` when there is none, of the new inputs, with the old output in reach."""
        if context.preview:
            return Created(id=old.id, outputs={**inputs, "stdout": UNKNOWN, "stderr": UNKNOWN})
        outputs: Inputs = {key: old.outputs.get(key, "") for key in ("stdout", "stderr")}
        command = inputs.get("update", inputs.get("create"))
        if command is not None:
            outputs = self.run(command, inputs, outputs, context)
        return Created(id=old.id, outputs={**inputs, **outputs})

    def delete(self, resource: Resource, context: Context) -> None:
        """Run ``delete``, if there is one."""
        command = resource.inputs.get("delete")
        if command is not None:
            self.run(command, resource.inputs, resource.outputs, context)

    @abstractmethod
    def run(self, command: Value, inputs: Inputs, previous: Inputs, context: Context) -> Inputs:
        """Run `command` and return its ``stdout`` and ``stderr``; raises `ProviderError` for one that failed."""


class Telling:
    """What people are shown of one run: lines as ``logging`` has it, failures, and no secret in either.

    Parameters
    ----------
    values
        Everything that could be said and may hold secrets.
    """

    def __init__(self, command: Value, inputs: Inputs, values: Inputs, context: Context) -> None:
        self._veil = Veil({**values, "command": command})
        self._logged = LOGGED[as_text(inputs.get("logging"), "stdoutAndStderr")]
        self._context = context
        self.command = self._veil.hide(as_text(command))
        """The command as it may be shown."""

    def line(self, stream: Stream, line: str) -> None:
        """Show a line of output, if it is to be shown."""
        if stream in self._logged:
            self._context.report(self._veil.hide(line))

    def hide(self, text: str) -> str:
        """Return `text` without secrets."""
        return self._veil.hide(text)

    def outputs(self, finished: Finished, how: Callable[[int], str]) -> Inputs:
        """Return what a command said, each without its last line break, as the official provider keeps it.

        Raises
        ------
        CommandFailedError
            It ended otherwise than by itself with status 0; `how` words the status.
        """
        if finished.ending is Ending.TIMED_OUT:
            reason = f"timed out after {self._context.timeout_seconds:g} s"
        elif finished.ending is Ending.CANCELLED:
            reason = "cancelled"
        elif finished.status != 0:
            reason = how(finished.status)
        else:
            return {"stdout": _output(finished.stdout), "stderr": _output(finished.stderr)}
        raise CommandFailedError(reason, self.command, self._veil.hide(finished.both.decode(errors="replace")))


def previous_output(inputs: Inputs, previous: Inputs) -> dict[str, str]:
    """Return the variables that hold the previous output, unless it is unwanted or empty."""
    if reveal(inputs.get("addPreviousOutputInEnv")) is False:
        return {}
    named = ((PREVIOUS_STDOUT, "stdout"), (PREVIOUS_STDERR, "stderr"))
    return {name: text for name, key in named if (text := as_text(previous.get(key)))}


def _output(content: bytes) -> str:
    return content.decode(errors="replace").removesuffix("\n")
