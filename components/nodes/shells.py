"""How a login's shell becomes root's and is fed a step: the same for what `up` applies and what `drift` checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .plan import SshTarget

__all__ = ["PASSWORD_END", "shell"]

PASSWORD_END = "# research-compute"  # noqa: S105 - a line, not a password
"""Line between sudo's password and the text."""
ASKING_SUDO = (
    "IFS= read -r p; printf '%s\\n' \"$p\" | sudo -S -p '' true || "
    "{{ echo 'refused: sudo does not accept the password of nodes.ssh.sudoPassword' >&2; exit 77; }}; "
    "{{ printf '%s\\n' \"$p\"; cat; }} | sudo -S -p '' bash -c 'IFS= read -r l; "
    '[ "$l" = "{end}" ] || IFS= read -r l; exec bash -s "$0"\' {mode}'
)
"""Reads the password from the first line. It is tried once by itself (`sudo true`, so that a wrong one counts as one
failure), then given again for the case that nothing is remembered; a sudo that asks for none leaves it, to be skipped.
"""


def shell(target: SshTarget, mode: str, *, asks_password: bool) -> str:
    """Return the command that feeds its standard input to a root shell.

    Parameters
    ----------
    target
        The host; nothing is asked of sudo where its login is root.
    mode
        ``apply``, ``undo`` or ``check``.
    asks_password
        Whether sudo's password and `PASSWORD_END` come before the text, each on a line.
    """
    if target.user == "root":
        return f"bash -s {mode}"
    if asks_password:
        return ASKING_SUDO.format(end=PASSWORD_END, mode=mode)
    return f"sudo -n bash -s {mode}"
