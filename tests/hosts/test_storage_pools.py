"""Pools on a storage host, by the steps the program feeds it, with a real ZFS on disks that are files."""

from __future__ import annotations

import pytest
from bed import Host
from storage_hosts import StorageHosts, lay_disks, pool
from zfs_layout import create_arguments

from components.quantities import Size
from components.storage.layout_plan import space_bytes
from components.storage.zfs_config import PoolConfig

STEPS = ("zfs", "pool", "datasets")
DISK = Size(bytes=251 * 2**20)
"""Of a test's disk of 256 MiB, what is the pool's: without labels and boot block, in whole metaslabs."""
SLOP = 32 * 2**20
"""What a pool of version 23 keeps for itself, if it is a small one (``dsl_pool_adjustedsize``)."""


def members(host: Host, name: str = "tank") -> list[str]:
    """Return words of a pool's layout as zpool status shows it: sections, groups and disks."""
    text = host.console(f"zpool status {name}").partition("config:")[2].partition("errors:")[0]
    words = [line.split()[0] for line in text.splitlines() if line.strip()]
    return [word for word in words if word not in {"NAME", name}]


@pytest.mark.parametrize(("kind", "count"), [("mirror", 2), ("raidz1", 3), ("raidz2", 4), ("raidz3", 5)])
def test_a_pool_of_every_kind_holds_what_was_planned(hosts: StorageHosts, host: Host, kind: str, count: int) -> None:
    disks = lay_disks(host, *(f"d{index}" for index in range(count)))
    storage = hosts.storage({"tank": pool(kind, disks)})
    planned = storage.zfs.pools["tank"] if storage.zfs else None
    assert planned is not None
    assert hosts.run_pool(storage, "check").changed == ("pool tank",)
    assert host.console("zpool list -H") == ""
    assert hosts.run_pool(storage).changed[0] == "pool tank"
    assert members(host) == [f"{kind}-0", *disks]
    there = int(host.console("zfs get -Hp -o value available tank"))
    assert there == pytest.approx(space_bytes(planned, DISK) - SLOP, rel=0.03)
    assert hosts.run_pool(storage).changed == ()
    assert hosts.run_pool(storage, "check").changed == ()


def test_every_layout_of_real_disks_is_taken_by_zpool(hosts: StorageHosts, host: Host) -> None:
    disks = lay_disks(host, *(f"d{index}" for index in range(16)))
    sections = [
        pool("mirror", disks[:2], disks[2:4], log={"kind": "mirror", "disks": disks[4:6]}, spares=disks[6:7]),
        pool("raidz2", disks[:6], disks[6:12], log={"kind": "stripe", "disks": disks[12:14]}),
        pool("raidz3", disks[:8], spares=disks[8:10]),
        {"data": [{"kind": "stripe", "disks": disks[:3], "reason": "scratch that can be made again"}]},
    ]
    for section in sections:
        planned = PoolConfig.model_validate({"host": host.name, **section})
        words = create_arguments(planned, hosts.nodes())
        assert "would create" in host.console(f"zpool create -n -o ashift=12 probe {' '.join(words)} 2>&1")


def test_a_pool_survives_export_and_reboot(hosts: StorageHosts, host: Host) -> None:
    storage = hosts.storage({"tank": pool("mirror", lay_disks(host, "d1", "d2"))})
    guid = hosts.run_pool(storage).result["guid"]
    hosts.up(storage, ["datasets"])
    host.console("echo mine >/tank/homes/kept; zpool export tank")
    assert hosts.run_pool(storage, "check").changed == ("pool tank imported",)
    again = hosts.run_pool(storage)
    assert again.changed == ("pool tank imported",)
    assert again.result["guid"] == guid
    host.reboot()
    assert hosts.check(storage, STEPS) == {}
    assert host.console("cat /tank/homes/kept") == "mine\n"


def test_the_host_loses_power(hosts: StorageHosts, host: Host) -> None:
    storage = hosts.storage({"tank": pool("raidz1", lay_disks(host, "d1", "d2", "d3"))})
    hosts.up(storage, STEPS)
    # zfs-fuse does not replay what was only promised to fsync(2): a snapshot has all before it written.
    host.console("echo mine >/tank/homes/kept; zfs snapshot tank/homes@before")
    host.power_off()
    host.boot()
    host.wait_ready()
    assert hosts.check(storage, STEPS) == {}
    assert host.console("cat /tank/homes/kept") == "mine\n"


def test_a_pool_grows_by_groups_logs_and_spares(hosts: StorageHosts, host: Host) -> None:
    d = lay_disks(host, *(f"d{index}" for index in range(8)))
    hosts.run_pool(hosts.storage({"tank": pool("mirror", d[:2])}))
    before = int(host.console("zfs get -Hp -o value available tank"))
    log = {"kind": "mirror", "disks": d[4:6]}
    larger = hosts.storage({"tank": pool("mirror", d[:2], d[2:4], log=log, spares=d[6:7])})
    wanted = (
        f"mirror {d[2]} {d[3]} added to tank",
        f"log mirror {d[4]} {d[5]} added to tank",
        f"spare {d[6]} added to tank",
    )
    assert hosts.run_pool(larger, "check").changed == wanted
    assert hosts.run_pool(larger).changed == wanted
    assert hosts.run_pool(larger).changed == ()
    assert members(host) == ["mirror-0", *d[:2], "mirror-1", *d[2:4], "logs", "mirror-2", *d[4:6], "spares", d[6]]
    assert int(host.console("zfs get -Hp -o value available tank")) > 1.8 * before
    plain = hosts.storage({"tank": pool("mirror", d[:2], d[2:4])})
    assert hosts.run_pool(plain).changed == ("no mirror-2 in tank", f"no {d[6]} among the spares of tank")
    assert members(host) == ["mirror-0", *d[:2], "mirror-1", *d[2:4]]


def test_a_failed_disk_is_replaced_in_place(hosts: StorageHosts, host: Host) -> None:
    d = lay_disks(host, *(f"d{index}" for index in range(6)))
    storage = hosts.storage({"tank": pool("raidz2", d[:4])})
    hosts.up(storage, STEPS)
    host.console("head -c 8000000 /dev/urandom >/tank/homes/data; sha256sum /tank/homes/data >/root/sum; sync")
    # It fails while the pool is away, as in a machine that was off.
    host.console(f"zpool export tank; rm {d[1]}; zpool import -d /disks tank")
    assert "DEGRADED" in host.console("zpool status tank")
    look = "systemctl start research-compute-zfs-health; journalctl -n 20 -u research-compute-zfs-health"
    broken = host.console(look, check=False)
    assert "pool tank: it is DEGRADED" in broken
    assert hosts.check(storage, ["zfs"]) == {
        f"{host.name}-zfs": (
            "research-compute-zfs-health.service failed (journalctl --unit research-compute-zfs-health)",
        )
    }
    mended = hosts.storage({"tank": pool("raidz2", [d[0], d[4], d[2], d[5]])})
    done = hosts.run_pool(mended)
    assert len(done.changed) == 2
    assert done.changed[0].startswith(f"disk {d[4]} instead of ")
    assert done.changed[1] == f"disk {d[5]} instead of {d[3]} in tank"
    host.console("for i in $(seq 100); do zpool status tank | grep -q 'resilver in progress' || break; sleep 0.2; done")
    assert members(host) == ["raidz2-0", d[0], d[4], d[2], d[5]]
    assert hosts.run_pool(mended).changed == ()
    host.console("zpool clear tank; systemctl start research-compute-zfs-health; sha256sum -c /root/sum")


def test_a_scrub_runs_by_its_unit_and_is_missed_when_late(hosts: StorageHosts, host: Host) -> None:
    storage = hosts.storage({"tank": pool("mirror", lay_disks(host, "d1", "d2"), scrub="weekly")})
    hosts.run_pool(storage)
    assert "OnCalendar=weekly" in host.console("systemctl cat research-compute-zfs-scrub-tank.timer")
    host.console("systemctl start research-compute-zfs-scrub@tank")
    host.console(
        "for i in $(seq 50); do zpool status tank | grep -q 'scrub completed' && exit; sleep 0.2; done; exit 1"
    )
    host.console("/usr/local/lib/research-compute/zfs-health")
    week, grace = 7 * 86400, 8 * 86400
    late = host.console(
        f"NOW=$(($(date +%s) + {week + grace + 3600})) /usr/local/lib/research-compute/zfs-health 2>&1", check=False
    )
    assert "pool tank: not read through for 15 days (schedule weekly" in late
    host.console(f"NOW=$(($(date +%s) + {week + grace - 3600})) /usr/local/lib/research-compute/zfs-health")


def test_a_pool_that_is_full_or_gone_is_unhealthy(hosts: StorageHosts, host: Host) -> None:
    storage = hosts.storage({"tank": pool("mirror", lay_disks(host, "d1", "d2"))})
    hosts.run_pool(storage)
    look = "/usr/local/lib/research-compute/zfs-health 2>&1"
    assert host.console(look) == ""
    host.console("head -c 204M /dev/urandom >/tank/filler; sync; sleep 6")
    assert "% full; from 90 % on this look fails" in host.console(look)
    assert "% full, and slow because of it" in host.console(f"FULL=80 {look}", check=False)
    host.console("zpool export tank")
    assert host.console(look, check=False) == "pool tank: it is not imported\n"
