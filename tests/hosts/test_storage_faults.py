"""What is cut off while pools and file systems are made, and run again: lines that break, power that goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from bed import Host
from storage_hosts import StorageHosts, lay_disks, pool

from components.nodes.steps import Step
from components.storage.config import StorageConfig

STEPS = ("zfs", "pool", "datasets")
REFUSED, FAILED = 65, 70
"""Exit codes of `refuse` and `fail` (sysexits(3))."""
CUT_HERE = """set -o functrace
COMMANDS=0
trap '((++COMMANDS == CUT)) && kill -9 $$' DEBUG
run_step"""
"""The shell is killed before its command number CUT; what it had started goes on alone."""
SIGN_SECONDS = 180
"""Within which a step has begun its first change."""
LEFTOVERS = "find /etc /var/lib/research-compute -name '.*.research-compute'; ls -A /var/lib/research-compute/pending"
NFS = {
    "scratch": {"path": "/tank/scratch", "onDelete": "delete"},
    "groups": {"physics": {"gid": 2000}, "curators": {"gid": 2001, "folder": False}},
    "groupFolders": {"path": "/tank/groups", "mountPath": "/srv/groups"},
    "shared": [
        {
            "name": "raw",
            "path": "/tank/raw",
            "mountPath": "/srv/raw",
            "size": "30Mi",
            "readers": ["physics", "curators"],
            "writers": ["curators"],
        }
    ],
}


def cut_again_and_again(hosts: StorageHosts, step: Step, cuts: Sequence[int]) -> None:
    """Cut a step off before each of these commands, then let it end; it must then be as planned."""
    head, _, tail = hosts.text(step).rpartition("run_step")
    host = hosts.named(step.host)
    survived = 0
    for position in cuts:
        report = hosts.feed(host, f"{head}CUT={position}\n{CUT_HERE}{tail}")
        # Nothing a cut-off run left may stop the next one. What is left of a killed shell may still say something.
        assert report.code not in {REFUSED, FAILED}, (position, report.err)
        survived += report.code != 0
    assert survived >= 4
    assert hosts.run(step).code == 0
    assert hosts.run(step, "check").changed == ()
    assert host.console(LEFTOVERS) == ""


def step_of(hosts: StorageHosts, storage: StorageConfig, name: str) -> Step:
    return next(iter(hosts.steps(storage, names=[name])))


def test_a_pool_is_made_though_cut_off(hosts: StorageHosts, host: Host) -> None:
    d = lay_disks(host, "d1", "d2", "d3")
    host.console(f"mkfs.ext4 -q -F {d[1]}")
    storage = hosts.storage({"tank": pool("mirror", d[:2], wipe=[d[1]], spares=[d[2]])})
    cut_again_and_again(hosts, step_of(hosts, storage, "pool"), (60, 110, 150, 190, 230, 280, 340, 420, 520))
    assert host.console("zpool list -H -o name,health") == "tank\tONLINE\n"


def test_a_pool_grows_and_is_mended_though_cut_off(hosts: StorageHosts, host: Host) -> None:
    d = lay_disks(host, *(f"d{index}" for index in range(6)))
    hosts.up(hosts.storage({"tank": pool("mirror", d[:2])}), STEPS)
    host.console("head -c 20000000 /dev/urandom >/tank/homes/data; sha256sum /tank/homes/data >/root/sum; sync")
    storage = hosts.storage({"tank": pool("mirror", [d[0], d[4]], d[2:4], spares=[d[5]])})
    cut_again_and_again(hosts, step_of(hosts, storage, "pool"), (120, 200, 270, 340, 420, 520, 640))
    host.console("sha256sum -c /root/sum")


def test_file_systems_are_made_though_cut_off(hosts: StorageHosts, host: Host) -> None:
    storage = hosts.storage({"tank": pool("mirror", lay_disks(host, "d1", "d2"))}, **NFS)
    hosts.up(storage, ["pool"])
    cut_again_and_again(hosts, step_of(hosts, storage, "datasets"), (40, 90, 140, 200, 260, 330, 420))


def test_power_goes_while_a_pool_is_made(hosts: StorageHosts, host: Host) -> None:
    storage = hosts.storage({"tank": pool("raidz1", lay_disks(host, "d1", "d2", "d3"))})
    step = step_of(hosts, storage, "pool")

    def cut() -> None:
        deadline = time.monotonic() + SIGN_SECONDS
        while host.console("cat /var/lib/research-compute/pending/pool-tank 2>/dev/null; true") == "":
            assert time.monotonic() < deadline, "it never began"
        host.power_off()

    power = threading.Thread(target=cut)
    power.start()
    report = hosts.run(step)
    power.join()
    assert report.code != 0
    host.boot()
    host.wait_ready()
    hosts.up(storage, STEPS)
    assert hosts.check(storage, STEPS) == {}


def test_a_pool_half_made_is_made_anew(hosts: StorageHosts, host: Host) -> None:
    """Labels that name the pool, and a pool that cannot be imported from them: as after power went in zpool create."""
    d = lay_disks(host, "d1", "d2", "d3", "d4")
    storage = hosts.storage({"tank": pool("raidz1", d)})
    hosts.run_pool(storage)
    host.console("zpool export tank")
    # Of four labels three are gone: the one that is left names a pool that is not there.
    for name in d[1:]:
        host.console(f"truncate -s 0 {name}; truncate -s 256M {name}")
    host.console("rm /var/lib/research-compute/markers/pool-tank")
    host.console(f"printf '%s\\n' '{' '.join(d)}' >/var/lib/research-compute/markers/pool-tank-begun")
    done = hosts.run_pool(storage)
    assert done.code == 0, done.err
    assert "pool tank" in done.changed
    assert hosts.run_pool(storage).changed == ()


def test_a_pool_that_cannot_be_imported_is_left_alone(hosts: StorageHosts, host: Host) -> None:
    """The same without the note that a run was cut off: then it is somebody's pool, whatever is left of it."""
    d = lay_disks(host, "d1", "d2", "d3", "d4")
    storage = hosts.storage({"tank": pool("raidz1", d, wipe=d)})
    hosts.run_pool(storage)
    host.console("zpool export tank; rm -rf /var/lib/research-compute/markers")
    for name in d[1:]:
        host.console(f"truncate -s 0 {name}; truncate -s 256M {name}")
    before = host.console("sha256sum /disks/*")
    report = hosts.run_pool(storage)
    assert report.code == REFUSED
    assert f"lacks more disks than it can do without: raidz1-0 {' '.join(d[1:])}" in report.err
    assert host.console("sha256sum /disks/*") == before
    assert host.console("zpool list -H") == ""
