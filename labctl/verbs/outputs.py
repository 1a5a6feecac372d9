"""``labctl outputs``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from labctl.display.words import shown
from labctl.engine.state import UpdateKind
from labctl.errors import LabError
from labctl.exit_codes import ExitCode
from labctl.graph.values import REDACTED, contains_secret, redact, reveal
from labctl.lab import open_lab

from .session import output_console, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.graph.values import Inputs, Plain, Value

__all__ = ["SecretOutputError", "UnknownOutputError", "outputs"]


class UnknownOutputError(LabError):
    """The stack exports nothing of that name."""

    exit_code = ExitCode.USAGE

    def __init__(self, *, name: str, stack: str, known: Sequence[str]) -> None:
        told = ", ".join(known) if known else "none yet: `labctl up` has not run, or the program exports nothing"
        super().__init__(f"stack {stack} has no output {name}; its outputs: {told}")


class SecretOutputError(LabError):
    """One value was asked for, and it is a secret: a placeholder would be taken for it by a script."""

    exit_code = ExitCode.USAGE

    def __init__(self, *, name: str) -> None:
        super().__init__(f"output {name} is a secret, or holds one: say --show-secrets to have it printed")


def outputs(stack: str, name: str | None = None, *, as_json: bool, show_secrets: bool) -> None:
    """Print what the stack exports, secrets hidden unless asked for; of one output `name` its value alone.

    Raises
    ------
    UnknownOutputError, SecretOutputError
        There is no such output; it is a secret that was not asked for in the clear.
    """
    values = open_lab(stack).open(UpdateKind.PREVIEW).snapshot.outputs
    if name is not None:
        _print_one(stack, name, values, as_json=as_json, show_secrets=show_secrets)
        return
    plain = {key: _plain(value, show_secrets=show_secrets) for key, value in sorted(values.items())}
    if as_json:
        print_json(dict(plain))
        return
    console = output_console()
    for key, value in plain.items():
        text = value if isinstance(value, str) else shown(reveal(values[key]) if show_secrets else values[key])
        console.print(f"{key}: {text}", markup=False)
    if not show_secrets and any(contains_secret(value) for value in values.values()):
        console.print(f"{REDACTED}: shown by --show-secrets", style="dim", markup=False)


def _print_one(stack: str, name: str, values: Inputs, *, as_json: bool, show_secrets: bool) -> None:
    if name not in values:
        raise UnknownOutputError(name=name, stack=stack, known=sorted(values))
    if contains_secret(values[name]) and not show_secrets:
        raise SecretOutputError(name=name)
    value = _plain(values[name], show_secrets=show_secrets)
    if as_json:
        print_json(value)
    else:
        sys.stdout.write((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)) + "\n")


def _plain(value: Value, *, show_secrets: bool) -> Plain:
    return redact(reveal(value) if show_secrets else value)
