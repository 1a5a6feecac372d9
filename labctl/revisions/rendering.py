"""One revision's program, run in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from stacks.errors import StackFileError
from stacks.loading import SealedValue, load_stack_file, stack_file_path
from stacks.project import PROJECT

from .errors import RehearsalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from labctl.graph.values import Plain

__all__ = ["Rendered", "RevisionProgram"]

TOOL: Final = Path(__file__).parents[2]
"""Folder that holds the running ``labctl``."""
INHERITED: Final = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV")
"""Variables that a revision's program sees: it may be a stranger's, and tokens are often in the others."""
LONGEST_WORDS: Final = 2000
"""Characters of what a process said that are repeated in a message."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """One stack of one revision."""

    exists: bool = True
    error: str | None = None
    deployment: Plain = None
    resources: tuple[Mapping[str, Plain], ...] = ()
    preview: Mapping[str, Plain] = field(default_factory=dict[str, "Plain"])


class RevisionProgram:
    """The process that runs one revision's program."""

    def __init__(self, root: Path, revision: str) -> None:
        self._root = root
        self._revision = revision
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= {"PYTHONPATH": str(TOOL), "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "labctl.revisions.child"],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._tell({"root": str(root), "project": PROJECT})

    def render(self, stack: str, plan_from: Rendered | None = None) -> Rendered:
        """Return `stack` at this revision: what it would deploy, or else the plan to it from another revision's."""
        path = stack_file_path(stack, self._root)
        if not path.is_file():
            return Rendered(exists=False)
        try:
            file = load_stack_file(path)
        except StackFileError as error:
            return Rendered(error=str(error))
        config, _ = file.program_config(None)
        sealed: list[Plain] = [key for key, value in file.config.items() if isinstance(value, SealedValue)]
        asked: dict[str, Plain] = {
            "stack": stack,
            "config": dict(config),
            "sealed": sealed,
            "plan": plan_from is not None,
        }
        asked["before"] = plan_from.deployment if plan_from is not None else None
        self._tell(asked)
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RehearsalError(self._revision, self._last_words())
        answer = cast("dict[str, Plain]", json.loads(line))
        if answer["error"] is not None:
            return Rendered(error=str(answer["error"]))
        return Rendered(
            deployment=answer.get("deployment"),
            resources=tuple(cast("list[dict[str, Plain]]", answer["resources"])),
            preview=cast("dict[str, Plain]", answer.get("preview", {})),
        )

    def _tell(self, message: Mapping[str, Plain]) -> None:
        try:
            if self._process.stdin:
                self._process.stdin.write(json.dumps(message) + "\n")
                self._process.stdin.flush()
        except BrokenPipeError:
            raise RehearsalError(self._revision, self._last_words()) from None

    def _last_words(self) -> str:
        said = self._process.communicate()[1] or ""
        return said.strip()[-LONGEST_WORDS:]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        del kind, error, traceback
        self._process.kill()
        self._process.communicate()
