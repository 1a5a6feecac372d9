"""What the script of the ``version`` step decides by itself, asked of a real bash."""

from __future__ import annotations

import subprocess

import pytest

from components.nodes.steps import COMMON, FILES


def ask(function: str, text: str = "") -> tuple[int, str]:
    sources = "; ".join(f". {FILES}/{name}.sh" for name in (*COMMON, "kube", "version"))
    done = subprocess.run(
        ["bash", "-c", f"{sources}; set +e; {function}"],  # noqa: S607 - the machine's bash
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("v1.36.3", "v1.36.3", ""),
        ("v1.36.3", "v1.36.10", ""),
        ("v1.36.3", "v1.37.0", ""),
        ("v1.9.12", "v1.10.0", ""),
        ("v1.37.0-rc.1", "v1.37.0", ""),
        ("v1.36.3", "v1.38.0", "is at v1.36.3, and cannot skip to v1.38.0: one minor version at a time"),
        ("v1.36.3", "v2.0.0", "is at v1.36.3, and cannot skip to v2.0.0: one minor version at a time"),
        ("v1.36.10", "v1.36.9", "is at v1.36.10, and cannot go back to v1.36.9"),
        ("v1.36.0", "v1.35.9", "is at v1.36.0, and cannot go back to v1.35.9"),
        ("", "v1.36.0", "is at a version that is none: nothing"),
        ("current", "v1.36.0", "is at a version that is none: current"),
    ],
)
def test_one_minor_at_a_time_and_never_back(before: str, after: str, reason: str) -> None:
    code, said = ask(f"forbidden_change '{before}' '{after}'")
    assert (code == 0) == bool(reason)
    assert said == reason


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "pod-1"),
        (3, "pod-1, pod-2, pod-3"),
        (12, ", ".join(f"pod-{index}" for index in range(1, 11)) + " and 2 more"),
    ],
)
def test_a_few_names_stand_for_many(count: int, said: str) -> None:
    lines = "".join(f"pod-{index}\n" for index in range(1, count + 1))
    assert ask("some_of", lines) == (0, said)
