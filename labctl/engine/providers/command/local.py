"""``command:local:Command``: a command of this machine as a resource (pulumi-command 1.2, ``local.Command``)."""

from __future__ import annotations

import errno
import os
import secrets
import signal
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.base import Context, Created, Diff, Resource
from labctl.engine.providers.properties import InvalidPropertyError, Kind, check_properties, known
from labctl.graph.differences import differences
from labctl.graph.values import REDACTED, UNKNOWN, Secret, Value, as_mapping, as_text, reveal

from .exceptions import CommandFailedError, NotStartedError
from .process import Ending, Finished, Stream, run_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from labctl.graph.values import Inputs

__all__ = ["LocalCommand"]

KINDS: Final = {
    "addPreviousOutputInEnv": Kind.BOOLEAN,
    "create": Kind.TEXT,
    "delete": Kind.TEXT,
    "dir": Kind.TEXT,
    "environment": Kind.TEXT_MAP,
    "interpreter": Kind.TEXTS,
    "logging": Kind.TEXT,
    "stdin": Kind.TEXT,
    "triggers": Kind.LIST,
    "update": Kind.TEXT,
}
"""All of the official ones but ``assetPaths`` and ``archivePaths``: this program's commands return text."""
LOGGED: Final = {
    "stdoutAndStderr": frozenset(Stream),
    "stdout": frozenset({Stream.STDOUT}),
    "stderr": frozenset({Stream.STDERR}),
    "none": frozenset[Stream](),
}
"""Which output each ``logging`` shows while the command runs."""
SHELL: Final = ("/bin/sh", "-c")
"""Default interpreter; the command is its last argument."""
PREVIOUS_STDOUT: Final = "PULUMI_COMMAND_STDOUT"
PREVIOUS_STDERR: Final = "PULUMI_COMMAND_STDERR"
ID_HEX_BYTES: Final = 4
"""Ids are the resource's name and 8 hexadecimal digits (``resource.NewUniqueHex``)."""
SHORTEST_REDACTED: Final = 3
"""Characters; shorter secrets are part of too many words to be looked for in output."""


class LocalCommand:
    """What the provider does for ``command:local:Command``.

    Parameters
    ----------
    project
        Folder in which commands run, and where a relative ``dir`` starts from; as it is when the command runs, a
        relative one starts from the working folder.
    """

    def __init__(self, project: Path) -> None:
        self._project = project

    def check(self, resource: Resource) -> Inputs:
        """Return the inputs as they are; raises `ProviderError` for what the type does not have."""
        inputs = check_properties(resource.type, resource.inputs, KINDS)
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
            outputs = self._run(command, resource.inputs, outputs, context)
        identity = f"{resource.name}{secrets.token_hex(ID_HEX_BYTES)}"
        return Created(id=identity, outputs={**resource.inputs, **outputs})

    def update(self, old: Resource, inputs: Inputs, context: Context) -> Created:
        """Run ``update``, or ``create`` when there is none, of the new inputs, with the old output in reach."""
        if context.preview:
            return Created(id=old.id, outputs={**inputs, "stdout": UNKNOWN, "stderr": UNKNOWN})
        outputs: Inputs = {key: old.outputs.get(key, "") for key in ("stdout", "stderr")}
        command = inputs.get("update", inputs.get("create"))
        if command is not None:
            outputs = self._run(command, inputs, outputs, context)
        return Created(id=old.id, outputs={**inputs, **outputs})

    def delete(self, resource: Resource, context: Context) -> None:
        """Run ``delete``, if there is one."""
        command = resource.inputs.get("delete")
        if command is not None:
            self._run(command, resource.inputs, resource.outputs, context)

    def _run(self, command: Value, inputs: Inputs, previous: Inputs, context: Context) -> Inputs:
        folder = self._project / as_text(inputs.get("dir"))
        return _run(command, inputs, previous, folder, context)


def _run(command: Value, inputs: Inputs, previous: Inputs, folder: Path, context: Context) -> Inputs:
    """Run `command` in `folder` and return what it said; raises `CommandFailedError` or `NotStartedError`."""
    text = as_text(command)
    veil = _Veil({**inputs, "command": command, "previous": list(previous.values())})
    logged = LOGGED[as_text(inputs.get("logging"), "stdoutAndStderr")]

    def report(stream: Stream, line: str) -> None:
        if stream in logged:
            context.report(veil.hide(line))

    try:
        finished = run_process(
            [*_interpreter(inputs), text],
            folder=folder,
            environment=_environment(inputs, previous),
            stdin=as_text(inputs.get("stdin")).encode(),
            on_line=report,
            cancelled=context.cancelled,
            timeout_seconds=context.timeout_seconds,
        )
    except (OSError, ValueError) as error:
        raise _not_started(error, veil.hide(text)) from None  # the cause would show the command
    if finished.status != 0 or finished.ending is not Ending.ITSELF:
        how = _how(finished, context.timeout_seconds)
        raise CommandFailedError(how, veil.hide(text), veil.hide(finished.both.decode(errors="replace")))
    return {"stdout": _output(finished.stdout), "stderr": _output(finished.stderr)}


def _output(content: bytes) -> str:
    """Return output without its last line break, as the official provider keeps it."""
    return content.decode(errors="replace").removesuffix("\n")


def _interpreter(inputs: Inputs) -> list[str]:
    given = reveal(inputs.get("interpreter"))
    chosen = [as_text(item) for item in given] if isinstance(given, list) else []
    return chosen or [*SHELL]


def _environment(inputs: Inputs, previous: Inputs) -> dict[str, str]:
    """Return this process's environment, the resource's over it, and the previous output's over that."""
    environment = dict(os.environ)
    environment |= {key: as_text(value) for key, value in as_mapping(inputs.get("environment")).items()}
    if reveal(inputs.get("addPreviousOutputInEnv")) is not False:
        named = ((PREVIOUS_STDOUT, "stdout"), (PREVIOUS_STDERR, "stderr"))
        environment |= {name: text for name, key in named if (text := as_text(previous.get(key)))}
    return environment


def _how(finished: Finished, timeout_seconds: float | None) -> str:
    """Return how a command failed, in Go's words."""
    if finished.ending is Ending.TIMED_OUT:
        return f"timed out after {timeout_seconds:g} s"
    if finished.ending is Ending.CANCELLED:
        return "cancelled"
    if finished.status < 0:
        return f"signal: {(signal.strsignal(-finished.status) or str(-finished.status)).lower()}"
    return f"exit status {finished.status}"


def _not_started(error: OSError | ValueError, command: str) -> NotStartedError:
    if isinstance(error, OSError):
        hint = "set addPreviousOutputInEnv to false, or pass less in environment" if error.errno == errno.E2BIG else ""
        where = f" ({error.filename})" if error.filename and str(error.filename) not in command else ""
        return NotStartedError(f"{error.strerror}{where}", command, hint)
    return NotStartedError("an argument or variable holds a null byte", command)


class _Veil:
    """Hides the secrets among some values in text that people see."""

    def __init__(self, values: Inputs) -> None:
        texts = {piece for text in _secret_texts(dict(values), sealed=False) for piece in (text, *text.splitlines())}
        self.texts = sorted((text for text in texts if len(text) >= SHORTEST_REDACTED), key=len, reverse=True)

    def hide(self, text: str) -> str:
        for secret in self.texts:
            text = text.replace(secret, REDACTED)
        return text


def _secret_texts(value: Value, *, sealed: bool) -> Iterator[str]:
    if isinstance(value, Secret):
        yield from _secret_texts(value.value, sealed=True)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _secret_texts(item, sealed=sealed)
    elif isinstance(value, list):
        for item in value:
            yield from _secret_texts(item, sealed=sealed)
    elif isinstance(value, str) and sealed:
        yield value
