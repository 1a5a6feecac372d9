"""How one revision of the project changes each stack of another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from stacks.errors import StackFileError
from stacks.loading import SealedValue, load_stack_file, stack_file_path
from stacks.project import PROJECT

from .errors import RehearsalError
from .trees import WORKING_TREE, revision_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from labctl.graph.values import Plain

__all__ = ["StackChange", "compare_revisions"]

TOOL: Final = Path(__file__).parents[2]
"""Folder that holds the running ``labctl``."""
LONGEST_WORDS: Final = 2000
"""Characters of what a process said that are repeated in a message."""


@dataclass(frozen=True, kw_only=True)
class StackChange:
    """What a change of the project makes of one stack."""

    stack: str
    is_new: bool = False
    """The base revision has no such stack."""
    is_gone: bool = False
    """The other revision has none any more; what it deployed stays until somebody destroys it."""
    base_error: str | None = None
    """Why the base revision's stack cannot be rendered; the stack is then compared with nothing."""
    error: str | None = None
    """Why the other revision's cannot be: every problem with its place and what would be right."""
    preview: Mapping[str, Plain] = field(default_factory=dict[str, "Plain"])
    """In the shape of ``pulumi preview --json``, secrets as ``[secret]``; empty with an error."""
    base_resources: tuple[Mapping[str, Plain], ...] = ()
    """Every resource of the base revision, as a state has it, secrets as ``[secret]``."""
    resources: tuple[Mapping[str, Plain], ...] = ()
    """Every resource of the other revision."""


def compare_revisions(
    root: Path, base: str, head: str | None = None, stacks: Sequence[str] | None = None
) -> dict[str, StackChange]:
    """Return what `head` changes of every stack that either revision has, by the stack's name.

    Parameters
    ----------
    root
        The project's folder, in a git repository.
    base
        Commit, branch or tag to compare with.
    head
        Commit, branch or tag; None: the files as they are now.
    stacks
        Only these.

    Raises
    ------
    GitError
        There is no such revision, or no repository.
    RehearsalError
        A program ended its process.
    """
    with ExitStack() as opened:
        before = opened.enter_context(revision_tree(root, base))
        after = opened.enter_context(revision_tree(root, head))
        names = sorted(_stacks(before) | _stacks(after))
        chosen = [name for name in names if stacks is None or name in stacks]
        old = opened.enter_context(_Child(before, base))
        new = opened.enter_context(_Child(after, head or WORKING_TREE))
        pool = opened.enter_context(ThreadPoolExecutor(max_workers=1, thread_name_prefix="base-revision"))
        bases = {name: pool.submit(old.render, name) for name in chosen}
        return {name: _change(name, bases[name].result(), new, after) for name in chosen}


@dataclass(frozen=True, kw_only=True)
class _Rendered:
    """One stack of one revision."""

    exists: bool = True
    error: str | None = None
    deployment: Plain = None
    resources: tuple[Mapping[str, Plain], ...] = ()
    preview: Mapping[str, Plain] = field(default_factory=dict[str, "Plain"])


def _change(stack: str, base: _Rendered, new: _Child, tree: Path) -> StackChange:
    if not stack_file_path(stack, tree).is_file():
        return StackChange(stack=stack, is_gone=True, base_error=base.error, base_resources=base.resources)
    head = new.render(stack, base.deployment)
    return StackChange(
        stack=stack,
        is_new=not base.exists,
        base_error=base.error,
        error=head.error,
        preview=head.preview,
        base_resources=base.resources,
        resources=head.resources,
    )


class _Child:
    """The process that runs one revision's program."""

    def __init__(self, root: Path, revision: str) -> None:
        self._root = root
        self._revision = revision
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "KUBECONFIG", "AWS_"))
        }
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

    def render(self, stack: str, before: Plain = None) -> _Rendered:
        """Return `stack` at this revision, and the plan from the deployment `before` to it."""
        path = stack_file_path(stack, self._root)
        if not path.is_file():
            return _Rendered(exists=False)
        try:
            file = load_stack_file(path)
        except StackFileError as error:
            return _Rendered(error=str(error))
        config, _ = file.program_config(None)
        sealed: list[Plain] = [key for key, value in file.config.items() if isinstance(value, SealedValue)]
        asked: dict[str, Plain] = {"stack": stack, "config": dict(config), "sealed": sealed, "before": before}
        self._tell(asked)
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RehearsalError(self._revision, self._last_words())
        answer = cast("dict[str, Plain]", json.loads(line))
        if answer["error"] is not None:
            return _Rendered(error=str(answer["error"]))
        return _Rendered(
            deployment=answer["deployment"],
            resources=tuple(cast("list[dict[str, Plain]]", answer["resources"])),
            preview=cast("dict[str, Plain]", answer["preview"]),
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


def _stacks(root: Path) -> set[str]:
    return {path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in root.glob("Pulumi.*.yaml")}
