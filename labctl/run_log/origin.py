"""What a run's entry in the history says of where it came from: git, who, by which program.

The keys are those of the official CLI (``sdk/go/common/apitype``, ``pkg/backend``: ``git.*``, ``ci.*``, ``exec.kind``);
what it has no key for begins with ``labctl.``.
"""

from __future__ import annotations

import getpass
import os
import platform
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Origin", "OriginInBackground", "origin_of"]

PATIENCE_SECONDS: Final = 5
"""For git to answer; a run does not wait longer to know its revision."""
EXEC_KIND: Final = "labctl"
"""The official CLI writes ``cli`` or ``auto.inline``."""
COMMIT_FORMAT: Final = "%an%x00%ae%x00%cn%x00%ce%x00%s"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a run came from."""

    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    title: str = ""
    """First line of the revision's commit message; what the official CLI takes for a run without a message."""


class OriginInBackground:
    """The origin of a run, asked of git while the run goes on."""

    def __init__(self, root: Path) -> None:
        self._found = Origin()
        self._thread = threading.Thread(target=self._ask, args=(root,), name="origin", daemon=True)
        self._thread.start()

    def get(self) -> Origin:
        """Return it, as far as it is known within `PATIENCE_SECONDS`."""
        self._thread.join(PATIENCE_SECONDS)
        return self._found

    def _ask(self, root: Path) -> None:
        self._found = origin_of(root)


def origin_of(root: Path) -> Origin:
    """Return where a run in the project's folder comes from; without git, or outside a repository, who and where."""
    git, title = _git(root)
    return Origin(environment=dict(sorted((git | _ci() | _who()).items())), title=title)


def _who() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        user = str(os.getuid())
    return {
        "exec.kind": EXEC_KIND,
        "labctl.user": user,
        "labctl.host": socket.gethostname(),
        "pulumi.os": platform.system().lower(),
        "pulumi.arch": platform.machine(),
    }


def _ci() -> dict[str, str]:
    """Return what the official CLI says of a run of GitHub Actions (``sdk/go/common/util/ciutil``)."""
    if not os.environ.get("GITHUB_ACTIONS"):
        return {}
    stated = {
        "ci.system": "GitHub Actions",
        "ci.build.id": os.environ.get("GITHUB_RUN_ID"),
        "ci.build.number": os.environ.get("GITHUB_RUN_NUMBER"),
        "ci.build.type": os.environ.get("GITHUB_EVENT_NAME"),
        "ci.pr.headSHA": os.environ.get("GITHUB_SHA"),
    }
    return {key: value for key, value in stated.items() if value}


def _git(root: Path) -> tuple[dict[str, str], str]:
    status = _asked(root, "status", "--porcelain=v2", "--branch", "--untracked-files=normal")
    if status is None:
        return {}, ""
    lines = status.splitlines()
    heads = dict(line.removeprefix("# branch.").split(" ", 1) for line in lines if line.startswith("# branch."))
    commit = (_asked(root, "log", "-1", f"--format={COMMIT_FORMAT}") or "").rstrip("\n").split("\0")
    if len(commit) != COMMIT_FORMAT.count("%x00") + 1:  # a repository without a commit
        return {}, ""
    author, author_email, committer, committer_email, title = commit
    name = heads.get("head", "")
    return {
        "git.head": heads.get("oid", ""),
        "git.headName": "HEAD" if name == "(detached)" else f"refs/heads/{name}",
        "git.dirty": "true" if any(not line.startswith("#") for line in lines) else "false",
        "git.author": author,
        "git.author.email": author_email,
        "git.committer": committer,
        "git.committer.email": committer_email,
    }, title


def _asked(root: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603 - fixed arguments
            ("git", "-C", str(root), *arguments),  # noqa: S607 - the person's own git, wherever it is
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_SECONDS,
            check=False,
            # Read only: a run must not be in the way of somebody's commit.
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout if answer.returncode == 0 else None
