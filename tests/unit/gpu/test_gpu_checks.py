"""Everything wrong with a GPU section, with its place and what would be right."""

from __future__ import annotations

import pytest
from gpu_labs import JSI_SECTION, Gpus
from pydantic import ValidationError

from components.gpu.config import GpuConfig
from components.gpu.models import GpuModelName
from components.gpu.plan import check, check_models

A100 = GpuModelName.A100_80_PCIE


def problems(section: object, hosts: dict[str, Gpus | None]) -> list[str]:
    return [str(problem) for problem in check(GpuConfig.model_validate(section), hosts)]


def mig(layout: object, host: str = "gpu1") -> object:
    return {"groups": {"cut": {"hosts": [host], "slicing": {"kind": "mig", "layout": layout}}}}


def test_the_jsi_lab_is_sound(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    assert list(check(jsi, jsi_hosts)) == []
    assert list(check_models(jsi_hosts)) == []


def test_a_lab_with_every_way_of_slicing_is_sound(mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]) -> None:
    assert list(check(mixed_lab, mixed_hosts)) == []


@pytest.mark.parametrize(
    ("section", "hosts", "expected"),
    [
        (
            mig({"1g.10gb": 5, "3g.40gb": 1}),
            {"gpu1": Gpus(A100, 2)},
            (
                "groups.cut.slicing.layout: no placement of {1g.10gb: 5, 3g.40gb: 1} exists on a "
                "GPU of 8 memory slices; "
                "the nearest that fits is {1g.10gb: 4, 3g.40gb: 1}"
            ),
        ),
        (
            mig([{"1g.10gb": 7}, {"1g.5gb": 7}]),
            {"gpu1": Gpus(A100, 2)},
            (
                "groups.cut.slicing.layout[1]: A100-80GB-PCIe has no MIG profile 1g.5gb (it has "
                "1g.10gb, 1g.10gb+me, 1g.20gb, "
                "2g.20gb, 3g.40gb, 4g.40gb, 7g.80gb); the nearest that fits is {1g.10gb: 7}"
            ),
        ),
        (
            mig([{"1g.10gb": 7}]),
            {"gpu1": Gpus(A100, 2)},
            (
                "groups.cut.slicing.layout: gpu1 has 2 GPUs, but the list has 1 layouts; write 2 "
                "layouts, or one mapping for "
                "all of them"
            ),
        ),
        (
            mig({}),
            {"gpu1": Gpus(A100, 2)},
            "groups.cut.slicing.layout: nothing is cut; name MIG profiles, or use kind whole",
        ),
        (
            mig({"1g.10gb": 1}),
            {"gpu1": Gpus("T4", 2)},
            (
                "groups.cut.slicing.kind: gpu1 has T4, which cannot be cut by MIG; use kind whole, "
                "timeSlicing or mps for it, in a group of its own"
            ),
        ),
        (
            mig({"1g.10gb": 7}, host="gpu2"),
            {"gpu1": None, "gpu2": None},
            "groups.cut.hosts[0]: gpu2 has no GPUs; give nodes.hosts.gpu2.gpus, or drop it here",
        ),
        (
            {"groups": {"v100": {"hosts": ["old"], "slicing": {"kind": "whole"}}}},
            {"old": Gpus("V100-32GB", 4)},
            (
                "groups.v100.hosts[0]: the operator's driver no longer drives V100-32GB (Volta "
                "ended with driver branch 580); "
                "set driver.version to one of branch 580, or driver.source: host and install such a driver there"
            ),
        ),
        (
            {
                "driver": {"kernelModule": "proprietary"},
                "groups": {"b200": {"hosts": ["new"], "slicing": {"kind": "whole"}}},
            },
            {"new": Gpus("B200", 8)},
            "groups.b200.hosts[0]: B200 (Blackwell) has only the open kernel module; set driver.kernelModule: auto",
        ),
        (
            {"driver": {"source": "host", "kernelModule": "open"}, **JSI_SECTION},
            {"gpu1": Gpus(A100, 2)},
            (
                "driver.kernelModule: the kernel module is chosen for a driver that the hosts bring themselves; "
                "drop kernelModule, or set source: operator"
            ),
        ),
        (
            {"use": {"slices": [{"slice": "nvidia.com/gpu", "count": 1}]}},
            {},
            (
                "use.slices[0].slice: 'nvidia.com/gpu' is not the name of a slice; write a MIG "
                "profile such as 1g.10gb, or "
                "whole, or either with .shared, or whole.mps"
            ),
        ),
    ],
)
def test_one_problem(section: object, hosts: dict[str, Gpus | None], expected: str) -> None:
    assert problems(section, hosts) == [expected]


def cut(layout: object, **slicing: object) -> dict[str, object]:
    """Return a group of the host of the same name."""
    return {"kind": "mig", "layout": layout, **slicing}


def groups(**slicings: object) -> dict[str, object]:
    """Return a section with one group per slicing, each of the one host that is called as the group."""
    return {"groups": {name: {"hosts": [name], "slicing": slicing} for name, slicing in slicings.items()}}


@pytest.mark.parametrize(
    ("slicings", "models", "expected"),
    [
        (
            {"a": cut([{"1g.10gb": 7}, {"2g.20gb": 3}], strategy="single")},
            {"a": Gpus(A100, 2)},
            (
                "groups.a.slicing.strategy: single offers one profile, not 1g.10gb, 2g.20gb; "
                "cut every GPU into one profile, or write strategy: mixed"
            ),
        ),
        (
            {"a": cut([{"1g.10gb": 7}, {}], strategy="single")},
            {"a": Gpus(A100, 2)},
            (
                "groups.a.slicing.strategy: single leaves no GPU whole; "
                "cut every GPU into one profile, or write strategy: mixed"
            ),
        ),
        (
            {"a": cut({"1g.10gb": 7}, shared={"1g.20gb": 4})},
            {"a": Gpus(A100, 2)},
            (
                'groups.a.slicing.shared["1g.20gb"]: 1g.20gb is shared, but no GPU of the group is cut into it; '
                "did you mean 1g.10gb?"
            ),
        ),
        (
            {"a": {"kind": "mps", "replicas": 17}},
            {"a": Gpus("V100-32GB", 4)},
            (
                "groups.a.slicing.replicas: a has V100-32GB, which takes 16 MPS clients, not 17 "
                "(the device plugin takes 48 from Turing on); write at most 16, in a group of its own"
            ),
        ),
        (
            {"a": cut({"1g.10gb": 7}), "b": cut({"1g.10gb": 7}, strategy="single")},
            {"a": Gpus(A100, 1), "b": Gpus("H100-80GB-PCIe", 1)},
            (
                "groups.b.slicing.strategy: 1g.10gb would be the resource nvidia.com/gpu, and nvidia.com/mig-1g.10gb "
                "in group a; write the same strategy in both, or another layout than a's"
            ),
        ),
        (
            {"a": {"kind": "timeSlicing", "replicas": 4}, "b": {"kind": "timeSlicing", "replicas": 8}},
            {"a": Gpus("T4", 1), "b": Gpus("T4", 1)},
            (
                "groups.b.slicing: whole.shared on T4 would have 8 sharers, and 4 in group a; "
                "write the same number in both: nobody could tell which of them to ask for"
            ),
        ),
        (
            {"a": cut({"1g.10gb": 7}, shared={"1g.10gb": 2}), "b": cut({"1g.10gb": 7}, shared={"1g.10gb": 3})},
            {"a": Gpus(A100, 1), "b": Gpus(A100, 1)},
            (
                "groups.b.slicing: 1g.10gb.shared on A100-80GB-PCIe would have 3 sharers, and 2 in group a; "
                "write the same number in both: nobody could tell which of them to ask for"
            ),
        ),
    ],
)
def test_one_problem_of_sharing(slicings: dict[str, object], models: dict[str, Gpus | None], expected: str) -> None:
    assert problems({"driver": {"source": "host"}, **groups(**slicings)}, models) == [expected]


@pytest.mark.parametrize(
    ("slicings", "models"),
    [
        # Their resource is the same, their nodes' labels are not.
        ({"a": {"kind": "timeSlicing", "replicas": 4}, "b": {"kind": "mps", "replicas": 8}}, ("T4", "T4")),
        ({"a": {"kind": "timeSlicing", "replicas": 4}, "b": {"kind": "timeSlicing", "replicas": 8}}, ("T4", "L4")),
        ({"a": {"kind": "whole"}, "b": cut({"1g.10gb": 7}, strategy="single")}, (A100, A100)),
        ({"a": cut({"1g.10gb": 7}), "b": cut({"1g.10gb": 7}, shared={"1g.10gb": 4})}, (A100, A100)),
        ({"a": cut([{"1g.10gb": 7}, {"1g.10gb": 3}], strategy="single"), "b": {"kind": "whole"}}, (A100, "T4")),
        ({"a": {"kind": "mps", "replicas": 16}, "b": {"kind": "mps", "replicas": 48}}, ("V100-32GB", "T4")),
    ],
)
def test_slices_that_people_can_tell_apart(slicings: dict[str, object], models: tuple[str, str]) -> None:
    hosts: dict[str, Gpus | None] = {name: Gpus(model, 2) for name, model in zip(slicings, models, strict=True)}
    assert problems({"driver": {"source": "host"}, **groups(**slicings)}, hosts) == []


def test_a_used_slice_of_strategy_single_names_its_model() -> None:
    used = {"slice": "1g.10gb", "count": 7, "strategy": "single"}
    assert problems({"use": {"slices": [used]}}, {}) == [
        (
            "use.slices[0].model: under strategy single 1g.10gb has the resource of a whole GPU, and nothing but the "
            "model tells them apart; name the GPU model it is cut from"
        )
    ]
    assert problems({"use": {"slices": [{**used, "model": str(A100)}]}}, {}) == []


def test_hosts_alike_are_looked_at_once() -> None:
    names = [f"gpu{index}" for index in range(40)]
    section = {"groups": {"cut": {"hosts": names, "slicing": cut([{"7g.80gb": 1}] * 7)}}}
    (found,) = problems(section, dict.fromkeys(names, Gpus(A100, 8)))
    assert found == (
        "groups.cut.slicing.layout: gpu0 has 8 GPUs, but the list has 7 layouts; "
        "write 8 layouts, or one mapping for all of them"
    )


def test_an_unknown_host_has_a_nearest_one() -> None:
    found = problems(mig({"1g.10gb": 7}, host="gpu-1"), {"gpu1": Gpus(A100, 1), "head1": None})
    assert found == [
        "groups.cut.hosts[0]: there is no host gpu-1; did you mean gpu1?",
        "groups: gpu1 has GPUs but is in no group; add it, with slicing kind whole",
    ]


def test_a_host_in_two_groups_is_named_in_both() -> None:
    whole = {"hosts": ["gpu1"], "slicing": {"kind": "whole"}}
    found = problems({"groups": {"one": whole, "two": whole}}, {"gpu1": Gpus(A100, 1)})
    assert found == [
        "groups.one.hosts[0]: gpu1 is named 2 times; name it in exactly one group",
        "groups.two.hosts[0]: gpu1 is named 2 times; name it in exactly one group",
    ]


def test_a_layout_refused_on_two_hosts_alike_is_reported_once() -> None:
    section = {"groups": {"cut": {"hosts": ["gpu1", "gpu2"], "slicing": {"kind": "mig", "layout": {"7g.80gb": 2}}}}}
    assert len(problems(section, {"gpu1": Gpus(A100, 2), "gpu2": Gpus(A100, 4)})) == 1


def test_all_problems_come_at_once() -> None:
    section = {
        "groups": {
            "cut": {"hosts": ["gpu1", "nowhere"], "slicing": {"kind": "mig", "layout": {"9g.90gb": 1}}},
            "teaching": {"hosts": ["head1"], "slicing": {"kind": "timeSlicing", "replicas": 4}},
        }
    }
    found = problems(section, {"gpu1": Gpus(A100, 1), "head1": None})
    assert [problem.split(":")[0] for problem in found] == [
        "groups.cut.hosts[1]",
        "groups.teaching.hosts[0]",
        "groups.cut.slicing.layout",
    ]


def test_volta_runs_with_the_hosts_own_driver() -> None:
    section = {"driver": {"source": "host"}, "groups": {"v100": {"hosts": ["old"], "slicing": {"kind": "whole"}}}}
    assert problems(section, {"old": Gpus("V100-32GB", 4)}) == []


def test_an_unknown_model_is_the_nodes_sections_problem() -> None:
    hosts: dict[str, Gpus | None] = {"gpu1": Gpus("a100-80gb-pci", 2), "gpu2": Gpus("Radeon", 1)}
    first, second = (str(problem) for problem in check_models(hosts))
    assert first == "hosts.gpu1.gpus.model: 'a100-80gb-pci' is not a known GPU model; did you mean A100-80GB-PCIe?"
    assert second.startswith("hosts.gpu2.gpus.model: 'Radeon' is not a known GPU model; choose one of V100-16GB, ")
    assert problems(mig({"1g.10gb": 7}), {"gpu1": hosts["gpu1"]}) == []


ELSEWHERE = [("vGPU", "vGPU", "mig"), ("hami", "HAMi", "mps"), ("dra", "dynamic resource allocation", "whole")]
"""Methods of the field: as somebody would write them, their name, what exists instead."""


@pytest.mark.parametrize(("kind", "named", "instead"), ELSEWHERE)
def test_ways_of_the_field_are_refused_by_name(kind: str, named: str, instead: str) -> None:
    section = {"groups": {"a": {"hosts": ["gpu1"], "slicing": {"kind": kind}}}}
    with pytest.raises(
        ValidationError, match=f"{named} as slicing is not built here: .*; write kind: {instead} or kind"
    ):
        GpuConfig.model_validate(section)


@pytest.mark.parametrize(("key", "named", "instead"), ELSEWHERE)
def test_their_keys_are_refused_by_name(key: str, named: str, instead: str) -> None:
    with pytest.raises(
        ValidationError, match=f"{named} as slicing is not built here: .*; write kind: {instead} or kind"
    ):
        GpuConfig.model_validate({key: {}, **JSI_SECTION})


def test_mps_on_top_of_mig_is_refused_by_name() -> None:
    slicing = {"kind": "mig", "layout": {"1g.10gb": 7}, "mps": {"1g.10gb": 2}}
    with pytest.raises(ValidationError, match=r"refused by NVIDIA's device plugin; write shared: \{<profile>"):
        GpuConfig.model_validate({"groups": {"a": {"hosts": ["gpu1"], "slicing": slicing}}})


@pytest.mark.parametrize("section", [{}, {**JSI_SECTION, "use": {"slices": [{"slice": "whole", "count": 1}]}}])
def test_groups_or_use_but_not_both(section: object) -> None:
    with pytest.raises(ValidationError, match="write groups to cut this stack's GPUs, or use to name"):
        GpuConfig.model_validate(section)


@pytest.mark.parametrize(
    "slicing",
    [
        {"kind": "timeSlicing", "replicas": 1},
        {"kind": "timeSlicing", "replicas": 49},
        {"kind": "mps", "replicas": 1},
        {"kind": "mps", "replicas": 49},
        {"kind": "mig", "layout": {"1g.10gb": 7}, "shared": {"1g.10gb": 1}},
        {"kind": "mig", "layout": {"1g.10gb": 7}, "shared": {"1g.10gb": 49}},
        {"kind": "mig", "layout": {"1g.10gb": 7}, "strategy": "none"},
        {"kind": "mig", "layout": {"1g.10gb": 0}},
        {"kind": "mig"},
        {"kind": "whole", "replicas": 2},
    ],
)
def test_malformed_slicing(slicing: object) -> None:
    with pytest.raises(ValidationError):
        GpuConfig.model_validate({"groups": {"a": {"hosts": ["gpu1"], "slicing": slicing}}})
