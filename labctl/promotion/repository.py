"""The file of pins on disk and in git: whether it may be written, writing it at once, committing it alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ChangedMeanwhileError, NoCommitError, UncommittedPinsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["commit", "read_exactly", "require_committed", "write_at_once"]


def require_committed(root: Path, path: Path) -> str | None:
    """Return if git knows the file as it is; a note where there is no git to ask.

    Raises
    ------
    UncommittedPinsError
        Somebody's changes are in it.
    """
    name = path.relative_to(root).as_posix()
    try:
        said = _git(root, ["status", "--porcelain", "--untracked-files=all", "--", name])
    except NoCommitError:
        return f"git could not be asked whether {name} holds changes of somebody's"
    if said.strip():
        raise UncommittedPinsError(name)
    return None


def read_exactly(path: Path) -> str:
    """Return a file's text with its own line ends."""
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def write_at_once(path: Path, text: str, *, expected: str) -> None:
    """Put a text in a file's place by one rename: whoever is cut off, and whenever, leaves the old file or the new one.

    Parameters
    ----------
    path
        The file; it keeps its mode.
    text
        What it holds afterwards.
    expected
        What it must hold still.

    Raises
    ------
    ChangedMeanwhileError
        It holds something else.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(path, draft)
        if read_exactly(path) != expected:
            raise ChangedMeanwhileError(path.name)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def commit(root: Path, path: Path, message: str) -> str:
    """Commit this one file, whatever else is changed or staged, and return the commit's short id.

    Raises
    ------
    NoCommitError
        Git did not; the file stays written.
    """
    name = path.relative_to(root).as_posix()
    _git(root, ["commit", "--quiet", "--file=-", "--only", "--", name], message)
    return _git(root, ["rev-parse", "--short", "HEAD"]).strip()


def _git(root: Path, arguments: Sequence[str], stdin: str | None = None) -> str:
    git = shutil.which("git")
    if git is None:
        raise NoCommitError(file=arguments[-1], said="there is no git on PATH")
    done = subprocess.run([git, *arguments], cwd=root, input=stdin, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise NoCommitError(file=arguments[-1], said=done.stderr.strip() or f"it ended with {done.returncode}")
    return done.stdout
