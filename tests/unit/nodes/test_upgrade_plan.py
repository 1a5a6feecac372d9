"""Who is upgraded when, and which certificates are renewed after what."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.networks import Networks
from components.nodes.config import NodesConfig
from components.nodes.plan import control_planes
from components.nodes.settings import ClusterSettings
from components.nodes.upgrade_plan import certificate_steps, check, last_storage, upgrade_batches, version_steps
from stacks.environments import EnvironmentName
from stacks.pins import load_pins

HARDWARE = {"cpus": 8, "memory": "32Gi", "ephemeralStorage": "200G"}
SETTINGS = ClusterSettings(
    name="lab",
    hosts=Networks.of("192.0.2.0/24"),
    pods=Networks.of("10.244.0.0/16"),
    services=Networks.of("10.96.0.0/16"),
    domain="cluster.local",
    pins=load_pins(EnvironmentName.TEST),
)


FIRST = ip_address("10.0.0.0")


def nodes(hosts: dict[str, tuple[str, ...]], **more: object) -> NodesConfig:
    named = {
        name: {
            "address": str(FIRST + index),
            "roles": [role for role in roles if role != "lost"],
            "hardware": HARDWARE,
            "lost": "lost" in roles,
        }
        for index, (name, roles) in enumerate(hosts.items(), start=1)
    }
    return NodesConfig.model_validate({"hosts": named, "endpoint": {"address": "10.0.255.250"}, **more})


PLANE, WORKER, STORE, BOTH, LOST = (
    ("control-plane",),
    ("worker",),
    ("storage", "worker"),
    ("control-plane", "worker"),
    ("worker", "lost"),
)


@pytest.mark.parametrize(
    ("hosts", "batch", "batches"),
    [
        ({}, 1, ()),
        ({"w-2": WORKER, "cp-1": PLANE, "w-1": WORKER}, 1, (("cp-1",), ("w-1",), ("w-2",))),
        (
            {"w-3": WORKER, "w-2": WORKER, "cp-1": PLANE, "w-1": WORKER, "w-4": LOST},
            2,
            (("cp-1",), ("w-1", "w-2"), ("w-3",)),
        ),
        (
            {"z-1": BOTH, "cp-2": PLANE, "cp-1": PLANE, "a": WORKER},
            3,
            (("cp-1",), ("cp-2",), ("z-1",), ("a",)),
        ),
        # One with storage at a time, however many workers: the others serve meanwhile.
        (
            {"cp": PLANE, "s-1": STORE, "s-2": STORE, "w-1": WORKER, "w-2": WORKER, "only": ("storage",)},
            5,
            (("cp",), ("w-1", "w-2"), ("s-1",), ("s-2",)),
        ),
    ],
)
def test_batches(hosts: dict[str, tuple[str, ...]], batch: int, batches: tuple[tuple[str, ...], ...]) -> None:
    assert upgrade_batches(nodes(hosts, upgrade={"batch": batch})) == batches


LABS = st.dictionaries(
    st.from_regex(r"[a-z]{1,4}", fullmatch=True),
    st.sampled_from([PLANE, WORKER, STORE, BOTH, LOST, ("storage",)]),
    max_size=12,
)


@given(LABS, st.integers(1, 5), st.randoms())
def test_every_member_has_its_turn_once_and_control_planes_come_first(
    hosts: dict[str, tuple[str, ...]], batch: int, random: Random
) -> None:
    config = nodes(hosts, upgrade={"batch": batch})
    batches = upgrade_batches(config)
    order = [name for turn in batches for name in turn]
    assert sorted(order) == sorted(name for name, roles in hosts.items() if roles not in (LOST, ("storage",)))
    is_plane = ["control-plane" in hosts[name] for name in order]
    assert is_plane == sorted(is_plane, reverse=True)
    assert all(1 <= len(turn) <= batch for turn in batches)
    assert all(len(turn) == 1 for turn in batches if {"control-plane", "storage"} & set(hosts[turn[0]]))
    shuffled = list(hosts.items())
    random.shuffle(shuffled)
    assert upgrade_batches(nodes(dict(shuffled), upgrade={"batch": batch})) == batches


@given(LABS, st.integers(1, 4))
def test_no_more_than_a_batch_is_away_at_once(hosts: dict[str, tuple[str, ...]], batch: int) -> None:
    config = nodes(hosts, upgrade={"batch": batch})
    steps = {step.subject: step.after for step in version_steps(config, SETTINGS)}
    after = {str(host): {other for name, other in waits if name == "version"} for host, waits in steps.items()}
    assert set(after) == {name for turn in upgrade_batches(config) for name in turn}
    planes = set(control_planes(config))
    alone = planes | {name for name in after if "storage" in hosts[name]}
    done: set[str | None] = set()
    while len(done) < len(after):
        away = {name for name in after if name not in done and after[name] <= done}
        assert away, "hosts wait for each other"
        assert len(away) <= batch
        assert len(away) == 1 or not away & alone, "one that goes alone has company"
        done |= {min(away)}
    assert not any(after[name] & set(after) - planes for name in planes), "a control plane waits for a worker"


def test_a_thousand_hosts_are_planned_in_few_batches() -> None:
    hosts = {"cp-1": PLANE, **{f"w-{index:04}": WORKER for index in range(1000)}}
    assert len(upgrade_batches(nodes(hosts))) == 1 + 20
    assert not list(check(nodes(hosts)))
    (problem,) = check(nodes(hosts, upgrade={"batch": 5}))
    assert problem.remedy.startswith("write 10 or more")


def test_a_step_says_what_its_host_is_and_what_may_be_done_to_it() -> None:
    config = nodes(
        {"cp-1": PLANE, "w-1": WORKER},
        upgrade={"drainTimeout": "90s", "evictUnmanaged": True},
        controlPlane={"ignorePreflight": ["SystemVerification"]},
    )
    plane, worker = version_steps(config, SETTINGS)
    assert plane.values == {
        "ADDRESS": "10.0.0.1",
        "CONTROL_PLANE": True,
        "DRAIN_SECONDS": 90,
        "EVICT_UNMANAGED": True,
        "IGNORE_PREFLIGHT": ("SystemVerification",),
        "KUBERNETES_VERSION": SETTINGS.pins.kubernetes,
        "LAST_STORAGE": None,
    }
    assert plane.after == (("kubernetes", "cp-1"), ("join", "cp-1"), ("join", "cp-1"))
    assert worker.values["CONTROL_PLANE"] is False
    assert worker.after == (("kubernetes", "w-1"), ("join", "w-1"), ("version", "cp-1"))
    assert (plane.host, worker.host) == ("cp-1", "w-1"), "a host upgrades itself"


@pytest.mark.parametrize(
    ("hosts", "last"),
    [
        ({"s-1": STORE, "w-1": WORKER}, "s-1"),
        ({"s-1": STORE, "s-2": STORE}, None),
        ({"s-1": STORE, "s-2": ("storage", "worker", "lost")}, "s-1"),
        ({"s-1": ("storage",), "w-1": WORKER}, None),
    ],
)
def test_the_last_node_with_storage_is_known_to_every_step(hosts: dict[str, tuple[str, ...]], last: str | None) -> None:
    config = nodes({"cp-1": PLANE, **hosts})
    assert last_storage(config) == last
    assert all(step.values["LAST_STORAGE"] == last for step in version_steps(config, SETTINGS))
    allowed = nodes({"cp-1": PLANE, **hosts}, upgrade={"drainLastStorage": True})
    assert all(step.values["LAST_STORAGE"] is None for step in version_steps(allowed, SETTINGS))


@pytest.mark.parametrize(
    ("workers", "batch", "wrong"),
    [(0, 1, False), (1, 1, False), (1, 5, False), (2, 1, False), (2, 2, True), (3, 2, False), (3, 7, True)],
)
def test_not_all_workers_at_once(workers: int, batch: int, *, wrong: bool) -> None:
    config = nodes({"cp-1": PLANE, **{f"w-{index}": WORKER for index in range(workers)}}, upgrade={"batch": batch})
    problems = list(check(config))
    assert [problem.path for problem in problems] == ([("upgrade", "batch")] if wrong else [])


def test_certificates_are_renewed_host_by_host_after_every_upgrade() -> None:
    config = nodes({"cp-2": PLANE, "cp-1": PLANE, "cp-3": PLANE, "w": WORKER}, certificates={"renewal": 3})
    steps = certificate_steps(config)
    assert [step.subject for step in steps] == ["cp-1", "cp-2", "cp-3"]
    assert [step.values["RENEWAL"] for step in steps] == [3, 3, 3]
    upgrades = {("version", name) for name in ("cp-1", "cp-2", "cp-3")}
    assert [set(step.after) - upgrades for step in steps] == [
        set(),
        {("certificates", "cp-1")},
        {("certificates", "cp-2")},
    ]
    assert all(upgrades <= set(step.after) for step in steps)
