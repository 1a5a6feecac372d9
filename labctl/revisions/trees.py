"""The project's files at a git revision, on disk."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .errors import NoRepositoryError, UnknownRevisionError, UnsafeRevisionError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["WORKING_TREE", "changed_files", "commit_of", "revision_tree", "short_commit"]

WORKING_TREE: Final = "the working tree"
"""What stands for the files as they are now, in messages."""
PROGRAM: Final = ("__main__.py", "Pulumi*.yaml", "components", "stacks", "policies")
"""What a revision's program consists of; tests, docs and the tool itself are not needed."""


@contextmanager
def revision_tree(root: Path, revision: str | None) -> Generator[Path]:
    """Yield a folder with the program's files at `revision`, gone afterwards.

    Parameters
    ----------
    root
        The project's folder, in a git repository.
    revision
        A commit, branch or tag; None: the files as they are now, those that git ignores left out.

    Raises
    ------
    NoRepositoryError, UnknownRevisionError
        Git has no such thing.
    UnsafeRevisionError
        The revision has a link that leads out of it.
    """
    with tempfile.TemporaryDirectory(prefix="labctl-revision-") as name:
        folder = Path(name).resolve()
        if revision is None:
            _copy_working_tree(root, folder)
        else:
            _extract(root, commit_of(root, revision), folder)
        yield folder


def commit_of(root: Path, revision: str) -> str:
    """Return the id of the commit that `revision` names.

    Raises
    ------
    NoRepositoryError, UnknownRevisionError
        Git has no such thing.
    """
    _git(root, "rev-parse", "--git-dir")
    try:
        found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except NoRepositoryError:
        raise UnknownRevisionError(revision) from None
    return found.decode().strip()


def short_commit(root: Path, revision: str) -> str:
    """Return the id of the commit that `revision` names, as short as git finds it unmistakable.

    Raises
    ------
    NoRepositoryError, UnknownRevisionError
        Git has no such thing.
    """
    return _git(root, "rev-parse", "--short", commit_of(root, revision)).decode().strip()


def changed_files(root: Path, base: str, head: str | None, paths: Sequence[str]) -> tuple[str, ...]:
    """Return the files at or below `paths` that differ between two revisions, sorted.

    Parameters
    ----------
    root
        The project's folder, which the paths start from.
    base, head
        Commits, branches or tags; None: the files as they are, as far as git knows them.
    paths
        Files and folders.

    Raises
    ------
    NoRepositoryError, UnknownRevisionError
        Git has no such thing.
    """
    revisions = [commit_of(root, revision) for revision in (base, head) if revision is not None]
    found = _git(root, "diff", "--name-only", "-z", "--relative", *revisions, "--", *paths)
    return tuple(sorted(filter(None, found.decode(errors="replace").split("\0"))))


def _extract(root: Path, commit: str, folder: Path) -> None:
    """Unpack the program's files of `commit`; file times are the commit's own."""
    known = _git(root, "ls-tree", "--name-only", commit, "./").decode().splitlines()
    names = [Path(name).name for name in known]
    wanted = [name for name in names if any(Path(name).match(pattern) for pattern in PROGRAM)]
    if not wanted:
        return
    packed = _git(root, "archive", "--format=tar", commit, "--", *wanted)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        try:
            archive.extractall(folder, filter="data")
        except tarfile.FilterError as error:
            raise UnsafeRevisionError(error.tarinfo.name) from error


def _copy_working_tree(root: Path, folder: Path) -> None:
    """Copy the program's files as they are, those that git knows or would add."""
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PROGRAM).decode()
    for name in sorted(set(filter(None, listed.split("\0")))):
        source, target = root / name, folder / name
        if source.is_file() and not source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _git(root: Path, *arguments: str) -> bytes:
    git = shutil.which("git")
    if git is None:
        raise NoRepositoryError(root, "there is no git on PATH")
    try:
        done = subprocess.run([git, *arguments], cwd=root, check=True, capture_output=True)  # noqa: S603 - our own words
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise NoRepositoryError(root, said[-1] if said else f"git ended with {error.returncode}") from error
    return done.stdout
