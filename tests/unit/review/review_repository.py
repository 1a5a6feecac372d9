"""A repository whose main branch is this project's program, and what the command says of its other branches."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labctl.graph.rules import EXCEPTIONS_FILE, RULE_NAMES, load_exceptions
from labctl.review import StackReview, named_in
from labctl.revisions import revision_tree
from labctl.revisions.comparison import change_of
from labctl.revisions.rendering import Rendered, RevisionProgram
from labctl.verbs.review import reviews_of

PROGRAM = ("__main__.py", "Pulumi.yaml", "components", "stacks", "policies")
GIT = shutil.which("git") or "git"
IDENTITY = ("-c", "user.name=reviewer", "-c", "user.email=reviewer@lab.example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run([GIT, *IDENTITY, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass
class Repository:
    """A repository whose branch ``main`` is this project's program as it is now."""

    folder: Path
    _base: RevisionProgram
    _rendered: dict[str, Rendered] = field(default_factory=dict[str, Rendered])

    def branch(self, name: str, edit: Callable[[Path], None]) -> None:
        """Make the branch `name` of ``main`` with one more commit: what `edit` does to the files."""
        git(self.folder, "checkout", "--quiet", "-B", name, "main")
        edit(self.folder)
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--allow-empty", "--message", name)
        git(self.folder, "checkout", "--quiet", "main")

    def review(self, branch: str, stacks: Sequence[str], description: str = "") -> list[StackReview]:
        """Return what the command would say of `branch`; ``main`` is rendered once for all of them."""
        with revision_tree(self.folder, branch) as tree, RevisionProgram(tree, branch) as child:
            changes = {name: change_of(name, self._of_base(name), child, tree) for name in stacks}
            exceptions = load_exceptions(tree / EXCEPTIONS_FILE, RULE_NAMES)
        before = load_exceptions(self.folder / EXCEPTIONS_FILE, RULE_NAMES)
        return reviews_of(changes, named_in(description), (before, exceptions))

    def _of_base(self, stack: str) -> Rendered:
        if stack not in self._rendered:
            self._rendered[stack] = self._base.render(stack)
        return self._rendered[stack]


def copy_program(root: Path, folder: Path) -> None:
    """Copy what a revision's program consists of."""
    for name in (*PROGRAM, *(path.name for path in root.glob("Pulumi.*.yaml"))):
        source, target = root / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        elif source.is_file():
            shutil.copy2(source, target)
