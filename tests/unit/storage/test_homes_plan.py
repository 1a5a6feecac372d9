"""Homes: what a storage host is told about them, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from components.hub.config import HubConfig
from components.hub.operation.config import PostgresDatabase, VolumeDatabase
from components.nodes.config import NodesConfig
from components.nodes.steps import FOLDER, compose, scripts_on
from components.storage.config import StorageConfig, StorageUse
from components.storage.homes_plan import MAKER, REQUESTER_UID, KnownHome, check, home_steps
from components.storage.plan import home_requests_volume, storage_plan, used_home_requests
from stacks.config import ClusterConfig
from stacks.host_steps import further_steps

if TYPE_CHECKING:
    from components.nodes.steps import PlainValue, Step
    from components.storage.config import NfsStorage
    from components.storage.zfs_config import ZfsConfig

HOST = {
    "address": "192.0.2.21",
    "roles": ["storage"],
    "hardware": {"cpus": 8, "memory": "64Gi", "ephemeralStorage": "100G"},
    "hostKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAkEZ7PPBsYAoHJYWvgGQdszD1x9Jj5A0XtdcZ7BCCe3",
}
ZFS = {"pools": {"tank": {"host": "store-1", "data": [{"kind": "mirror", "disks": ["/dev/disk/by-id/a"]}]}}}


def section(server: str = "kernel", **homes: object) -> tuple[NfsStorage, ZfsConfig]:
    given = {
        "zfs": ZFS,
        "nfs": {"host": "store-1", "server": server, "homes": {"path": "/tank/homes", **homes}},
    }
    config = StorageConfig.model_validate(given, by_alias=True)
    assert config.nfs is not None
    assert config.zfs is not None
    return config.nfs, config.zfs


def nodes() -> NodesConfig:
    return NodesConfig.model_validate({"hosts": {"store-1": HOST}}, by_alias=True)


def step(server: str = "kernel", **homes: object) -> Step:
    (made,) = home_steps(*section(server, **homes), nodes())
    return made


def test_the_storage_host_is_told_who_may_have_what() -> None:
    made = step(each="100Gi", exceptions={"hub-prod/home-b": "1Ti", "hub-prod/home-a": "200G"})
    assert (made.key, made.host, made.files) == (("homes", "store-1"), "store-1", (MAKER,))
    assert ("datasets", "store-1") in made.after
    values = dict(made.values)
    assert cast("str", values.pop("MAKER_SCRIPT")).startswith(f"{FOLDER}/{MAKER}-")
    assert values == {
        "AFTER_MAKING": None,
        "EXCEPTIONS": ("hub-prod/home-a=200000000000", "hub-prod/home-b=1099511627776"),
        "FIRST_UID": 1000,
        "HOMES": "tank/homes",
        "HOME_QUOTA": 100 * 2**30,
        "KNOWN_HOMES": (),
        "LAST_UID": 2**31 - 1,
        "REQUESTER_UID": REQUESTER_UID,
        "REQUESTS": "/tank/home-requests",
        "USERS_GID": 100,
    }


def test_the_program_travels_with_the_scripts() -> None:
    assert {"homes", MAKER} <= set(scripts_on(["store-1"], [step()]))


def test_every_value_is_one_the_script_reads() -> None:
    made = step()
    text = compose(made, {name: cast("PlainValue", value) for name, value in made.values.items()})
    assert "readonly HOME_QUOTA=''" in text
    assert "readonly -a EXCEPTIONS=()" in text


def test_ganesha_is_told_of_each_new_home() -> None:
    assert step("ganesha").values["AFTER_MAKING"] == "systemctl reload nfs-ganesha.service"


def test_homes_nobody_can_ask_for_are_known() -> None:
    nfs, zfs = section()
    known = [KnownHome(namespace=f"hub-{stack}", claim="hub-db-dir", uid=1000, gid=1000) for stack in ("test", "prod")]
    (made,) = home_steps(nfs, zfs, nodes(), known)
    assert made.values["KNOWN_HOMES"] == ("hub-prod/hub-db-dir:1000:1000", "hub-test/hub-db-dir:1000:1000")


def test_the_hubs_own_database_is_known_beforehand() -> None:
    nfs, zfs = section()
    storage = StorageConfig.model_construct(nfs=nfs, zfs=zfs)
    on_a_volume = HubConfig.model_construct(database=VolumeDatabase(), lxcfs=False)
    elsewhere = HubConfig.model_construct(database=PostgresDatabase.model_construct(kind="postgres"), lxcfs=False)
    for hub, known in ((on_a_volume, ("hub-prod/hub-db-dir:1000:1000",)), (elsewhere, ()), (None, ())):
        config = ClusterConfig.model_construct(storage=storage, hub=hub)
        made = next(step for step in further_steps(config, "prod")(nodes()) if step.name == "homes")
        assert made.values["KNOWN_HOMES"] == known


def test_a_hub_on_another_stacks_storage_asks_through_a_claim_of_its_namespace() -> None:
    use = StorageUse.model_validate({"homeClass": "homes-prod", "homeRequests": "home-requests"}, by_alias=True)
    mount = used_home_requests(use)
    assert mount is not None
    assert (mount.claim, mount.read_only) == ("home-requests", False)
    assert used_home_requests(StorageUse.model_validate({"homeClass": "homes-prod"}, by_alias=True)) is None


def test_homes_outside_the_pools_are_somebody_elses() -> None:
    nfs, zfs = section(path="/export/homes")
    assert home_steps(nfs, zfs, nodes()) == ()


@pytest.mark.parametrize(
    ("homes", "problem"),
    [
        ({"userIds": {"first": 5000, "last": 4000}}, "nfs.homes.userIds: no user id lies between 5000 and 4000"),
        ({"each": "2Ti", "quota": "1Ti"}, "nfs.homes.each: one home may take 2Ti, all of them together 1Ti"),
        (
            {"quota": "1Ti", "exceptions": {"hub-prod/home-a": "2Ti"}},
            'nfs.homes.exceptions["hub-prod/home-a"]: it may take 2Ti, all homes together 1Ti',
        ),
        ({"exceptions": {"hub-prod/home-a": "0"}}, 'nfs.homes.exceptions["hub-prod/home-a"]: a quota of 0 is none'),
        ({"exceptions": {f"hub-prod/{'a' * 170}": "1Gi"}}, 'nfs.homes.exceptions["hub-prod/aaaa'),
    ],
)
def test_what_is_wrong_and_where(homes: dict[str, object], problem: str) -> None:
    (found,) = check(section("kernel", **homes)[0])
    assert str(found).startswith(problem)


def test_a_right_section_is_right() -> None:
    nfs, _ = section(each="1Ti", quota="1Ti", exceptions={"hub-prod/home-a": "1Ti"})
    assert list(check(nfs)) == []


def test_nobody_asks_for_a_home_of_the_requesters_id() -> None:
    # Outside what Debian gives to services (0 to 999), systemd to dynamic users (61184 to 65519) and people begin with.
    assert 60_706 <= REQUESTER_UID <= 61_183


def test_the_hub_gets_an_error_and_no_stale_answer_from_the_folder() -> None:
    nfs, _ = section()
    volume = home_requests_volume(nfs)
    options = {option.text for option in volume.mount_options}
    assert {"softerr", "lookupcache=positive", "nfsvers=4.2"} <= options
    assert (volume.path, volume.claim, volume.read_only) == ("/tank/home-requests", "shared-home-requests", False)


def test_the_kubelet_leaves_owned_homes_as_they_are() -> None:
    nfs, _ = section()
    assert storage_plan(nfs, "prod", is_ours=True).values["feature"] == {"enableFSGroupPolicy": False}
    assert "feature" not in storage_plan(nfs, "prod").values
