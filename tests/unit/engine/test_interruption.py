"""Whatever is under way when the process is killed, running it again ends in the same place."""

from __future__ import annotations

import tempfile
from pathlib import Path

from engine_bench import Bench, Declared, program_of
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from labctl.engine.plan import Op

KEYS = ("a", "b", "c", "d")


@st.composite
def declarations(draw: st.DrawFn) -> list[Declared]:
    chosen = [key for key in KEYS if draw(st.booleans())]
    return [
        Declared(
            key,
            size=draw(st.integers(1, 2)),
            kind=draw(st.sampled_from(("plain", "fancy"))),
            name=draw(st.sampled_from((f"the-{key}", f"new-{key}"))),
            needs=tuple(need for need in chosen[:index] if draw(st.booleans())),
        )
        for index, key in enumerate(chosen)
    ]


@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.lists(st.tuples(declarations(), st.none() | st.integers(1, 14)), min_size=1, max_size=4))
def test_a_killed_run_is_made_good_by_the_next(history: list[tuple[list[Declared], int | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for declared, kill_at in history:
            bench.world.ticks, bench.world.kill_at = 0, kill_at
            bench.up(program_of(declared))
            bench.revive()
        wanted = history[-1][0]
        report = bench.up(program_of(wanted))
        assert report.failures == []
        assert {name: (inputs["size"], inputs["kind"]) for name, (_, inputs) in bench.world.objects.items()} == {
            thing.name: (thing.size, thing.kind) for thing in wanted
        }
        assert {step.op for step in bench.up(program_of(wanted)).steps} == {Op.SAME}
