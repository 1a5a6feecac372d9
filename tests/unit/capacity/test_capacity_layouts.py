"""The search over layouts: exhaustive on small labs, its results valid stack sections, hosts kept where they can be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.gpu.checks import check
from components.gpu.config import GpuConfig
from components.gpu.geometry import layouts_of
from components.gpu.models import GpuModelName
from components.gpu.slices import WHOLE, offered_slices
from labctl.capacity.layouts import SHARED_WHOLE, best_cuts, kept_slices, most_of_each, pools_of, present_cut
from labctl.capacity.stack_lines import recut, section_lines
from stacks.reading import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.capacity.layouts import Cut


@dataclass(frozen=True)
class Gpus:
    model: str
    count: int


A100 = GpuModelName.A100_80_PCIE
HOSTS: Mapping[str, Gpus | None] = {
    "gpu-1": Gpus(model="A100-80GB-PCIe", count=2),
    "gpu-2": Gpus(model="A100-80GB-PCIe", count=2),
    "gpu-3": Gpus(model="T4", count=2),
    "cpu-1": None,
}
ASKED = ("1g.10gb", "2g.20gb", "3g.40gb", WHOLE)
NEEDS = st.dictionaries(st.sampled_from(ASKED), st.integers(1, 14), min_size=1)


def section(*, t4: Mapping[str, object] | None = None) -> GpuConfig:
    groups = {
        "sliced": {"hosts": ["gpu-1"], "slicing": {"kind": "mig", "layout": {"1g.10gb": 7}}},
        "whole": {"hosts": ["gpu-2"], "slicing": {"kind": "whole"}},
        "small": {"hosts": ["gpu-3"], "slicing": t4 or {"kind": "timeSlicing", "replicas": 4}},
    }
    return GpuConfig.model_validate({"groups": groups})


def offered(cut: Cut) -> Counter[str]:
    return sum((host.offers for host in cut.hosts.values()), Counter[str]())


def uncovered(need: Mapping[str, int], cut: Cut) -> int:
    return (Counter(need) - offered(cut)).total()


def least_uncovered(need: Mapping[str, int], gpus: int) -> int:
    """Try every combination of layouts on so many A100s, most simply."""
    each = {tuple((dict(layout) or {WHOLE: 1}).get(name, 0) for name in ASKED) for layout in layouts_of(A100)}
    useful = [
        one for one in each if not any(o != one and all(a >= b for a, b in zip(o, one, strict=True)) for o in each)
    ]
    wanted = [need.get(name, 0) for name in ASKED]
    return min(
        sum(max(0, want - sum(one[place] for one in chosen)) for place, want in enumerate(wanted))
        for chosen in combinations_with_replacement(useful, gpus)
    )


@settings(max_examples=40, deadline=None)
@given(NEEDS)
def test_on_a_small_lab_nothing_covers_more_than_the_best_cut(need: dict[str, int]) -> None:
    pools = pools_of(section(), HOSTS)
    assert [(pool.model, sorted(pool.hosts)) for pool in pools] == [(A100, ["gpu-1", "gpu-2"])]
    found = best_cuts(pools, need)
    assert found.is_exhaustive
    assert uncovered(need, found.cuts[0]) == least_uncovered(need, gpus=4)


@settings(max_examples=40, deadline=None)
@given(need=NEEDS, shared=st.integers(0, 12))
def test_every_cut_is_a_valid_section_that_offers_what_it_says(need: dict[str, int], shared: int) -> None:
    config = section(t4={"kind": "whole"})
    pools = pools_of(config, HOSTS, time_slices=4)
    wanted = {**need, **({SHARED_WHOLE: shared} if shared else {})}
    for cut in best_cuts(pools, wanted, time_slices=4).cuts:
        made = recut(config, cut)
        assert list(check(made, HOSTS)) == []
        totals: Counter[str] = Counter()
        for one in offered_slices(made, HOSTS):
            totals[one.name] += one.total
        assert totals == offered(cut) + kept_slices(config, HOSTS, pools)
        assert sorted(host for group in made.groups.values() for host in group.hosts) == ["gpu-1", "gpu-2", "gpu-3"]
        assert set(config.groups) & set(made.groups), "names stay where they can"
        read = read_yaml("\n".join(section_lines(made)))
        assert read.problems == ()
        assert GpuConfig.model_validate(read.value["gpu"]).groups == made.groups  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript] - raw YAML


def test_what_is_shared_stays_unless_time_slicing_is_allowed() -> None:
    assert {host for pool in pools_of(section(), HOSTS) for host in pool.hosts} == {"gpu-1", "gpu-2"}
    assert kept_slices(section(), HOSTS, pools_of(section(), HOSTS)) == {SHARED_WHOLE: 8}
    allowed = pools_of(section(), HOSTS, time_slices=4)
    assert {host for pool in allowed for host in pool.hosts} == {"gpu-1", "gpu-2", "gpu-3"}
    for kind in ({"kind": "mps", "replicas": 4},):
        assert "gpu-3" not in {host for pool in pools_of(section(t4=kind), HOSTS, time_slices=4) for host in pool.hosts}


def test_hosts_that_serve_as_they_are_are_left_alone() -> None:
    pools = pools_of(section(), HOSTS)
    cut = best_cuts(pools, {"1g.10gb": 14, WHOLE: 2}).cuts[0]
    assert cut == present_cut(pools)
    assert cut.changed(pools) == ()
    assert best_cuts(pools, {"3g.40gb": 4, WHOLE: 2}).cuts[0].changed(pools) == ("gpu-1",)


def test_time_slicing_takes_gpus_that_cannot_be_cut_first() -> None:
    pools = pools_of(section(t4={"kind": "whole"}), HOSTS, time_slices=4)
    cut = best_cuts(pools, {SHARED_WHOLE: 8, "1g.10gb": 14}, time_slices=4).cuts[0]
    assert offered(cut)[SHARED_WHOLE] == 8
    assert cut.changed(pools) == ("gpu-3",)


def test_the_most_there_could_be_of_a_slice() -> None:
    pools = pools_of(section(), HOSTS, time_slices=4)
    names = ["1g.10gb", "3g.40gb", "7g.80gb", WHOLE, SHARED_WHOLE]
    assert most_of_each(pools, names, 4) == {"1g.10gb": 28, "3g.40gb": 8, "7g.80gb": 4, WHOLE: 6, SHARED_WHOLE: 24}


@pytest.mark.timeout(30)
def test_a_thousand_gpus_are_searched_in_blocks_and_said_so() -> None:
    hosts = {f"gpu-{n:03}": Gpus(model="A100-80GB-SXM", count=8) for n in range(125)}
    groups = {"all": {"hosts": list(hosts), "slicing": {"kind": "whole"}}}
    pools = pools_of(GpuConfig.model_validate({"groups": groups}), hosts)
    need = {"1g.10gb": 2000, "2g.20gb": 400, "3g.40gb": 500, WHOLE: 100}
    found = best_cuts(pools, need)
    assert not found.is_exhaustive
    assert uncovered(need, found.cuts[0]) == 0
    assert sum(len(cut.layouts) for cut in found.cuts[0].hosts.values()) == 1000
