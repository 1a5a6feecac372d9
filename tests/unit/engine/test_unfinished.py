"""An operation whose end nobody knows stays pending, and the next run looks before it decides."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from engine_bench import Bench, Declared, ThingProvider, program_of

from labctl.engine.plan import Op
from labctl.engine.providers.base import Context, Operation, Resource, UnfinishedError

ONE = program_of([Declared("a")])
NONE = program_of([])


@pytest.fixture
def answer_lost(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bool], None]:
    """Have the provider's create, update or delete end without an answer, done or not; once."""

    def lose(method: str, happens: bool) -> None:  # noqa: FBT001 - a table's column
        original = getattr(ThingProvider, method)

        def lost(provider: ThingProvider, *arguments: Resource | Context) -> None:
            if isinstance(arguments[-1], Context) and arguments[-1].preview:
                return original(provider, *arguments)
            if happens:
                original(provider, *arguments)
            monkeypatch.setattr(ThingProvider, method, original)
            message = "no answer"
            raise UnfinishedError(message)

        monkeypatch.setattr(ThingProvider, method, lost)

    return lose


@pytest.mark.parametrize("happens", [True, False])
def test_a_creation_without_an_answer_is_neither_lost_nor_doubled(
    bench: Bench, answer_lost: Callable[[str, bool], None], *, happens: bool
) -> None:
    answer_lost("create", happens)
    failed = bench.up(ONE)
    assert [failure.message for failure in failed.failures] == ["no answer"]
    assert [item.operation for item in bench.snapshot().pending_operations] == [Operation.CREATING]
    assert bench.up(ONE).failures == []
    assert list(bench.world.objects) == ["the-a"]
    assert bench.world.calls.count("create the-a") == 1
    assert bench.snapshot().pending_operations == ()
    assert {step.op for step in bench.up(ONE).steps} == {Op.SAME}


@pytest.mark.parametrize("happens", [True, False])
def test_a_deletion_without_an_answer_is_made_good_either_way(
    bench: Bench, answer_lost: Callable[[str, bool], None], *, happens: bool
) -> None:
    bench.up(ONE)
    answer_lost("delete", happens)
    assert bench.up(NONE).failures
    assert [item.operation for item in bench.snapshot().pending_operations] == [Operation.DELETING]
    assert bench.up(ONE).failures == [], "wanted again"
    assert list(bench.world.objects) == ["the-a"]
    assert {step.op for step in bench.up(ONE).steps} == {Op.SAME}
    answer_lost("delete", happens)
    bench.up(NONE)
    assert bench.up(NONE).failures == [], "not wanted"
    assert bench.world.objects == {}
    assert bench.snapshot().pending_operations == ()
