"""Servers start in turn: fair, seen, and left without a trace."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.hub.files.lab_hub.waiting_line import Line, Place, take_turns

if TYPE_CHECKING:
    from components.hub.files.lab_hub.objects import Spawner


def test_so_many_start_and_the_others_see_their_place() -> None:
    async def day() -> None:
        line = Line(2)
        places = [line.join(f"user-{number}") for number in range(5)]
        assert [place.turn.done() for place in places] == [True, True, False, False, False]
        assert [line.before(place) for place in places] == [0, 0, 0, 1, 2]
        line.leave(places[0])
        assert places[2].turn.done()
        assert [line.before(place) for place in places[2:]] == [0, 0, 1]
        line.leave(places[3])
        assert line.before(places[4]) == 0
        for place in places:
            line.leave(place)
        assert (line.starting, line.waiting) == (0, 0)

    asyncio.run(day())


def test_nobody_s_second_server_comes_before_anybody_s_first() -> None:
    async def day() -> None:
        line = Line(1)
        first = line.join("greedy")
        more = [line.join("greedy") for _ in range(3)]
        late = line.join("late")
        assert line.before(late) == 0
        line.leave(first)
        assert late.turn.done()
        assert [line.before(place) for place in more] == [0, 1, 2]

    asyncio.run(day())


def test_a_turn_ends_by_itself_when_a_start_takes_long() -> None:
    async def day() -> None:
        line = Line(1, turn_seconds=0.02)
        line.join("slow")
        second = line.join("next")
        await asyncio.wait_for(second.turn, 5)

    asyncio.run(day())


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40), st.integers(1, 4))
def test_whatever_happens_as_many_start_as_may(happenings: list[tuple[int, bool]], at_once: int) -> None:
    async def day() -> None:
        line = Line(at_once)
        there: list[Place] = []
        for user, leaves in happenings:
            if leaves and there:
                line.leave(there.pop(user % len(there)))
            else:
                there.append(line.join(str(user)))
            assert line.starting == min(at_once, len(there))
            assert line.starting + line.waiting == len(there)
            waiting = [place for place in there if not place.turn.done()]
            assert sorted(line.before(place) for place in waiting) == list(range(len(waiting)))
        for place in there:
            line.leave(place)
            line.leave(place)
        assert (line.starting, line.waiting) == (0, 0)

    asyncio.run(day())


class Starting(SimpleNamespace):
    """A spawner, as far as the step knows it."""

    place: Place | None = None

    def start_done(self) -> asyncio.Future[None] | None:
        return cast("asyncio.Future[None] | None", self.done)


def starting(user: str) -> Starting:
    return Starting(user=SimpleNamespace(name=user), done=asyncio.get_running_loop().create_future())


@pytest.mark.parametrize("ending", ["ready", "failed", "cancelled"])
def test_a_turn_ends_with_the_start_however_it_ends(ending: str) -> None:
    async def day() -> None:
        line = Line(1)
        step = take_turns(line)
        first, second = starting("a"), starting("b")
        await step(cast("Spawner", first))
        waiting = asyncio.ensure_future(step(cast("Spawner", second)))
        await asyncio.sleep(0)
        assert not waiting.done()
        if ending == "ready":
            first.done.set_result(None)
        elif ending == "failed":
            first.done.set_exception(ValueError())
            first.done.exception()
        else:
            first.done.cancel()
        await asyncio.wait_for(waiting, 5)
        assert second.place is not None

    asyncio.run(day())


def test_who_is_cancelled_in_line_has_left_it() -> None:
    async def day() -> None:
        line = Line(1)
        step = take_turns(line)
        first, second = starting("a"), starting("b")
        await step(cast("Spawner", first))
        waiting = asyncio.ensure_future(step(cast("Spawner", second)))
        await asyncio.sleep(0)
        assert line.waiting == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (line.starting, line.waiting) == (1, 0)
        assert second.place is None

    asyncio.run(day())
