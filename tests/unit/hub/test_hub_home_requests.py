"""The module that asks the storage host for homes, against a folder and whoever answers in it."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
from home_answers import storage_host
from hypothesis import given
from hypothesis import strategies as st

from components.hub.files.lab_hub import home_requests
from components.hub.files.lab_hub.home_requests import (
    Answer,
    HomeFolderError,
    HomeRefusedError,
    HomeRequest,
    HomeSilenceError,
    HomesSettings,
    Status,
    ask_before_start,
    obtain,
)
from components.hub.files.lab_hub.objects import Spawner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ADA = HomeRequest("hub-prod", "home-ada", 1000, 100)
MADE = "version 1\nstatus made\npath /tank/homes/hub-prod/home-ada\nreason \n"
REFUSED = "version 1\nstatus refused\npath \nreason the home is user id 1001's\n"
SECONDS = 20.0
"""For an answer that comes, on a busy machine."""
SHORTLY = 0.3
"""For one that does not."""


@dataclass
class FakeLog:
    lines: list[str] = field(default_factory=list[str])

    def info(self, message: str, *arguments: object) -> None:
        self.lines.append("info: " + message % arguments)

    def warning(self, message: str, *arguments: object) -> None:
        self.lines.append("warning: " + message % arguments)


@dataclass
class FakeSpawner:
    namespace: str = "hub-prod"
    pvc_name: str = "unassigned-ada"
    log: FakeLog = field(default_factory=FakeLog)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("requests", "answers"):
        (tmp_path / name).mkdir()
    return tmp_path


def hook(folder: Path, seconds: float = SECONDS) -> Callable[[FakeSpawner], None]:
    """Return the step of a hub that asks, after the one that names the claim."""
    settings: HomesSettings = {"folder": str(folder), "uid": 1000, "gid": 100, "timeoutSeconds": seconds}
    ask = ask_before_start(settings)

    def run(spawner: FakeSpawner) -> None:
        spawner.pvc_name = "home-ada"
        asyncio.run(ask(cast("Spawner", spawner)))

    return run


def test_a_request_is_as_the_storage_host_reads_it(folder: Path) -> None:
    with storage_host(folder, lambda _: MADE) as asked:
        answer = asyncio.run(obtain(ADA, folder, SECONDS))
    assert answer == Answer(Status.MADE, "/tank/homes/hub-prod/home-ada", "")
    ((name, text),) = asked
    assert name.startswith("hub-prod.home-ada.")
    assert len(name) == len("hub-prod.home-ada.") + 16
    assert text == "version 1\nnamespace hub-prod\nclaim home-ada\nuid 1000\ngid 100\n"


def test_the_claim_is_the_one_that_the_hook_before_named(folder: Path) -> None:
    spawner = FakeSpawner()
    with storage_host(folder, lambda _: MADE.replace("made", "exists")) as asked:
        hook(folder)(spawner)
    assert "claim home-ada\n" in asked[0][1]
    assert spawner.log.lines == ["info: home home-ada of hub-prod: exists"]


def test_a_refusal_reaches_the_user_and_the_log(folder: Path) -> None:
    spawner = FakeSpawner()
    with storage_host(folder, lambda _: REFUSED), pytest.raises(HomeRefusedError) as refusal:
        hook(folder)(spawner)
    assert "refused to give you your home folder: the home is user id 1001's." in refusal.value.jupyterhub_message
    assert "home-ada" in refusal.value.jupyterhub_message
    assert spawner.log.lines == ["warning: home home-ada of hub-prod refused: the home is user id 1001's"]


def test_silence_is_told_and_the_request_is_taken_back(folder: Path) -> None:
    spawner = FakeSpawner()
    with pytest.raises(HomeSilenceError) as silence:
        hook(folder, SHORTLY)(spawner)
    assert "has not answered for 0.3 seconds" in silence.value.jupyterhub_message
    assert spawner.log.lines == ["warning: home home-ada of hub-prod: no answer in 0.3 s"]
    deadline = time.monotonic() + SECONDS
    while list((folder / "requests").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    spawner = FakeSpawner()
    with pytest.raises(HomeFolderError) as problem:
        hook(tmp_path)(spawner)
    assert "does not reach the storage server as it should" in problem.value.jupyterhub_message
    assert spawner.log.lines[0].startswith("warning: home home-ada of hub-prod: [Errno 2]")


@pytest.mark.parametrize(
    "text", ["", "version 2\nstatus made\n", "version 1\nstatus perhaps\n", "version 1\n", "\0" * 9]
)
def test_what_is_no_answer_is_told(folder: Path, text: str) -> None:
    with storage_host(folder, lambda _: text), pytest.raises(HomeFolderError):
        hook(folder)(FakeSpawner())


@given(st.text())
def test_an_answer_is_one_or_an_error(text: str) -> None:
    try:
        answer = Answer.parse(text)
    except ValueError:
        return
    assert answer.status in Status


def test_many_at_once_get_each_their_own(folder: Path) -> None:
    async def all_of_them() -> list[Answer]:
        requests = [HomeRequest("hub-prod", f"home-{index}", 2000 + index, 100) for index in range(50)]
        return await asyncio.gather(*(obtain(request, folder, SECONDS) for request in requests))

    def path_of_claim(text: str) -> str:
        return MADE.replace("home-ada", text.partition("claim ")[2].partition("\n")[0])

    with storage_host(folder, path_of_claim):
        answers = asyncio.run(all_of_them())
    assert [answer.path.rsplit("-", 1)[1] for answer in answers] == [str(index) for index in range(50)]


def test_a_folder_that_hangs_does_not_hang_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hangs(_path: Path) -> str | None:
        released.wait(SECONDS)
        return None

    monkeypatch.setattr(home_requests, "_read", hangs)

    async def hub() -> int:
        turns = 0
        task = asyncio.create_task(obtain(ADA, folder, SHORTLY))
        while not task.done():
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(HomeSilenceError):
            await task
        return turns

    started = time.monotonic()
    try:
        assert asyncio.run(hub()) > 5
        assert time.monotonic() - started < SECONDS / 2
    finally:
        released.set()


def test_who_cannot_write_leaves_nothing_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_rename(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.rename", no_rename)
    with pytest.raises(OSError, match="No space left"):
        asyncio.run(obtain(ADA, folder, SECONDS))
    assert list((folder / "requests").iterdir()) == []
