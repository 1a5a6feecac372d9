"""``encryptionsalt:`` in ``Pulumi.<stack>.yaml``: the one line of that file that belongs to the secrets provider."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .exceptions import StateWriteError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_salt", "write_salt"]

SALT_LINE: Final = re.compile(
    r"^encryptionsalt:[ \t]*(?P<quote>['\"]?)(?P<salt>[^'\"\s#]+)(?P=quote)[ \t]*(?:#.*)?$", re.MULTILINE
)
"""A top-level key; the value is base64 and colons, which YAML writes plain."""


def read_salt(stack_file: Path) -> str | None:
    """Return the salt of a stack's file, None when it has none or there is no file."""
    try:
        found = SALT_LINE.search(stack_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found["salt"] if found else None


def write_salt(stack_file: Path, salt: str) -> None:
    """Put `salt` into a stack's file; every other byte of it stays.

    Raises
    ------
    StateWriteError
        The file cannot be written.
    """
    line = f"encryptionsalt: {salt}"
    try:
        text = stack_file.read_text(encoding="utf-8") if stack_file.exists() else ""
        changed, replaced = SALT_LINE.subn(line, text)
        stack_file.write_text(changed if replaced else f"{text.rstrip()}\n{line}\n".lstrip(), encoding="utf-8")
    except OSError as error:
        raise StateWriteError(str(stack_file), error.strerror or str(error)) from error
