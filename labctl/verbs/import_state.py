"""``labctl import``."""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, cast

from labctl.engine.state import (
    MalformedStateError,
    StateDroppedError,
    StateError,
    UpdateKind,
    check_given,
    import_deployment,
    write_salt,
)
from labctl.lab import open_lab
from labctl.run_log.about import about_later

from .session import Asked, error_console, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from labctl.engine.state import Given, Snapshot
    from labctl.graph.values import Plain
    from labctl.lab import Lab

__all__ = ["import_state"]

SHOWN: Final = 20
"""Lines of a list that is shown before a question."""


def import_state(  # noqa: PLR0913 - one parameter per option
    stack: str, *, file: Path | None, drop: Sequence[str], replace: bool, yes: bool, as_json: bool = False
) -> None:
    """Make what `file` or stdin holds the stack's state; everything is checked before anything is written.

    Raises
    ------
    StateDroppedError
        The present state has resources that the given one lacks; `drop` has patterns of those that may be forgotten,
        and `replace` says that all may.
    StateError
        The given state is another stack's, inconsistent, or its secrets cannot be opened.
    """
    lab = open_lab(stack)
    text = _text(file)
    salt = lab.file.encryption_salt
    checked = check_given(lab.files(), _parsed(text, file), lab.passphrases(), salt=salt)
    may_drop = None if replace else _named(drop)
    _show(checked, _present(lab, replace=replace), may_drop)
    asked = Asked(as_json=as_json, yes=yes)
    asked.confirm(f"Replace the state of {stack}?")
    done = import_deployment(
        lab.files(),
        _parsed(text, file),
        lab.passphrases(),
        salt=salt,
        may_drop=may_drop,
        about=about_later(lab.root, lab.file, lab.cluster, "")(),
    )
    backup = f"{lab.files().checkpoint_key}.bak"
    asked.console().print(
        f"imported: {len(done.snapshot.resources)} resources; what was there is in {backup}",
        markup=False,
    )
    _keep_salt(lab, done, asked)
    if as_json:
        print_json({"stack": stack, "resources": len(done.snapshot.resources), "backup": backup})


def _text(file: Path | None) -> str:
    try:
        return sys.stdin.read() if file is None else file.read_text(encoding="utf-8")
    except OSError as error:
        raise MalformedStateError(str(file), error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise MalformedStateError(str(file or "stdin"), "not a text in UTF-8") from error


def _parsed(text: str, file: Path | None) -> Plain:
    place = str(file or "stdin")
    try:
        return cast("Plain", json.loads(text, parse_constant=_no_number))
    except ValueError as error:
        raise MalformedStateError(place, f"not JSON ({error})") from error
    except RecursionError as error:
        raise MalformedStateError(place, "not a state: it is nested too deeply") from error


def _no_number(constant: str) -> Plain:
    """Refuse what Python reads and JSON has not: the official CLI could not read a state with it."""
    message = f"{constant} is no number of JSON"
    raise ValueError(message)


def _named(patterns: Sequence[str]) -> Callable[[str], bool]:
    def may_drop(urn: str) -> bool:
        return any(fnmatchcase(urn, pattern) for pattern in patterns)

    return may_drop


def _present(lab: Lab, *, replace: bool) -> Snapshot | None:
    """Return the present state; None for one that cannot be read and is to be replaced whatever it is."""
    try:
        return lab.open(UpdateKind.PREVIEW).snapshot
    except StateError:
        if not replace:
            raise
        return None


def _show(checked: Given, present: Snapshot | None, may_drop: Callable[[str], bool] | None) -> None:
    console = error_console()
    if present is None:
        console.print("the present state cannot be read; it is replaced as it is", style="yellow")
        return
    missing = checked.missing(present)
    refused = [] if may_drop is None else [urn for urn in missing if not may_drop(urn)]
    if refused:
        raise StateDroppedError(refused)
    lists = {
        "is new": checked.added(present),
        "is forgotten": missing,
        "is pending; the next run settles it": [item.resource.urn for item in checked.snapshot.pending_operations],
    }
    for what, urns in lists.items():
        for urn in urns[:SHOWN]:
            console.print(f"{what}: {urn}", markup=False)
        if len(urns) > SHOWN:
            console.print(f"{what}: {len(urns) - SHOWN} more")


def _keep_salt(lab: Lab, done: Given, asked: Asked) -> None:
    """Put the salt into the stack's file when it has none, so that either CLI seals under it from now on."""
    manager = done.codec.manager
    if lab.file.encryption_salt is not None or manager.salt is None:
        return
    if manager.source == str(lab.default_passphrase):
        console = error_console()
        console.print(f"its secrets are sealed with this checkout's own passphrase ({manager.source})", markup=False)
        return
    write_salt(lab.file.path, manager.salt)
    asked.console().print(f"{lab.file.path.name}: encryptionsalt set to that of the state", markup=False)
