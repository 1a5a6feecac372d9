"""Limits and walltimes in a real JupyterHub, with the planned service and its planned rights."""

from __future__ import annotations

import http
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lab_sections import GPU, MINIMAL, hub_section, profiles
from limits_bed import LimitsBed, eventually

from components.hub.config import HubConfig
from components.hub.files.lab_hub.limits import WALLTIME_ANNOTATION

SOON = 6
"""Seconds a server of these tests may run; the checks would refuse it, a person would see nothing of it."""


def lab(walltime: str = "8h", **changes: object) -> HubConfig:
    """Return a section whose small profile ends after a time."""
    return HubConfig.model_validate(hub_section(profiles=profiles(walltime=walltime), **changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a hub keeps what it knows."""
    return tmp_path / "hub"


@pytest.fixture
def limited(folder: Path) -> Generator[LimitsBed]:
    """A hub with limits of every kind."""
    limits = {
        "perUser": {"servers": 2, "gpus": 1},
        "groups": {"students": {"servers": 3, "gpus": 2}},
    }
    with LimitsBed(folder, lab(limits=limits, servers={"named": 4})) as bed:
        bed.ask("POST", "/groups/students")
        for student in ("ben", "cem", "dora", "emil"):
            bed.ask("POST", f"/users/{student}")
        bed.ask("POST", "/groups/students/users", {"users": ["ben", "cem", "dora", "emil"]})
        yield bed


def test_a_server_past_its_walltime_is_ended_and_others_live(folder: Path) -> None:
    with LimitsBed(folder, lab(f"{SOON}s")) as bed:
        assert bed.start_server("ana")[0] == http.HTTPStatus.CREATED
        assert bed.start_server("ben", GPU)[0] == http.HTTPStatus.CREATED
        assert f"'{WALLTIME_ANNOTATION}': '" in bed.log.split("BED started jupyter-ana")[1].splitlines()[0]
        assert WALLTIME_ANNOTATION not in bed.log.split("BED started jupyter-ben")[1].splitlines()[0]
        assert bed.servers() == {"ana/", "ben/"}
        eventually(lambda: bed.servers() == {"ben/"}, SOON + 10, lambda: bed.log[-3000:])
        eventually(lambda: "ana/ was ended: its walltime has ended" in bed.log, 10, lambda: bed.log[-3000:])
        assert bed.log.count("BED stopped jupyter-ana") == 1


def test_what_was_promised_holds_when_the_walltime_is_shortened_meanwhile(folder: Path) -> None:
    with LimitsBed(folder, lab("8h")) as bed:
        bed.start_server("ana")
        bed.stop()
        bed.config = lab("1s")
        bed.start()
        bed.start_server("ben")
        eventually(lambda: bed.servers() == {"ana/"}, 15, lambda: bed.log[-3000:])


def test_a_walltime_that_ends_while_the_hub_is_down_ends_the_server_afterwards(folder: Path) -> None:
    with LimitsBed(folder, lab(f"{SOON}s")) as bed:
        bed.start_server("ana")
        bed.stop()
        time.sleep(SOON)
        bed.start()
        eventually(lambda: not bed.servers(), SOON + 15, lambda: bed.log[-3000:])


def test_a_user_beyond_a_limit_is_told_in_words_and_another_is_not(limited: LimitsBed) -> None:
    assert limited.start_server("ana", GPU)[0] == http.HTTPStatus.CREATED
    status, told = limited.start_server("ana", GPU, "second")
    assert status == http.HTTPStatus.INTERNAL_SERVER_ERROR
    assert "you may have 1 GPU slice at once, and with this one it would be 2" in told
    assert limited.start_server("ana", MINIMAL, "third")[0] == http.HTTPStatus.CREATED
    assert "you may have 2 servers at once" in limited.start_server("ana", MINIMAL, "fourth")[1]
    assert limited.start_server("ben", GPU)[0] == http.HTTPStatus.CREATED
    assert limited.servers() == {"ana/", "ana/third", "ben/"}
    # One that is stopped makes room.
    limited.ask("DELETE", "/users/ana/server")
    eventually(lambda: "ana/" not in limited.servers(), 10, lambda: limited.log[-2000:])
    assert limited.start_server("ana", GPU, "second")[0] == http.HTTPStatus.CREATED


def test_of_starts_at_the_same_time_a_group_gets_as_many_as_it_may(limited: LimitsBed) -> None:
    def start(student: str) -> tuple[int, str]:
        return limited.start_server(student, GPU)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(start, ("ben", "cem", "dora", "emil")))
    assert sorted(status for status, _ in answers) == [201, 201, 500, 500]
    told = (
        "This server was not started: all members of the group students together may have 2 GPU slices at once, and "
        "with this one it would be 3. Try again when a member of the group has stopped one, or ask whoever runs the "
        "lab."
    )
    assert {each for status, each in answers if status == http.HTTPStatus.INTERNAL_SERVER_ERROR} == {told}


def test_a_restarted_hub_counts_on(limited: LimitsBed) -> None:
    limited.start_server("ana", GPU)
    limited.stop()
    limited.start()
    assert limited.servers() == {"ana/"}
    assert "1 GPU slice" in limited.start_server("ana", GPU, "second")[1]


def test_what_is_written_into_a_request_changes_nothing_that_was_noted(limited: LimitsBed) -> None:
    forged = {"profile": GPU, "lab-limits": {"namespace": "x", "pod": "x", "gpus": 0, "walltimeEnds": None}}
    limited.ask("POST", "/users/ana")
    assert limited.ask("POST", "/users/ana/server", forged)[0] == http.HTTPStatus.CREATED
    assert "1 GPU slice" in limited.start_server("ana", GPU, "second")[1]


def test_refusals_do_not_end_the_hub(limited: LimitsBed) -> None:
    limited.start_server("ana", GPU)
    for number in range(8):
        assert limited.start_server("ana", GPU, f"more{number % 2}")[0] == http.HTTPStatus.INTERNAL_SERVER_ERROR
    eventually(lambda: limited.start_server("ben", MINIMAL)[0] == http.HTTPStatus.CREATED, 10, lambda: limited.log)
    assert "Aborting" not in limited.log


def test_the_service_may_do_no_more_than_it_has_to(limited: LimitsBed) -> None:
    limited.start_server("ana")
    token = limited.service_token
    assert limited.ask("GET", "/users", token=token)[0] == http.HTTPStatus.OK
    for method, path in (
        ("POST", "/users/ana/servers/more"),
        ("POST", "/users/new"),
        ("DELETE", "/users/ana"),
        ("POST", "/users/ana/tokens"),
        ("GET", "/groups"),
        ("POST", "/shutdown"),
    ):
        assert limited.ask(method, path, token=token)[0] in {403, 404}, path
