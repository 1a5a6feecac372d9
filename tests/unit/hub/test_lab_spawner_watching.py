"""The hub's watch of its pods: told of at once, and never given up."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from operator import methodcaller
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

pytest.importorskip("kubespawner", reason="requirements-dev.txt")

from components.hub.files.lab_hub import watching
from components.hub.files.lab_hub.watching import Changes, LabEvents, LabPods

if TYPE_CHECKING:
    from collections.abc import Callable


class Response:
    """An answer of the API server that is read line by line."""

    def __init__(self, lines: Sequence[object], status: int = 200) -> None:
        self.status = status
        self._lines = [json.dumps(line).encode() + b"\n" for line in lines]
        self.content = self

    async def readline(self) -> bytes:
        await asyncio.sleep(0)
        return self._lines.pop(0) if self._lines else b""

    def close(self) -> None:
        """Do nothing."""


def pod(name: str, version: str, **status: str) -> Mapping[str, object]:
    metadata = {"namespace": "hub", "name": name, "resourceVersion": version, "managedFields": [{"much": "text"}]}
    return {"metadata": metadata, "spec": {}, "status": status}


def reflector(answers: Sequence[Callable[[], Response]], lists: Sequence[object]) -> LabPods:
    """Return one without an API server: it lists and watches what it is given, and fails where that raises."""
    made = LabPods.__new__(LabPods)
    asked = iter(answers)
    listed = iter(lists)

    async def watch(**_named: object) -> Response:
        await asyncio.sleep(0)
        found = next(asked, None)
        if found is None:
            raise asyncio.CancelledError
        return found()

    async def listing(_version: str | None = None) -> str:
        found = next(listed, "1")
        if isinstance(found, Exception):
            raise found
        return str(found)

    traits: dict[str, object] = {
        "kind": "pods",
        "namespace": "hub",
        "omit_namespace": False,
        "list_method_name": "watch",
        "label_selector": "",
        "field_selector": "",
        "log": logging.getLogger("watching"),
        "api": SimpleNamespace(watch=watch),
        "resources": {},
        "_list_and_update": listing,
    }
    for name, value in traits.items():
        setattr(made, name, value)
    return made


def run(made: LabPods) -> None:
    async def day() -> None:
        with pytest.raises(asyncio.CancelledError):
            await methodcaller("_watch_and_update")(made)

    asyncio.run(day())


def test_a_change_is_told_to_whoever_waits_for_that_pod() -> None:
    async def day() -> None:
        changes = Changes()
        mine = asyncio.ensure_future(changes.wait("hub/a", 5))
        other = asyncio.ensure_future(changes.wait("hub/b", 0.05))
        await asyncio.sleep(0)
        changes.tell("hub/a")
        await asyncio.wait_for(mine, 1)
        assert not other.done()
        await other
        assert changes.waiting == 0

    asyncio.run(day())


def test_who_stops_waiting_is_forgotten() -> None:
    async def day() -> None:
        changes = Changes()
        waiting = asyncio.ensure_future(changes.wait("hub/a", 5))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert changes.waiting == 0

    asyncio.run(day())


def test_changes_are_taken_in_and_nothing_unused_is_kept() -> None:
    events = [
        {"type": "ADDED", "object": pod("a", "2", phase="Pending")},
        {"type": "ADDED", "object": pod("b", "3", phase="Pending")},
        {"type": "MODIFIED", "object": pod("a", "4", phase="Running")},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
        {"type": "DELETED", "object": pod("b", "5")},
    ]
    made = reflector([lambda: Response(events)], [])
    run(made)
    assert set(made.resources) == {"hub/a"}
    assert made.resources["hub/a"]["status"] == {"phase": "Running"}
    assert "managedFields" not in made.resources["hub/a"]["metadata"]


def test_an_api_server_that_is_away_for_long_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """KubeSpawner gives up after 51 seconds of it, and its hub sees no pod any more."""
    monkeypatch.setattr(watching, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(watching, "LONGEST_PAUSE_SECONDS", 0.001)
    away: list[object] = [OSError("refused")] * 200
    made = reflector([lambda: Response([{"type": "ADDED", "object": pod("a", "2")}])], [*away, "1"])
    run(made)
    assert set(made.resources) == {"hub/a"}


@pytest.mark.parametrize(
    "ended",
    [
        lambda: Response([{"type": "ERROR", "object": {"code": 410, "message": "too old"}}]),
        lambda: Response([], status=403),
        lambda: Response(["no object"]),
    ],
    ids=["too old", "refused", "not understood"],
)
def test_a_watch_that_fails_begins_anew(ended: Callable[[], Response], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "FIRST_PAUSE_SECONDS", 0.001)
    made = reflector([ended, lambda: Response([{"type": "ADDED", "object": pod("a", "2")}])], [])
    run(made)
    assert set(made.resources) == {"hub/a"}


def test_events_are_found_by_their_pod() -> None:
    made = LabEvents.__new__(LabEvents)
    made.resources = {}
    made.listed()

    def event(name: str, uid: str, when: str) -> dict[str, object]:
        about = {"namespace": "hub", "name": "a", "uid": uid}
        return {"metadata": {"namespace": "hub", "name": name}, "involvedObject": about, "lastTimestamp": when}

    for name, uid, when in (("late", "1", "2026-01-02"), ("early", "1", "2026-01-01"), ("other", "2", "2026-01-03")):
        made.take("ADDED", event(name, uid, when))
    assert [found["metadata"]["name"] for found in cast("Sequence[dict[str, dict[str, str]]]", made.about("1"))] == [
        "early",
        "late",
    ]
    made.take("DELETED", event("other", "2", ""))
    assert made.about("2") == []
