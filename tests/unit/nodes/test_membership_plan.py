"""Who admits whom, who waits for whom, and who sees whom off."""

from __future__ import annotations

from graphlib import TopologicalSorter
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.networks import Networks
from components.nodes.config import NodesConfig
from components.nodes.control_plane_plan import cluster_steps, control_plane_steps, load_balancer_steps
from components.nodes.membership_plan import helper, join_steps, member_steps, request_steps
from components.nodes.settings import ClusterSettings
from components.nodes.steps import Lifecycle, Step, StepOutput
from stacks.environments import EnvironmentName
from stacks.pins import load_pins

HARDWARE = {"cpus": 8, "memory": "32Gi", "ephemeralStorage": "200G"}


def lab(planes: int = 3, workers: int = 2, **more: object) -> NodesConfig:
    """Control-plane hosts cp-1... and workers w-1..."""
    names = [f"cp-{index + 1}" for index in range(planes)] + [f"w-{index + 1}" for index in range(workers)]
    return NodesConfig.model_validate(
        {
            "hosts": {
                name: {
                    "address": f"10.0.{number // 200}.{number % 200 + 10}",
                    "roles": ["control-plane" if name.startswith("cp") else "worker"],
                    "hardware": HARDWARE,
                }
                for number, name in enumerate(names)
            },
            **({"endpoint": {"address": "10.0.255.1"}} if planes > 1 else {}),
            **more,
        }
    )


def all_steps(config: NodesConfig) -> dict[tuple[str, str | None], Step]:
    cluster = ClusterSettings(
        name="lab",
        hosts=Networks.of("10.0.0.0/16"),
        pods=Networks.of("10.244.0.0/16"),
        services=Networks.of("10.96.0.0/16"),
        domain="cluster.local",
        pins=load_pins(EnvironmentName.TEST),
    )
    steps = (
        *load_balancer_steps(config),
        *control_plane_steps(config, cluster),
        *request_steps(config),
        *cluster_steps(config, cluster),
        *join_steps(config),
        *member_steps(config),
    )
    found = {step.key: step for step in steps}
    assert len(found) == len(steps)
    return found


def needs(step: Step) -> set[tuple[str, str | None]]:
    """What a step waits for, named or by a result it uses."""
    return {*step.after, *((value.step, value.host) for value in step.values.values() if isinstance(value, StepOutput))}


def before(config: NodesConfig, key: tuple[str, str | None]) -> set[tuple[str, str | None]]:
    """Every step that is done before another one."""
    steps = all_steps(config)
    found: set[tuple[str, str | None]] = set()
    todo = [key]
    while todo:
        for need in needs(steps[todo.pop()]) & steps.keys():
            if need not in found:
                found.add(need)
                todo.append(need)
    return found


@pytest.mark.parametrize(
    ("planes", "bootstrap", "host", "expected"),
    [
        (3, None, "w-1", "cp-1"),
        (3, None, "cp-1", "cp-2"),
        (3, None, "cp-3", "cp-1"),
        (3, "cp-3", "cp-3", "cp-1"),
        (3, "cp-3", "w-1", "cp-3"),
        (1, None, "w-1", "cp-1"),
        (1, None, "cp-1", None),
    ],
)
def test_who_helps_whom(planes: int, bootstrap: str | None, host: str, expected: str | None) -> None:
    more = {"bootstrapHost": bootstrap} if bootstrap else {}
    assert helper(lab(planes, 2, **more), host) == expected


@pytest.mark.parametrize("planes", [1, 3, 5])
@pytest.mark.parametrize("bootstrap", ["cp-1", "last"])
def test_there_is_an_order_in_which_all_can_be_done(planes: int, bootstrap: str) -> None:
    name = f"cp-{planes}" if bootstrap == "last" else bootstrap
    steps = all_steps(lab(planes, 3, bootstrapHost=name))
    graph = {key: needs(step) & steps.keys() for key, step in steps.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(steps)


def test_workers_join_at_the_same_time_and_none_waits_for_another() -> None:
    config = lab(3, 4)
    for worker in ("w-1", "w-2", "w-3", "w-4"):
        others = {other for _, other in before(config, ("join", worker)) if other and other.startswith("w-")}
        assert others == {worker}


def test_a_new_worker_costs_one_command_on_one_control_plane_host_and_none_on_a_worker() -> None:
    fewer, more = all_steps(lab(3, 1000)), all_steps(lab(3, 1001))
    added = [more[key] for key in more.keys() - fewer.keys()]
    elsewhere = [step for step in added if step.host != "w-1001" and step.lifecycle is not Lifecycle.LEAVING]
    assert [(step.name, step.host) for step in elsewhere] == [("admit", "cp-1")]
    assert all(more[key] == fewer[key] for key in fewer)


def test_control_plane_hosts_join_one_after_the_other_the_bootstrap_host_first() -> None:
    config = lab(3, 0, bootstrapHost="cp-2")
    steps = all_steps(config)
    waits = {
        name: [host for step, host in steps["join", name].after if step == "join"] for name in ("cp-1", "cp-2", "cp-3")
    }
    assert waits == {"cp-2": [], "cp-1": ["cp-2"], "cp-3": ["cp-1"]}
    assert ("cluster", None) in before(config, ("join", "cp-2"))


def test_a_host_is_admitted_by_a_host_that_has_joined_but_for_the_first() -> None:
    config = lab(3, 1)
    for host, other in (("cp-2", "cp-1"), ("cp-3", "cp-1"), ("w-1", "cp-1")):
        assert ("join", other) in before(config, ("admit", host))
    # Admitted before there is a cluster, so by nobody: it begins one instead, or is admitted in its next life.
    assert not {key for key in before(config, ("admit", "cp-1")) if key[0] in {"join", "cluster"}}
    assert ("admit", "cp-1") in before(config, ("cluster", None))


def test_a_next_life_is_another_request_and_another_admission_and_the_same_join() -> None:
    config = lab(3, 1)
    again = config.model_copy(
        update={"hosts": {**config.hosts, "w-1": config.hosts["w-1"].model_copy(update={"reconverge": 1})}}
    )
    first, second = all_steps(config), all_steps(again)
    assert (first["admit", "w-1"].resource, second["admit", "w-1"].resource) == ("w-1-admit-0", "w-1-admit-1")
    assert first["join", "w-1"].resource == second["join", "w-1"].resource
    assert first["admit", "w-1"].lifecycle is Lifecycle.ONCE


@settings(deadline=None)
@given(st.sampled_from(list(permutations(["cp-1", "cp-2", "cp-3", "w-1", "w-2"]))))
def test_the_order_of_hosts_means_nothing(order: tuple[str, ...]) -> None:
    config = lab(3, 2)
    shuffled = config.model_copy(update={"hosts": {name: config.hosts[name] for name in order}})
    assert all_steps(shuffled) == all_steps(config)


def test_another_bootstrap_host_changes_nothing_that_is_done_again() -> None:
    first, second = all_steps(lab(3, 2)), all_steps(lab(3, 2, bootstrapHost="cp-3"))
    for key, step in second.items():
        if step.lifecycle is Lifecycle.CONVERGED:
            assert (step.host, step.values) == (first[key].host, first[key].values)


def test_a_host_is_seen_off_by_another_control_plane_host_once_it_has_joined() -> None:
    steps = all_steps(lab(3, 1))
    leaving = {key[1]: step for key, step in steps.items() if key[0] == "member"}
    assert {host: step.host for host, step in leaving.items()} == {
        "cp-1": "cp-2",
        "cp-2": "cp-1",
        "cp-3": "cp-1",
        "w-1": "cp-1",
    }
    for host, step in leaving.items():
        assert step.lifecycle is Lifecycle.LEAVING
        assert {("join", host), ("join", step.host)} <= set(step.after)


def test_the_only_control_plane_host_cannot_be_seen_off_and_the_step_that_would_stays_without_end() -> None:
    alone = {step.subject: step for step in member_steps(lab(1, 2))}
    assert {host: step.lifecycle for host, step in alone.items()} == {
        "cp-1": Lifecycle.NEVER,
        "w-1": Lifecycle.LEAVING,
        "w-2": Lifecycle.LEAVING,
    }
    # With three it was cp-2 that would see cp-1 off; were the step gone with cp-2, that would happen now.
    beside_others = {step.subject: step for step in member_steps(lab(3, 2))}
    assert alone["cp-1"].resource == beside_others["cp-1"].resource


def test_lost_hosts_are_asked_nothing_and_do_nothing_for_others() -> None:
    config = lab(3, 2)
    lost = config.model_copy(
        update={"hosts": {**config.hosts, "cp-1": config.hosts["cp-1"].model_copy(update={"lost": True})}}
    )
    steps = all_steps(lost)
    assert "cp-1" not in {name for step in steps.values() for name in (step.host, step.subject)}
    assert steps["admit", "w-1"].host == "cp-2"


def test_taints_go_to_whoever_admits_in_kubectls_words() -> None:
    config = lab(1, 1)
    tainted = config.hosts["w-1"].model_validate(
        {
            **config.hosts["w-1"].model_dump(mode="json", by_alias=True),
            "taints": [{"key": "gpu", "value": "a100", "effect": "NoSchedule"}, {"key": "slow", "effect": "NoExecute"}],
        }
    )
    changed = config.model_copy(update={"hosts": {**config.hosts, "w-1": tainted}})
    assert all_steps(changed)["admit", "w-1"].values["TAINTS"] == ("gpu=a100:NoSchedule", "slow:NoExecute")
