"""How one revision of the project changes each stack of another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stacks.loading import stack_file_path

from .rendering import Rendered, RevisionProgram
from .trees import WORKING_TREE, revision_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from labctl.graph.values import Plain

__all__ = ["StackChange", "change_of", "compare_revisions", "compare_trees"]


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
        return compare_trees(before, after, stacks, names=(base, head or WORKING_TREE))


def compare_trees(
    before: Path, after: Path, stacks: Sequence[str] | None = None, *, names: tuple[str, str] = ("before", "after")
) -> dict[str, StackChange]:
    """Return what the files in folder `after` change of every stack, against those in folder `before`.

    Parameters
    ----------
    before, after
        Folders with the program's files.
    stacks
        Only these.
    names
        What the two are called in a message.

    Raises
    ------
    RehearsalError
        A program ended its process.
    """
    with ExitStack() as opened:
        found = sorted(_stacks(before) | _stacks(after))
        chosen = [name for name in found if stacks is None or name in stacks]
        old = opened.enter_context(RevisionProgram(before, names[0]))
        new = opened.enter_context(RevisionProgram(after, names[1]))
        pool = opened.enter_context(ThreadPoolExecutor(max_workers=1, thread_name_prefix="base-revision"))
        bases = {name: pool.submit(old.render, name) for name in chosen}
        return {name: change_of(name, bases[name].result(), new, after) for name in chosen}


def change_of(stack: str, base: Rendered, new: RevisionProgram, tree: Path) -> StackChange:
    """Return what the program `new`, whose files are in `tree`, makes of a stack that was `base` before."""
    if not stack_file_path(stack, tree).is_file():
        return StackChange(stack=stack, is_gone=True, base_error=base.error, base_resources=base.resources)
    head = new.render(stack, plan_from=base)
    return StackChange(
        stack=stack,
        is_new=not base.exists,
        base_error=base.error,
        error=head.error,
        preview=head.preview,
        base_resources=base.resources,
        resources=head.resources,
    )


def _stacks(root: Path) -> set[str]:
    return {path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in root.glob("Pulumi.*.yaml")}
