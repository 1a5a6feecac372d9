"""Pools and file systems, planned: layouts, how much they hold, properties, steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from zfs_layout import create_arguments

from components.nodes.config import NodesConfig
from components.nodes.steps import compose, compose_whole, scripts_on
from components.quantities import Size
from components.storage.checks import check
from components.storage.config import StorageConfig
from components.storage.datasets_plan import DatasetKind, dataset_plans
from components.storage.layout_plan import group_texts, pool_disks, tolerates, usable_bytes
from components.storage.packages import storage_packages
from components.storage.properties_plan import (
    FILE_SYSTEM_PROPERTIES,
    KIND_PROPERTIES,
    POOL_PROPERTIES,
    dataset_properties,
    pool_properties,
    root_properties,
)
from components.storage.zfs_config import PoolConfig, Redundancy, VdevConfig
from components.storage.zfs_plan import dataset_steps, pool_steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value
    from components.nodes.steps import PlainValue, Step

TERABYTES = Size(bytes=8 * 10**12)
KEYWORDS = ("log", "special", "cache", "spare")
"""Words that begin a part of zpool's command line (zpool-create(8))."""


def names(count: int, first: int = 0) -> list[str]:
    return [f"/dev/disk/by-id/ata-{index}" for index in range(first, first + count)]


def pool(kind: str, count: int, groups: int = 1, **keys: object) -> PoolConfig:
    draid = keys.pop("draid", None)
    data = [{"kind": kind, "disks": names(count, count * index), "draid": draid} for index in range(groups)]
    if kind == "stripe":
        data = [{**group, "reason": "can be made again"} for group in data]
    return PoolConfig.model_validate({"host": "store-1", "data": data, **keys})


# --- layouts


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (pool("mirror", 2, 2), "mirror 0 1 mirror 2 3"),
        (pool("raidz2", 4), "raidz2 0 1 2 3"),
        (pool("stripe", 2), "0 1"),
        (pool("draid2", 11, draid={"data": 4, "spares": 1}), "draid2:4d:11c:1s 0 1 2 3 4 5 6 7 8 9 10"),
        (
            pool(
                "mirror",
                2,
                special={"kind": "mirror", "disks": names(2, 10)},
                log={"kind": "stripe", "disks": names(2, 20)},
                cache=names(1, 30),
                spares=names(2, 40),
            ),
            "mirror 0 1 special mirror 10 11 log 20 21 cache 30 spare 40 41",
        ),
    ],
)
def test_a_layout_is_written_as_zpool_takes_it(section: PoolConfig, words: str) -> None:
    assert " ".join(create_arguments(section, nodes())).replace("/dev/disk/by-id/ata-", "") == words


def test_a_group_is_its_kind_and_its_disks() -> None:
    assert group_texts(pool("mirror", 2).data[0]) == (" ".join(("mirror", *names(2))),)
    assert group_texts(pool("stripe", 2).data[0]) == tuple(f"disk {disk}" for disk in names(2))


@pytest.mark.parametrize(
    ("kind", "count", "failures"),
    [("stripe", 3, 0), ("mirror", 3, 2), ("raidz1", 6, 1), ("raidz3", 8, 3), ("draid2", 11, 2)],
)
def test_how_many_disks_may_fail(kind: str, count: int, failures: int) -> None:
    assert tolerates(pool(kind, count).data[0]) == failures


@pytest.mark.parametrize(
    ("section", "share"),
    [
        (pool("stripe", 1), 1),
        (pool("mirror", 2), 1 / 2),
        (pool("mirror", 3), 1 / 3),
        # 32 sectors of 4 KiB in a record; 6 disks: 7 rows of parity and one sector of padding.
        (pool("raidz1", 6), 32 / 40),
        (pool("raidz2", 6), 32 / 48),
        (pool("raidz2", 8), 32 / 45),
        (pool("raidz3", 8), 32 / 56),
        # Sectors of 512 bytes: padding no longer counts.
        (pool("raidz2", 6, ashift=9), 256 / 384),
        (pool("draid2", 11, draid={"data": 4, "spares": 1}), 10 / 11 * 4 / 6),
    ],
)
def test_what_is_left_for_files(section: PoolConfig, share: float) -> None:
    disks = len(section.data[0].disks)
    raw = share * disks * TERABYTES.bytes
    slop = min(raw / 32, 128 * 2**30)
    assert usable_bytes(section, TERABYTES) == pytest.approx(raw - slop, rel=1e-9)


def test_larger_records_leave_more_in_wide_groups() -> None:
    wide = pool("raidz2", 12)
    assert usable_bytes(wide, TERABYTES, 2**20) > usable_bytes(wide, TERABYTES, 128 * 2**10)


def test_a_small_pool_is_not_all_slop() -> None:
    assert usable_bytes(pool("mirror", 2), Size(bytes=200 * 2**20)) == 100 * 2**20


@st.composite
def pools(draw: st.DrawFn) -> dict[str, Value]:
    """A pool whose groups may be of any kind and width: right ones and wrong ones."""
    fresh = iter(range(10_000))

    def disks(count: int) -> list[str]:
        return [f"/dev/disk/by-id/ata-{next(fresh)}" for _ in range(count)]

    kind = draw(st.sampled_from(list(Redundancy)))
    width = draw(st.integers(1, 14))
    section: dict[str, Value] = {"host": "store-1"}
    group: dict[str, Value] = {"kind": kind.value}
    if draw(st.booleans()) or kind.value.startswith("draid"):
        group["draid"] = {"data": draw(st.integers(1, 8)), "spares": draw(st.integers(0, 3))}
    if kind is Redundancy.STRIPE:
        group["reason"] = "can be made again"
    section["data"] = [{**group, "disks": disks(width)} for _ in range(draw(st.integers(1, 3)))]
    for key in ("log", "special"):
        if draw(st.booleans()):
            beside = draw(st.sampled_from(["mirror", "stripe", "raidz1"]))
            section[key] = {"kind": beside, "disks": disks(draw(st.integers(1, 4))), "reason": "can be made again"}
    for key in ("cache", "spares"):
        section[key] = disks(draw(st.integers(0, 2)))
    return section


def least(word: str) -> int:
    """Return how many disks zpool asks for after a word (zpoolconcepts(7)), written down once more."""
    if word.startswith("draid"):
        parity, data, _, spares = (int("".join(filter(str.isdigit, part))) for part in word[5:].split(":"))
        return parity + data + spares
    return {"mirror": 2, "raidz1": 2, "raidz2": 3, "raidz3": 4}.get(word, 1)


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(section=pools())
def test_whatever_is_accepted_is_a_layout_zpool_takes(section: dict[str, Value]) -> None:
    config = StorageConfig.model_validate(
        {"zfs": {"pools": {"tank": section}}, "nfs": {"host": "store-1", "homes": {"path": "/tank/homes"}}}
    )
    assert config.zfs is not None
    assume(not list(check(config, ["store-1"], ["store-1"])))
    planned = config.zfs.pools["tank"]
    words = create_arguments(planned, nodes())
    groups: list[tuple[str, int]] = []
    part = "data"
    for word in words:
        if word in KEYWORDS:
            part = word
            groups.append((part, 0))
        elif not word.startswith("/"):
            assert part in {"data", "special", "log"}
            assert part == "data" or word == "mirror"
            groups.append((word, 0))
        else:
            if not groups:
                groups.append(("disk", 0))
            groups[-1] = (groups[-1][0], groups[-1][1] + 1)
    assert [word for word in words if word.startswith("/")] == list(dict.fromkeys(pool_disks(planned)))
    for word, count in groups:
        # A word such as log is followed by disks of its own, or by the word of a group.
        if word not in KEYWORDS:
            assert count >= least(word), (word, count)
    assert len({group.kind for group in planned.data}) == 1
    if planned.special is not None:
        assert tolerates(planned.special) >= tolerates(planned.data[0])
    assert 0 < usable_bytes(planned, TERABYTES) < len(pool_disks(planned)) * TERABYTES.bytes


@given(count=st.integers(3, 20), parity=st.integers(1, 3), ashift=st.sampled_from([9, 12, 13]))
def test_parity_costs_what_it_says_at_least(count: int, parity: int, ashift: int) -> None:
    if count < parity + 2:
        return
    section = pool(f"raidz{parity}", count, ashift=ashift)
    assert usable_bytes(section, TERABYTES, 2**20) <= (count - parity) * TERABYTES.bytes


# --- properties


def test_every_property_has_its_reason_and_is_named_once() -> None:
    for table in (POOL_PROPERTIES, FILE_SYSTEM_PROPERTIES, *KIND_PROPERTIES.values()):
        assert [each.name for each in table] == sorted(
            {each.name for each in table}, key=lambda name: (":" in name, name)
        )
        assert all(len(each.reason) > 30 and each.reason.endswith(".") for each in table)


def test_a_lab_s_own_properties_lie_over_ours() -> None:
    section = pool(
        "mirror",
        2,
        properties={"compression": "zstd", "xattr": None, "primarycache": "metadata"},
        poolProperties={"autotrim": None, "failmode": "continue"},
    )
    assert pool_properties(section) == ("autoexpand=on", "failmode=continue")
    root = dict(text.split("=") for text in root_properties(section))
    assert (root["compression"], root["primarycache"], root["atime"]) == ("zstd", "metadata", "off")
    assert "xattr" not in root


def config(zfs: Mapping[str, Value] | None = None, **nfs: Value) -> StorageConfig:
    section: dict[str, Value] = {
        "tank": {"host": "store-1", "data": [{"kind": "mirror", "disks": names(2)}]},
        "vault": {"host": "store-2", "data": [{"kind": "mirror", "disks": names(2)}]},
    }
    server: dict[str, Value] = {
        "host": "store-1",
        "homes": {"path": "/tank/homes", "quota": "10Ti", "reservation": "2Ti"},
        "scratch": {"path": "/tank/scratch", "onDelete": "delete"},
        "groups": {"physics": {"gid": 2000, "quota": "1Ti"}, "admins": {"gid": 2001, "folder": False}},
        "groupFolders": {"path": "/tank/groups", "mountPath": "/srv/groups"},
        "shared": [
            {"name": "cern", "path": "/tank/cern", "mountPath": "/srv/cern", "size": "5Ti"},
            {
                "name": "raw",
                "path": "/tank/raw",
                "mountPath": "/srv/raw",
                "size": "5Ti",
                "readers": ["physics", "admins"],
                "writers": ["admins"],
            },
        ],
    }
    return StorageConfig.model_validate({"zfs": {"pools": section, **(zfs or {})}, "nfs": {**server, **nfs}})


def nodes(*lost: str) -> NodesConfig:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAkEZ7PPBsYAoHJYWvgGQdszD1x9Jj5A0XtdcZ7BCCe3"
    return NodesConfig.model_validate(
        {
            "hosts": {
                name: {
                    "address": f"192.0.2.{20 + index}",
                    "roles": ["storage"],
                    "hostKey": key,
                    "lost": name in lost,
                    "hardware": {"cpus": 2, "memory": "8Gi", "ephemeralStorage": "10G"},
                }
                for index, name in enumerate(("store-1", "store-2"))
            }
        }
    )


def steps(section: StorageConfig) -> dict[str, Step]:
    assert section.zfs is not None
    assert section.nfs is not None
    planned = (
        *pool_steps(section.zfs, nodes()),
        *dataset_steps(section.nfs, section.zfs, dataset_plans(section.nfs), nodes()),
    )
    return {step.resource: step for step in planned}


def test_kinds_have_properties_of_their_own_unless_the_lab_says_otherwise() -> None:
    section = config()
    assert section.zfs is not None
    assert section.nfs is not None
    tank = section.zfs.pools["tank"]
    by_kind = {
        plan.kind: dict(text.split("=") for text in dataset_properties(plan, tank))
        for plan in dataset_plans(section.nfs)
    }
    assert by_kind[DatasetKind.HOMES] == {
        "quota": str(10 * 2**40),
        "reservation": str(2 * 2**40),
        "snapdir": "visible",
    }
    assert by_kind[DatasetKind.SHARED]["recordsize"] == "1M"
    assert by_kind[DatasetKind.SCRATCH]["quota"] == "none"
    assert by_kind[DatasetKind.GROUP] == {"quota": str(2**40), "reservation": "none"}
    plain = tank.model_copy(update={"properties": {"recordsize": None, "compression": "on"}})
    for plan in dataset_plans(section.nfs):
        assert not {"recordsize", "compression"} & {text.split("=")[0] for text in dataset_properties(plan, plain)}


# --- steps


def test_steps_wait_for_what_they_need() -> None:
    made = steps(config())
    assert {name: step.after for name, step in made.items()} == {
        "store-1-zfs": (("system", "store-1"),),
        "store-2-zfs": (("system", "store-2"),),
        "store-1-pool-tank": (("zfs", "store-1"),),
        "store-2-pool-vault": (("zfs", "store-2"),),
        "store-1-datasets": (("pool-tank", "store-1"),),
    }


def test_file_systems_are_told_whose_they_are() -> None:
    told = steps(config())["store-1-datasets"].values["DATASETS"]
    assert isinstance(told, tuple)
    lines = {line.split()[0]: line.split()[1:7] for line in told}
    assert lines["tank/groups/physics"] == ["group", "0", "2000", "2770", "-", "-"]
    assert lines["tank/scratch"] == ["scratch", "65534", "100", "2775", "-", "-"]
    assert lines["tank/raw"] == ["shared", "0", "0", "2750", "2000", "2001"]
    order = [line.split()[0] for line in told]
    assert all("/" not in name[5:] or order.index(name.rpartition("/")[0]) < order.index(name) for name in order)


def test_nothing_of_the_host_is_in_a_pool_s_text_but_what_it_is_to_be() -> None:
    step = steps(config({"memory": "32Gi"}))["store-1-pool-tank"]
    values: dict[str, PlainValue] = {
        name: value for name, value in step.values.items() if isinstance(value, str | int | tuple)
    }
    text = compose(step, {**values, "STEP_HOST": "store-1"})
    assert f"readonly -a DATA=('mirror {names(2)[0]} {names(2)[1]}')" in text
    assert "readonly ASHIFT=12" in text
    assert "zpool create" in compose_whole(step, values)
    assert set(scripts_on(["store-1"], [step])) >= {"lib", "pool", "zfs-disks", "zfs-layout", "zfs-properties"}


def test_the_cache_s_memory_and_packages_reach_the_host() -> None:
    made = steps(config({"memory": "32Gi", "packages": ["zfs-fuse"]}))["store-1-zfs"]
    assert made.values["ARC_BYTES"] == 32 * 2**30
    assert made.values["ZFS_PACKAGES"] == ("zfs-fuse",)
    assert made.files == ("zfs-health",)
    assert storage_packages(config({"packages": ["zfs-fuse"]})) == (("acl", "nfs-kernel-server", "zfs-fuse"), ())
    ordinary = storage_packages(config())
    assert ordinary.everywhere == ("acl", "nfs-kernel-server", "zfsutils-linux")
    assert "zfs-dkms" in ordinary.on_debian


@pytest.mark.parametrize("path", ["/dev/sda", "/dev/nvme0n1", "disk", "/disks/a b", "/disks/../etc", "/disks/a\tb"])
def test_disks_have_names_that_stay(path: str) -> None:
    with pytest.raises(ValueError, match="disk"):
        VdevConfig.model_validate({"kind": "mirror", "disks": [path]})
