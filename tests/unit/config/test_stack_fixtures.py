"""Good stack files load; bad ones say all that is wrong, where, and what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stacks.errors import StackFileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stacks.config import ClusterConfig

EXPECTED = "# expect: "
CLUSTER = "research-compute:cluster:"


def test_happy(happy_file: Path, load: Callable[[Path], ClusterConfig]) -> None:
    assert load(happy_file).nodes is not None


def test_wrong(error_file: Path, load: Callable[[Path], ClusterConfig]) -> None:
    """The first lines of the file are the whole message, problem by problem."""
    lines = error_file.read_text(encoding="utf-8").splitlines()
    expected = [line.removeprefix(EXPECTED) for line in lines if line.startswith(EXPECTED)]
    assert expected, "an error fixture begins with what it expects"

    with pytest.raises(StackFileError) as caught:
        load(error_file)

    assert [str(problem) for problem in caught.value.problems] == expected
    assert str(caught.value).startswith(f"{error_file.name}: ")
    assert all(problem in str(caught.value) for problem in expected)


def test_the_line_is_that_of_the_mistake(error_file: Path, load: Callable[[Path], ClusterConfig]) -> None:
    with pytest.raises(StackFileError) as caught:
        load(error_file)

    lines = error_file.read_text(encoding="utf-8").splitlines()
    for problem in caught.value.problems:
        assert problem.line is not None
        assert not lines[problem.line - 1].startswith(EXPECTED)
        line = lines[problem.line - 1].strip()
        keys = [step for step in problem.path if isinstance(step, str)]
        assert not problem.path or line.startswith("-") or any(f"{key}" in line for key in keys) or CLUSTER in line


def test_there_are_enough_ways_to_be_wrong(root: Path) -> None:
    assert len(list((root / "tests/unit/data/config").glob("*.error.*.yaml"))) >= 40


def test_no_secret_is_repeated(error_file: Path, load: Callable[[Path], ClusterConfig]) -> None:
    secrets = ("0123456789abcdef0123456789abcdef01234567", "ghp_0123456789", "b3BlbnNzaC1rZXktdjE")
    with pytest.raises(StackFileError) as caught:
        load(error_file)
    assert not any(secret in str(caught.value) for secret in secrets)
