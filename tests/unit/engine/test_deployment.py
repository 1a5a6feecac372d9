"""Steps, states and failures of the engine on a world of one provider."""

from __future__ import annotations

import pytest
from engine_bench import Bench, Declared, program_of

from labctl.engine.errors import ProtectedError
from labctl.engine.plan import Op
from labctl.engine.report import Report


def ops(report: Report) -> dict[str, Op]:
    return {step.urn.rsplit("::", 1)[1]: step.op for step in report.visible()}


def messages(report: Report) -> list[str]:
    return [failure.message for failure in report.failures]


A, B = Declared("a"), Declared("b", needs=("a",))


def test_what_is_declared_exists_and_a_second_run_changes_nothing(bench: Bench) -> None:
    program = program_of([A, B])
    assert ops(bench.preview(program)) == {"contract-dev": Op.CREATE, "a": Op.CREATE, "b": Op.CREATE}
    assert bench.world.calls == []
    report = bench.up(program)
    assert report.failures == []
    assert ops(report) == {"contract-dev": Op.CREATE, "a": Op.CREATE, "b": Op.CREATE}
    assert bench.world.objects["the-b"][1]["serials"] == ["serial-of-the-a"]
    bench.world.calls.clear()
    assert set(ops(bench.up(program)).values()) == {Op.SAME}
    assert bench.world.calls == []


def test_a_preview_foresees_what_up_does(bench: Bench) -> None:
    bench.up(program_of([A, B, Declared("c")]))
    program = program_of([Declared("a", size=2), B, Declared("d")])
    foreseen = bench.preview(program)
    assert ops(foreseen) == {"contract-dev": Op.SAME, "a": Op.UPDATE, "b": Op.SAME, "d": Op.CREATE, "c": Op.DELETE}
    assert ops(bench.up(program)) == ops(foreseen)
    assert set(bench.world.objects) == {"the-a", "the-b", "the-d"}


def test_a_new_name_is_created_before_the_old_is_deleted(bench: Bench) -> None:
    bench.up(program_of([A]))
    bench.world.calls.clear()
    report = bench.up(program_of([Declared("a", name="other")]))
    assert ops(report)["a"] is Op.REPLACE
    assert bench.world.calls == ["create other", "delete the-a"]
    assert [state.id for state in bench.snapshot().resources if state.urn.endswith("::a")] == ["other"]


def test_a_fixed_name_is_deleted_first_with_what_cannot_outlive_it(bench: Bench) -> None:
    bench.up(
        program_of([A, Declared("user", needs=("a",), options={"replace_on_changes": ["serials"]}), Declared("x")])
    )
    bench.world.calls.clear()
    changed = [
        Declared("a", kind="new"),
        Declared("user", needs=("a",), options={"replace_on_changes": ["serials"]}),
        Declared("x"),
    ]
    assert ops(bench.preview(program_of(changed))) == {
        "contract-dev": Op.SAME,
        "a": Op.REPLACE,
        "user": Op.REPLACE,
        "x": Op.SAME,
    }
    report = bench.up(program_of(changed))
    assert (report.failures, ops(report)["user"]) == ([], Op.REPLACE)
    assert bench.world.calls == ["delete the-user", "delete the-a", "create the-a", "create the-user"]


def test_a_failure_stops_its_dependents_only(bench: Bench) -> None:
    bench.world.failing = {"the-a"}
    report = bench.up(program_of([A, B, Declared("c")]))
    assert messages(report) == ["the-a cannot be made"]
    assert set(bench.world.objects) == {"the-c"}
    bench.world.failing = set()
    again = bench.up(program_of([A, B, Declared("c")]))
    assert again.failures == []
    assert ops(again) == {"contract-dev": Op.SAME, "a": Op.CREATE, "b": Op.CREATE, "c": Op.SAME}


def test_nothing_is_deleted_after_a_failure(bench: Bench) -> None:
    bench.up(program_of([A, Declared("old")]))
    bench.world.failing = {"the-new"}
    report = bench.up(program_of([A, Declared("new")]))
    assert messages(report) == ["the-new cannot be made"]
    assert set(bench.world.objects) == {"the-a", "the-old"}


def test_what_exists_but_is_not_ready_is_kept_and_tried_again(bench: Bench) -> None:
    bench.world.half_made = {"the-a"}
    assert messages(bench.up(program_of([A, B]))) == ["it never got ready"]
    state = next(state for state in bench.snapshot().resources if state.urn.endswith("::a"))
    assert (state.id, state.init_errors) == ("the-a", ("it never got ready",))
    bench.world.half_made = set()
    report = bench.up(program_of([A, B]))
    assert (report.failures, ops(report)["a"], ops(report)["b"]) == ([], Op.UPDATE, Op.CREATE)
    assert not any(state.init_errors for state in bench.snapshot().resources)


def test_inputs_refused_by_the_provider_touch_nothing(bench: Bench) -> None:
    assert messages(bench.up(program_of([Declared("a", size=-1)]))) == ["size must not be negative"]
    assert bench.world.calls == []


def test_protected_resources_are_not_deleted(bench: Bench) -> None:
    bench.up(program_of([Declared("a", options={"protect": True}), Declared("b")]))
    for report in (bench.preview(program_of([])), bench.up(program_of([]))):
        assert isinstance(report.failures[0].error, ProtectedError)
    assert set(bench.world.objects) == {"the-a"}


def test_retained_resources_leave_the_state_and_stay_in_the_world(bench: Bench) -> None:
    bench.up(program_of([Declared("a", options={"retain_on_delete": True})]))
    assert bench.up(program_of([])).failures == []
    assert set(bench.world.objects) == {"the-a"}
    assert not any(state.urn.endswith("::a") for state in bench.snapshot().resources)


def test_ignored_changes_are_ignored(bench: Bench) -> None:
    bench.up(program_of([Declared("a", size=1, options={"ignore_changes": ["size"]})]))
    report = bench.up(program_of([Declared("a", size=5, options={"ignore_changes": ["size"]})]))
    assert ops(report)["a"] is Op.SAME
    assert bench.world.objects["the-a"][1]["size"] == 1


def test_a_resource_that_failed_to_go_stays_with_what_it_needs(bench: Bench) -> None:
    bench.up(program_of([A, B]))
    bench.world.failing = {"the-b"}
    assert messages(bench.up(program_of([]))) == ["the-b cannot be deleted"]
    assert set(bench.world.objects) == {"the-a", "the-b"}
    bench.world.failing = set()
    assert bench.up(program_of([])).failures == []
    assert bench.world.objects == {}


def test_stopping_finishes_what_is_under_way_and_starts_nothing_more(bench: Bench) -> None:
    class StopError(Exception):
        pass

    def stop_now() -> None:
        raise StopError

    report = bench.up(program_of([A], prepare=stop_now))
    assert "StopError" in messages(report)[0]
    assert bench.world.calls == []


@pytest.mark.parametrize("moment", range(1, 13))
def test_a_kill_at_any_moment_of_a_replacement_ends_in_the_same_place(bench: Bench, moment: int) -> None:
    bench.up(program_of([A, Declared("user", needs=("a",), options={"replace_on_changes": ["serials"]})]))
    changed = program_of(
        [Declared("a", kind="new"), Declared("user", needs=("a",), options={"replace_on_changes": ["serials"]})]
    )
    bench.world.ticks, bench.world.kill_at = 0, moment
    bench.up(changed)
    bench.revive()
    assert messages(bench.up(changed)) == []
    assert {name: inputs["kind"] for name, (_, inputs) in bench.world.objects.items()} == {
        "the-a": "new",
        "the-user": "plain",
    }
    assert set(ops(bench.up(changed)).values()) == {Op.SAME}
