"""Snapshots and replication as they are planned, and what is refused before anything is touched."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.nodes.bootstrap_plan import in_order
from components.nodes.config import NodesConfig
from components.nodes.steps import StepOutput
from components.problems import render_path
from components.storage.config import StorageConfig
from components.storage.datasets_plan import DatasetPlan, dataset_plans
from components.storage.hosts_plan import storage_steps
from components.storage.protection_checks import calendar_fault, check_protection
from components.storage.protection_config import SnapshotsConfig
from components.storage.snapshots_plan import PERIODS, age_limit, kept, sanoid_conf, snapshot_roots

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICd5uYThGCy2DNIdo70jUG/6PsA0Dr7msCXWkTzLtyFg"
COUNTS = st.fixed_dictionaries({kind: st.integers(0, 90) for kind in PERIODS})


def nodes(**of_first: object) -> NodesConfig:
    """Two storage hosts; `of_first` are further keys of the first."""
    hardware = {"cpus": 8, "memory": "64Gi", "ephemeralStorage": "100G"}
    hosts: dict[str, dict[str, object]] = {
        name: {"address": f"192.0.2.{number}", "roles": ["storage"], "hostKey": KEY, "hardware": hardware}
        for name, number in (("store-1", 20), ("store-2", 21))
    }
    hosts["store-1"] |= of_first
    return NodesConfig.model_validate({"hosts": hosts}, by_alias=True)


def storage(**nfs: object) -> StorageConfig:
    """Two pools on two hosts; homes, data, a cache without snapshots, groups and scratch space on the first."""
    disks = {"kind": "mirror", "disks": ["/dev/disk/by-id/a", "/dev/disk/by-id/b"]}
    return StorageConfig.model_validate(
        {
            "zfs": {
                "pools": {
                    "tank": {"host": "store-1", "data": [disks]},
                    "vault": {"host": "store-2", "data": [disks]},
                }
            },
            "nfs": {
                "host": "store-1",
                "homes": {"path": "/tank/homes"},
                "scratch": {"path": "/tank/scratch"},
                "shared": [
                    {"name": "data", "path": "/tank/data", "mountPath": "/shared/data", "size": "1Ti"},
                    {
                        "name": "cache",
                        "path": "/tank/cache",
                        "mountPath": "/shared/cache",
                        "size": "1Ti",
                        "snapshots": False,
                    },
                ],
                "groups": {"physics": {"gid": 2000}, "optics": {"gid": 2001}},
                "groupFolders": {"path": "/tank/groups", "mountPath": "/shared/groups"},
                **nfs,
            },
        },
        by_alias=True,
    )


def parsed(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return parser


def values(config: StorageConfig, name: str, hosts: NodesConfig | None = None) -> dict[str, object]:
    return dict(next(step for step in storage_steps(config, hosts or nodes()) if step.name == name).values)


# --- snapshots


def test_no_snapshots_no_step() -> None:
    assert not [step for step in storage_steps(storage(), nodes()) if step.name == "snapshots"]


def test_sanoid_is_told_of_all_but_what_can_be_fetched_again() -> None:
    given_ = values(storage(snapshots={"hourly": 24, "daily": 7}), "snapshots")
    assert given_["ROOTS"] == ("tank/data", "tank/groups", "tank/homes")
    written = parsed(str(given_["SANOID"]))
    assert written.sections() == ["template_lab", "tank/data", "tank/groups", "tank/homes"]
    assert dict(written["template_lab"]) == {
        "frequently": "0",
        "hourly": "24",
        "daily": "7",
        "weekly": "8",
        "monthly": "6",
        "yearly": "0",
        "autosnap": "yes",
        "autoprune": "yes",
        "monitor": "no",
    }
    for root in written.sections()[1:]:
        assert dict(written[root]) == {"use_template": "lab", "recursive": "yes"}


def test_another_retention_changes_the_configuration_alone() -> None:
    before, after = (values(storage(snapshots={"daily": days}), "snapshots") for days in (7, 8))
    assert {name for name in before if before[name] != after[name]} == {"SANOID"}


@given(counts=COUNTS, takes=st.booleans())
def test_every_retention_is_written_as_it_was_asked_for(counts: dict[str, int], *, takes: bool) -> None:
    written = parsed(sanoid_conf(["tank/homes", "tank/data"], SnapshotsConfig(**counts), takes=takes))
    template = written["template_lab"]
    assert {kind: template.getint(kind) for kind in PERIODS} == counts
    assert template.getboolean("autosnap") is takes
    assert template.getboolean("autoprune")


@pytest.mark.parametrize(
    ("counts", "limit"),
    [
        ({}, 2 * 3600 + 1800),
        ({"frequently": 4}, 2 * 900 + 1800),
        ({"hourly": 0}, 2 * 86400 + 1800),
        ({"hourly": 0, "daily": 0, "weekly": 0}, 2 * 31 * 86400 + 1800),
    ],
)
def test_how_old_the_newest_snapshot_may_be(counts: dict[str, int], limit: int) -> None:
    assert age_limit(SnapshotsConfig(**counts)) == limit


@given(counts=COUNTS.filter(lambda counts: any(counts.values())))
def test_a_snapshot_may_always_be_missed_once(counts: dict[str, int]) -> None:
    snapshots = SnapshotsConfig(**counts)
    shortest = min(PERIODS[kind] for kind, count in kept(snapshots).items() if count)
    assert 2 * shortest < age_limit(snapshots) < 3 * shortest + 3600


@given(chosen=st.sets(st.sampled_from(["a", "a/b", "a/b/c", "a-b", "b", "b/a", "bb"]), min_size=1))
def test_roots_hold_everything_and_lie_in_no_other(chosen: set[str]) -> None:
    template = dataset_plans(_server(storage()))[0]
    plans: list[DatasetPlan] = [replace(template, name=f"tank/{name}") for name in sorted(chosen)]
    roots = snapshot_roots(plans)
    for plan in plans:
        assert sum(plan.name == root or plan.name.startswith(f"{root}/") for root in roots) == 1


# --- replication


def test_the_second_host_fetches_what_the_first_lets_it_read() -> None:
    config = storage(snapshots={}, replication={"pool": "vault", "schedule": "*:0/15", "bandwidth": "50M"})
    hosts = nodes(ssh={"port": 2222})
    steps = {step.name: step for step in storage_steps(config, hosts)}
    key, access, fetching = (steps[name] for name in ("replica-key", "replica-access", "replica"))
    assert (key.host, access.host, fetching.host) == ("store-2", "store-1", "store-2")
    assert access.values["REPLICA_KEY"] == StepOutput(step="replica-key", host="store-2", key="key")
    assert access.values["REPLICA_ADDRESS"] == "192.0.2.21"
    assert access.values["SOURCES"] == fetching.values["SOURCES"] == ("tank/data", "tank/groups", "tank/homes")
    assert {name: fetching.values[name] for name in ("ADDRESS", "PORT", "HOST_KEY", "FIRST", "POOL", "BANDWIDTH")} == {
        "ADDRESS": "192.0.2.20",
        "PORT": 2222,
        "HOST_KEY": KEY,
        "FIRST": "store-1",
        "POOL": "vault",
        "BANDWIDTH": 50_000_000,
    }
    assert fetching.values["LIMIT_SECONDS"] == 9000
    written = parsed(str(fetching.values["SANOID"]))
    assert written.sections() == ["template_lab", "vault/tank"]
    assert not written["template_lab"].getboolean("autosnap")
    assert written["template_lab"].getint("daily") == 90


def test_they_wait_for_each_other() -> None:
    config = storage(snapshots={}, replication={"pool": "vault"})
    order = [step.name for step in in_order(storage_steps(config, nodes()))]
    wanted = ["snapshots", "replica-access", "replica"]
    assert [name for name in order if name in wanted] == wanted
    assert order.index("pool-vault") < order.index("replica")
    assert order.index("replica-key") < order.index("replica-access")


def test_a_lost_first_host_changes_nothing_on_the_second() -> None:
    config = storage(snapshots={}, replication={"pool": "vault"})
    before, after = (
        {step.name: step for step in storage_steps(config, hosts) if step.host == "store-2"}
        for hosts in (nodes(), nodes(lost=True))
    )
    assert before == after


def test_without_snapshots_or_replication_there_is_none() -> None:
    for config in (storage(snapshots={}), storage(replication={"pool": "vault"})):
        assert not [step for step in storage_steps(config, nodes()) if step.name.startswith("replica")]


# --- refusals


def _server(config: StorageConfig):  # noqa: ANN202 - the section's own type
    assert config.nfs is not None
    return config.nfs


def problems(config: StorageConfig, hosts: NodesConfig | None = None) -> list[str]:
    found = check_protection(_server(config), config.zfs, None if hosts is None else hosts.hosts)
    return [render_path(problem.path) for problem in found]


def test_what_is_right_is_not_refused() -> None:
    assert problems(storage(), nodes()) == []
    assert problems(storage(snapshots={}), nodes()) == []
    assert problems(storage(snapshots={}, replication={"pool": "vault"}), nodes()) == []


def test_a_first_host_without_a_key_could_be_anybody() -> None:
    config = storage(snapshots={}, replication={"pool": "vault"})
    assert problems(config, nodes(hostKey=None)) == ["nfs.replication"]


@given(counts=COUNTS, there=COUNTS)
def test_the_copy_keeps_at_least_as_much(counts: dict[str, int], there: dict[str, int]) -> None:
    config = storage(snapshots=counts, replication={"pool": "vault", "keep": there})
    less = {f"nfs.replication.keep.{kind}" for kind in PERIODS if there[kind] < counts[kind]}
    assert {path for path in problems(config) if "keep" in path} == less
    assert ("nfs.snapshots" in problems(config)) is (not any(counts.values()))


TIMES = (
    "hourly",
    "daily",
    "*:0/15",
    "*-*-* 02:30:00",
    "Mon..Fri *-*-* 08..18:00",
    "Sun 03:00 Europe/Ljubljana",
    "02:30",
)
NO_TIMES = ("0 2 * * *", "*/5 * * * *", "@daily", "every hour!", "", "1h; reboot", "$(id)")


@pytest.mark.parametrize("text", TIMES)
def test_times_of_systemd_are_taken(text: str) -> None:
    assert calendar_fault(text) is None
    analyze = shutil.which("systemd-analyze")
    if analyze is not None:
        asked = subprocess.run([analyze, "calendar", "--", text], capture_output=True, text=True, check=False)
        assert asked.returncode == 0 or "Ljubljana" in text, asked.stderr


@pytest.mark.parametrize("text", NO_TIMES)
def test_other_times_are_refused(text: str) -> None:
    fault = calendar_fault(text)
    assert fault is not None
    assert re.search("as cron does|is no time", fault)
