"""``labctl hosts keys``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from labctl import run_log
from labctl.engine.state import known_passphrases
from labctl.errors import UnknownStackError
from labctl.host_keys.collecting import KeyState, collect_keys
from labctl.host_keys.errors import DifferentKeyError, HostKeysMissedError
from labctl.host_keys.stack_file import incomplete_nodes, write_host_keys
from labctl.hosts import UnknownHostError, jump_target
from labctl.lab import find_root
from labctl.secrets import opened_secrets
from labctl.ssh import Connector, fingerprint
from stacks.loading import load_stack_file, stack_file_path, stack_names

from .session import error_console, output_console, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from components.nodes.config import NodesConfig
    from labctl.graph.values import Plain
    from labctl.host_keys.collecting import ShownKey
    from stacks.loading import StackFile

__all__ = ["keys"]

STYLES: Final = {
    KeyState.SAME: "green",
    KeyState.MISSING: "yellow",
    KeyState.DIFFERENT: "bold white on red",
    KeyState.SHARED: "bold red",
    KeyState.UNANSWERED: "red",
}
"""Colours of rich."""
HOW_TO_COMPARE: Final = (
    "Anybody on the way could have answered: compare each fingerprint on the machine's own console with\n"
    "  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
)


def keys(stack: str, *, hosts: tuple[str, ...], write: bool, as_json: bool = False) -> None:
    """Print each host's key beside the pinned one, and write those that are missing if asked to.

    Raises
    ------
    DifferentKeyError, HostKeysMissedError
        After everything was shown, and written.
    """
    path = _stack_file(stack)
    file = load_stack_file(path)
    config = incomplete_nodes(file)
    console = error_console() if as_json else output_console()
    if config.simulated:
        console.print(f"the nodes of {stack} are simulated: there are no hosts to ask", markup=False)
        if as_json:
            print_json({"stack": stack, "hosts": [], "written": []})
        return
    with error_console().status(f"asking the hosts of {stack}"):
        shown = _collected(config, file, stack, hosts)
    for item in shown:
        _print(console, item)
    for item in shown:
        run_log.current().line(f"{item.host}: {item.state.name.lower()} {item.fingerprint}".rstrip())
    missing = {item.host: item.key for item in shown if item.state is KeyState.MISSING and item.key}
    if missing and write:
        write_host_keys(path, missing)
        run_log.current().line(f"written to {path.name}: hostKey of {', '.join(missing)}")
        console.print(f"\nwritten to {path.name}: hostKey of {', '.join(missing)}", markup=False)
    elif missing:
        console.print(f"\nnot pinned yet: {', '.join(missing)}; --write puts the keys into {path.name}", markup=False)
    if any(item.state is not KeyState.SAME for item in shown):
        console.print(HOW_TO_COMPARE, markup=False)
    if as_json:
        documents: list[Plain] = [_document(item) for item in shown]
        print_json({"stack": stack, "hosts": documents, "written": [*sorted(missing)] if write else []})
    _raise(shown)


def _document(item: ShownKey) -> dict[str, Plain]:
    """Return one host's key for ``--json``."""
    return {
        "host": item.host,
        "address": item.address,
        "state": item.state.name.lower(),
        "key": item.key,
        "fingerprint": item.fingerprint or None,
        "pinned": item.pinned,
        "reason": item.reason,
    }


def _stack_file(stack: str) -> Path:
    root = find_root()
    path = stack_file_path(stack, root)
    if not path.is_file():
        raise UnknownStackError(stack=stack, known=stack_names(root))
    return path


def _collected(config: NodesConfig, file: StackFile, stack: str, names: Sequence[str]) -> tuple[ShownKey, ...]:
    known = sorted(name for name, host in config.hosts.items() if not host.lost)
    for name in names:
        if name not in known:
            raise UnknownHostError(name=name, stack=stack, known=known)
    key = config.ssh.private_key if config.ssh.jump is not None else None
    secrets = opened_secrets(file, stack, () if key is None else (key,), known_passphrases())
    connector = Connector()
    try:
        return collect_keys(config, connector, proxy=jump_target(config, secrets), names=names)
    finally:
        connector.close()


def _print(console: Console, item: ShownKey) -> None:
    line = Text(f"{item.host}  {item.address}  ")
    line.append(item.state.value, style=STYLES[item.state])
    if item.reason is not None:
        line.append(f": {item.reason}")
    console.print(line)
    if item.key is not None:
        console.print(f"  {item.key}\n  {item.fingerprint}", markup=False)
    if item.state is KeyState.DIFFERENT and item.pinned is not None:
        console.print(
            f"  pinned: {fingerprint(item.pinned, item.host)}. Another machine answers, or it was installed anew: "
            "then write the new key into the stack file by hand; it is never overwritten.",
            style="bold red",
            markup=False,
        )


def _raise(shown: Sequence[ShownKey]) -> None:
    states = {item.state for item in shown}
    message = ""
    if states & {KeyState.DIFFERENT, KeyState.SHARED}:
        raise DifferentKeyError(message)
    if KeyState.UNANSWERED in states:
        raise HostKeysMissedError(message)
