"""Pull requests to review: each is two commits of a real repository, made of this project's own program."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from review_repository import Repository, copy_program, git

from labctl.revisions import revision_tree
from labctl.revisions.rendering import RevisionProgram


@pytest.fixture(scope="session")
def repository(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Repository]:
    """This project's program in a repository of its own, with one commit."""
    folder = tmp_path_factory.mktemp("repository")
    copy_program(root, folder)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "the program")
    with revision_tree(folder, "main") as tree, RevisionProgram(tree, "main") as child:
        yield Repository(folder, child)


@pytest.fixture(scope="session")
def recordings(root: Path) -> Path:
    """Return the folder with recordings of the official engine, found as the contract suite finds it."""
    named = os.environ.get("LAB_CONTRACT")
    folder = Path(named) if named else (root / "../shared/contract").resolve()
    if not folder.is_dir():
        reason = f"no recordings of the official engine: {folder} is no folder (LAB_CONTRACT names another)"
        if named:
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
