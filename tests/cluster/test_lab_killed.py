"""A lab whose run is killed at any moment: run again, it is what it would have been."""

from __future__ import annotations

import signal

import pytest
from lab_copy import LabCopy, interrupted
from lab_facts import Undisturbed, finish, is_undisturbed, objects_of_ours

MOMENTS = (1, 12, 30, 50, 75, 100, 130, 160)
"""Lines of the journal, of the about 230 that bringing up an empty lab writes; destroying one writes about 200."""


@pytest.mark.parametrize("lines", MOMENTS)
def test_killed_while_going_and_while_coming_up(deployed: LabCopy, undisturbed: Undisturbed, lines: int) -> None:
    lab = deployed
    killed = interrupted(lab, lines, "destroy", "--yes")
    assert killed.code == -signal.SIGKILL
    assert lab.locks, "the dead process left its lock"
    rest = lab.well("destroy", "--yes")
    assert "released the lock of a process that is no more" in rest.err
    assert objects_of_ours(lab.api) == {}
    assert not lab.deployment().get("resources")
    killed = interrupted(lab, lines, "up", "--yes")
    assert killed.code == -signal.SIGKILL
    finish(lab)
    is_undisturbed(lab, undisturbed)


def test_killed_again_and_again(empty: LabCopy, undisturbed: Undisturbed) -> None:
    for lines in (30, 12, 25, 18, 9):
        interrupted(empty, lines, "up", "--yes")
    finish(empty)
    is_undisturbed(empty, undisturbed)


def test_killed_while_coming_up_and_then_destroyed(empty: LabCopy) -> None:
    interrupted(empty, 70, "up", "--yes")
    empty.well("destroy", "--yes")
    assert objects_of_ours(empty.api) == {}
    assert not empty.deployment().get("resources")


@pytest.mark.parametrize("lines", [15, 45, 75, 105])
def test_killed_while_going_and_then_wanted_again(deployed: LabCopy, undisturbed: Undisturbed, lines: int) -> None:
    interrupted(deployed, lines, "destroy", "--yes")
    finish(deployed)
    is_undisturbed(deployed, undisturbed)
