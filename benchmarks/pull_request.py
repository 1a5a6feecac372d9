"""The whole check of a pull request: two revisions, every stack, one comment; and where its time goes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from labctl.graph.rules import EXCEPTIONS_FILE, RULE_NAMES, load_exceptions
from labctl.review import Subject, comment_on
from labctl.revisions import compare_trees, revision_tree
from labctl.verbs.review import reviews_of

from .measure import ROOT, Measured, stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pull_request"]

RUNS = 3
BAR = "< 10 s"
CHANGED, OLD, NEW = "stacks/pins/test.yaml", "version: 0.16.1", "version: 0.16.9"
"""What the pull request does: a chart's version in one environment."""
IDENTITY = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@lab.example.org", "-c", "commit.gpgsign=false")


def pull_request() -> Iterator[Measured]:
    """Review a bumped chart in all of the project's stacks, as the workflow does, in a process of its own."""
    stacks = len(list(ROOT.glob("Pulumi.*.yaml")))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        _repository(folder)
        command = (sys.executable, "-P", "-m", "labctl", "review", "--base", "HEAD~1", "--head", "HEAD")
        taken = [_seconds(command, folder) for _ in range(RUNS + 1)][1:]
        yield Measured(f"check of {stacks} stacks, whole command, median of {RUNS}", f"{median(taken):.1f} s", BAR)
        with revision_tree(folder, "HEAD~1") as before, revision_tree(folder, "HEAD") as after:
            with stopwatch() as comparing:
                changes = compare_trees(before, after)
            exceptions = load_exceptions(after / EXCEPTIONS_FILE, RULE_NAMES)
        with stopwatch() as reviewing:
            reviews = reviews_of(changes, (), (exceptions, exceptions))
        with stopwatch() as writing:
            comment = comment_on(reviews, Subject(kind="revisions", words="", command=""))
    assert sum(review.touched for review in reviews) == 1
    resources = sum(len(change.resources) for change in changes.values())
    yield Measured(f"both revisions rendered and compared, {resources} resources each", f"{comparing.seconds:.1f} s")
    yield Measured("reduced and judged by the rules, before and after", f"{reviewing.seconds:.1f} s")
    yield Measured(f"comment written, {len(comment)} characters", f"{writing.seconds * 1000:.0f} ms")


def _seconds(command: tuple[str, ...], folder: Path) -> float:
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - the project's own command
        command, cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "1 of" in done.stdout, done.stderr
    return time.perf_counter() - began


def _repository(folder: Path) -> None:
    """Make a repository of the program as it is now, with one more commit."""
    with revision_tree(ROOT, None) as tree:
        subprocess.run(["cp", "-r", str(tree), str(folder)], check=True)  # noqa: S603, S607 - our own folders
    _git(folder, "init", "--quiet")
    _commit(folder)
    path = folder / CHANGED
    text = path.read_text(encoding="utf-8")
    assert OLD in text, f"{CHANGED} has no {OLD!r} any more"
    path.write_text(text.replace(OLD, NEW, 1), encoding="utf-8")
    _commit(folder)


def _commit(folder: Path) -> None:
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", "a change")


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, check=True)  # noqa: S603, S607 - our own words
