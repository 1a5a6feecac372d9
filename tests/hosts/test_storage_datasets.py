"""File systems on a storage host: whose they are, what they may hold, and that they stay; with a real ZFS."""

from __future__ import annotations

from bed import Host
from storage_hosts import StorageHosts, disk, lay_disks, pool

from components.storage.config import StorageConfig

REFUSED = 65
"""Exit code of `refuse` (sysexits(3))."""
STEPS = ("zfs", "pool", "datasets")


GROUPS = {"physics": {"gid": 2000, "quota": "20Mi"}, "curators": {"gid": 2001, "folder": False}}
SHARED = [
    {"name": "cern", "path": "/tank/cern", "mountPath": "/srv/cern", "size": "50Mi"},
    {
        "name": "raw",
        "path": "/tank/data/raw",
        "mountPath": "/srv/raw",
        "size": "30Mi",
        "readers": ["physics", "curators"],
        "writers": ["curators"],
    },
]
NFS = {
    "homes": {"path": "/tank/homes", "quota": "100Mi", "reservation": "40Mi"},
    "scratch": {"path": "/tank/scratch", "onDelete": "delete", "quota": "25Mi"},
    "groups": GROUPS,
    "groupFolders": {"path": "/tank/groups", "mountPath": "/srv/groups"},
    "shared": SHARED,
}


def with_datasets(hosts: StorageHosts, host: Host, **changes: object) -> StorageConfig:
    lay_disks(host, "d1", "d2")
    storage = hosts.storage({"tank": pool("mirror", [disk("d1"), disk("d2")])}, **{**NFS, **changes})
    hosts.up(storage, STEPS)
    return storage


def test_folders_belong_to_whom_they_are_for(hosts: StorageHosts, host: Host) -> None:
    storage = with_datasets(hosts, host)
    stat = {
        line.split()[0]: line.split()[1:]
        for line in host.console("stat -c '%n %u %g %a' /tank/*/ /tank/groups/* /tank/data/raw").splitlines()
    }
    assert stat["/tank/homes/"] == ["0", "0", "755"]
    assert stat["/tank/scratch/"] == ["65534", "100", "2775"]
    assert stat["/tank/cern/"] == ["0", "0", "755"]
    assert stat["/tank/groups/physics"] == ["0", "2000", "2770"]
    assert stat["/tank/data/raw"][:2] == ["0", "0"]
    access = host.console("getfacl -cpn /tank/data/raw").split()
    assert access[:6] == ["user::rwx", "group::r-x", "group:2000:r-x", "group:2001:rwx", "mask::rwx", "other::---"]
    assert access[6:] == [f"default:{entry}" for entry in access[:6]]
    assert hosts.check(storage, STEPS) == {}
    host.console(
        "chmod 777 /tank/scratch; chown 5:5 /tank/cern; setfacl -m g:2002:rwx /tank/data/raw; "
        "zfs set quota=1G tank/cern"
    )
    found = hosts.check(storage, STEPS)[f"{host.name}-datasets"]
    assert set(found) == {
        "mode 2775 of /tank/scratch",
        "owner 0:0 of /tank/cern",
        "access list of /tank/data/raw",
        f"property quota={50 * 2**20} of tank/cern",
    }
    assert set(hosts.up(storage, ["datasets"])[f"{host.name}-datasets"]) == set(found)
    assert hosts.check(storage, STEPS) == {}


def test_quotas_and_reservations_hold(hosts: StorageHosts, host: Host) -> None:
    with_datasets(hosts, host)
    for folder, limit in (("cern", 50), ("scratch", 25), ("groups/physics", 20)):
        said = host.console(f"head -c {limit + 5}M /dev/urandom 2>&1 >/tank/{folder}/large; true")
        report = host.console(f"dd if=/dev/urandom of=/tank/{folder}/large bs=1M count={limit + 5} 2>&1", check=False)
        assert "Disk quota exceeded" in said + report
        assert int(host.console(f"du -sm /tank/{folder} | cut -f1")) <= limit
        host.console(f"rm /tank/{folder}/large")
    # What is kept for homes is nobody else's, however full the pool.
    host.console("dd if=/dev/urandom of=/tank/filler bs=1M 2>/dev/null; true")
    assert int(host.console("zfs get -Hp -o value available tank")) < 2**20
    assert int(host.console("zfs get -Hp -o value available tank/homes")) > 35 * 2**20
    # Not all at once: until it is on the disks, ZFS counts what is written many times over.
    host.console("dd if=/dev/urandom of=/tank/homes/mine bs=64k count=10 conv=fsync")


def test_what_leaves_the_stack_file_stays(hosts: StorageHosts, host: Host) -> None:
    with_datasets(hosts, host)
    host.console(
        "echo kept >/tank/cern/file; mkdir /tank/homes/hub; chown 1500 /tank/homes/hub; chmod 700 /tank/homes/hub"
    )
    without = hosts.storage(
        {"tank": pool("mirror", [disk("d1"), disk("d2")])},
        **{**NFS, "shared": SHARED[1:], "homes": {"path": "/tank/homes"}},
    )
    step = next(iter(hosts.steps(without, names=["datasets"])))
    report = hosts.run(step)
    assert set(report.changed) == {"property quota=none of tank/homes", "property reservation=none of tank/homes"}
    assert report.result["kept"] == "tank/cern"
    assert "kept with all that is in them: tank/cern" in report.err
    assert host.console("cat /tank/cern/file") == "kept\n"
    assert host.console("stat -c '%u %a' /tank/homes/hub") == "1500 700\n"


def test_properties_that_are_no_longer_asked_for_are_given_back(hosts: StorageHosts, host: Host) -> None:
    d = lay_disks(host, "d1", "d2")
    with_more = hosts.storage({"tank": pool("mirror", d, properties={"primarycache": "metadata", "atime": None})})
    hosts.up(with_more, STEPS)
    assert host.console("zfs get -H -o value primarycache,atime tank/homes").split() == ["metadata", "on"]
    plain = hosts.storage({"tank": pool("mirror", d)})
    assert set(hosts.run_pool(plain).changed) == {
        "property atime=off of tank",
        "no property primarycache of tank",
        "property research-compute:properties of tank",
    }
    assert host.console("zfs get -H -o value primarycache,atime tank/homes").split() == ["all", "off"]


def test_folders_with_files_are_not_covered(hosts: StorageHosts, host: Host) -> None:
    d = lay_disks(host, "d1", "d2")
    storage = hosts.storage({"tank": pool("mirror", d)})
    host.console("mkdir -p /tank && touch /tank/somebody-s")
    report = hosts.run_pool(storage)
    assert report.code == REFUSED
    assert "the folder /tank, where the pool tank will be, is not empty" in report.err
    host.console("rm /tank/somebody-s")
    hosts.run_pool(storage)
    host.console("mkdir /tank/homes; echo mine >/tank/homes/file")
    step = next(iter(hosts.steps(storage, names=["datasets"])))
    refused = hosts.run(step)
    assert refused.code == REFUSED
    assert "mv /tank/homes /tank/homes.before" in refused.err
    host.console("mv /tank/homes /tank/homes.before")
    assert hosts.run(step).code == 0
    assert host.console("cat /tank/homes.before/file") == "mine\n"


def test_undo_keeps_all_data(hosts: StorageHosts, host: Host) -> None:
    storage = with_datasets(hosts, host)
    host.console("echo mine >/tank/homes/kept")
    hosts.undo(storage, STEPS)
    assert host.console("cat /tank/homes/kept") == "mine\n"
    assert host.console("systemctl list-unit-files 'research-compute-zfs*' --no-legend", check=False).strip() == ""
    assert host.console("ls /etc/research-compute/zfs/pools 2>/dev/null") == ""
    assert hosts.undo(storage, STEPS) == {step.resource: () for step in reversed(hosts.steps(storage, names=STEPS))}
    hosts.up(storage, STEPS)
    assert hosts.check(storage, STEPS) == {}
    assert host.console("cat /tank/homes/kept") == "mine\n"
