"""A revision's files on disk, and what differs between two."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from labctl.revisions import changed_files, revision_tree, short_commit
from labctl.revisions.errors import NoRepositoryError, UnknownRevisionError, UnsafeRevisionError

GIT = shutil.which("git") or "git"


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@lab.example.org", "-c", "commit.gpgsign=false")
    subprocess.run([GIT, *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project below a repository's top, with one commit and a file that git ignores."""
    folder = tmp_path / "repository" / "lab"
    (folder / "components").mkdir(parents=True)
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", "repository")
    (folder / "Pulumi.yaml").write_text("name: x\n")
    (folder / "Pulumi.dev.yaml").write_text("config: {}\n")
    (folder / "components" / "a.py").write_text("A = 1\n")
    (folder / "README.md").write_text("hello\n")
    (folder / ".gitignore").write_text("*.secret\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "one")
    return folder


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_revision_has_the_programs_files_only(project: Path) -> None:
    with revision_tree(project, "main") as tree:
        assert files(tree) == {"Pulumi.yaml", "Pulumi.dev.yaml", "components/a.py"}
        kept = tree
    assert not kept.exists()


def test_the_working_tree_has_what_is_new_and_not_what_is_ignored(project: Path) -> None:
    (project / "components" / "b.py").write_text("B = 1\n")
    (project / "components" / "x.secret").write_text("hunter2\n")
    (project / "components" / "a.py").unlink()
    (project / "stacks").mkdir()
    (project / "stacks" / "elsewhere.py").symlink_to("/etc/hostname")
    with revision_tree(project, None) as tree:
        assert files(tree) == {"Pulumi.yaml", "Pulumi.dev.yaml", "components/b.py"}


def test_what_differs_is_named_from_the_projects_folder(project: Path) -> None:
    (project / "components" / "a.py").write_text("A = 2\n")
    (project / "README.md").write_text("bye\n")
    assert changed_files(project, "main", None, ["components", "labctl"]) == ("components/a.py",)
    git(project, "commit", "--quiet", "--all", "--message", "two")
    assert changed_files(project, "main~1", "main", ["components"]) == ("components/a.py",)
    assert changed_files(project, "main", None, ["."]) == ()
    assert 4 <= len(short_commit(project, "main")) <= 40


@pytest.mark.parametrize("revision", ["nowhere", "--help", "main:README.md", ""])
def test_what_is_no_revision_is_refused(project: Path, revision: str) -> None:
    with pytest.raises(UnknownRevisionError), revision_tree(project, revision):
        pass


def test_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoRepositoryError), revision_tree(tmp_path, "main"):
        pass


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd"])
def test_a_link_out_of_the_revision_is_refused(project: Path, target: str) -> None:
    (project / "Pulumi.evil.yaml").symlink_to(target)
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "two")
    with pytest.raises(UnsafeRevisionError, match=r"Pulumi\.evil\.yaml"), revision_tree(project, "HEAD"):
        pytest.fail("nothing of it may be unpacked for use")
