"""Storage of a lab on real hosts from its stack file: pools, exports, homes, a second host that follows, backups.

One control plane, two storage hosts; labctl brings all of it up, changes it, and gets lost files back.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts_lab import SETTLING_SECONDS, HostsLab
from storage_hosts import lay_disks, pool, ready_for_zfs, zfs_values
from zfs_shim import install_shim

CHART = {
    "Chart.yaml": "apiVersion: v2\nname: csi-driver-nfs\nversion: {version}\n",
    "templates/driver.yaml": """apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {{name: nfs.csi.k8s.io}}
spec: {{attachRequired: false, volumeLifecycleModes: [Persistent]}}
""",
}
"""Stands for the driver's chart, whose images cannot be had here."""
HOME = "hub-test/claim-ada"
UID = 2001


@pytest.fixture(scope="module")
def lab(make_lab: Callable[[int, int], HostsLab], tmp_path_factory: pytest.TempPathFactory) -> HostsLab:
    """A control plane and two storage hosts with empty disks, up."""
    lab = make_lab(0, 2)
    first, second = lab.bed.hosts[1:]
    for host in (first, second):
        ready_for_zfs(host)
        install_shim(host)
        lab.hosts[host.name] = lab.entry(host, "storage")
    # Another machine's, as far as the host can tell.
    first.console("install -d /srv/backups && mount -t tmpfs -o size=1g backups /srv/backups")
    tank = {"host": first.name, **pool("raidz1", lay_disks(first, "a1", "a2", "a3"))}
    vault = {"host": second.name, **pool("mirror", lay_disks(second, "b1", "b2"))}
    lab.sections["charts"] = {"mirror": f"file://{chart_mirror(lab, tmp_path_factory.mktemp('charts'))}"}
    lab.sections["storage"] = {
        "zfs": {"packages": ["zfs-fuse"], "pools": {"tank": zfs_values(tank), "vault": zfs_values(vault)}},
        "nfs": {
            "host": first.name,
            "server": "ganesha",
            "homes": {"path": "/tank/homes", "each": "32Mi"},
            "scratch": {"path": "/tank/scratch", "onDelete": "delete"},
            "shared": [{"name": "datasets", "path": "/tank/datasets", "mountPath": "/srv/datasets", "size": "64Mi"}],
            "groups": {"vision": {"gid": 5001, "quota": "64Mi"}},
            "groupFolders": {"path": "/tank/groups", "mountPath": "/srv/groups"},
            "snapshots": {"hourly": 4, "daily": 2, "weekly": 0, "monthly": 0},
            "replication": {"pool": "vault", "keep": {"hourly": 8, "daily": 4, "weekly": 0, "monthly": 0}},
            "backup": {"repository": "/srv/backups", "password": {"secret": "backupPassword"}},
        },
    }
    lab.up()
    return lab


def chart_mirror(lab: HostsLab, folder: Path) -> Path:
    """Return a folder with the driver's chart, of the pinned version."""
    version = lab.pins.chart("csi-driver-nfs").version
    with tarfile.open(folder / f"csi-driver-nfs-{version}.tgz", "w:gz") as archive:
        for name, text in CHART.items():
            data = text.format(version=version).encode()
            member = tarfile.TarInfo(f"csi-driver-nfs/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return folder


def nfs(lab: HostsLab) -> dict[str, object]:
    """Return the section of the NFS server, to be changed."""
    return lab.sections["storage"]["nfs"]  # type: ignore[index,return-value] - made above


def ask_for_home(lab: HostsLab) -> str:
    """Ask for a home as the hub does, and return the answer."""
    name = HOME.replace("/", ".")
    namespace, claim = HOME.split("/")
    lines = f"version 1\nnamespace {namespace}\nclaim {claim}\nuid {UID}\ngid 100\n"
    first = lab.bed.hosts[1]
    owner = first.console("stat -c %u:%g /tank/home-requests/requests").strip()
    nonce = f"{name}.{time.monotonic_ns()}"
    first.run(
        f"cd /tank/home-requests/requests && cat >.{nonce} && chown {owner} .{nonce} && mv .{nonce} {nonce}",
        sudo=True,
        text=lines,
    )
    deadline = time.monotonic() + SETTLING_SECONDS
    while time.monotonic() < deadline:
        if answer := first.console(f"cat /tank/home-requests/answers/{nonce} 2>/dev/null || true"):
            return answer
        time.sleep(0.5)
    pytest.fail("nobody answered")


def test_the_lab_is_as_its_file_says(lab: HostsLab) -> None:
    _, first, second = lab.bed.hosts
    assert first.console("zpool list -H -o health tank").strip() == "ONLINE"
    assert second.console("zpool list -H -o health vault").strip() == "ONLINE"
    classes = {item["metadata"]["name"] for item in lab.get("storageclasses")["items"]}
    assert classes == {"homes-test-bed", "scratch-test-bed"}
    assert "Nothing to do" in lab.up().out
    drift = lab.run("drift")
    assert drift.code == 0, drift.text


def test_no_secret_of_the_storage_lies_open(lab: HostsLab) -> None:
    assert lab.secrets()["backupPassword"] not in json.dumps(lab.copy.deployment())


def test_a_home_is_made_lost_and_found(lab: HostsLab) -> None:
    first = lab.bed.hosts[1]
    assert "status made" in ask_for_home(lab)
    assert "status exists" in ask_for_home(lab)
    path = f"/tank/homes/{HOME}"
    first.console(f"echo thesis >{path}/thesis.txt && chown {UID}:100 {path}/thesis.txt")
    assert first.console(f"stat -c %u:%a {path}").strip() == f"{UID}:700"
    first.console("systemctl start research-compute-data-backup.service")
    first.console(f"rm {path}/thesis.txt")
    found = lab.run("restore", "folder", f"home/{HOME}", "--path", "thesis.txt")
    assert found.code == 0, found.text
    restored = first.console(f"find {path} -name thesis.txt").split()
    assert len(restored) == 1
    assert first.console(f"cat {restored[0]}").strip() == "thesis"
    assert first.console(f"stat -c %u:%g {restored[0]}").strip() == f"{UID}:100"


def test_one_quota_changes_one_step_of_one_host(lab: HostsLab) -> None:
    first = lab.bed.hosts[1]
    homes = nfs(lab)["homes"]
    assert isinstance(homes, dict)
    homes["exceptions"] = {HOME: "48Mi"}
    done = lab.up()
    assert "1 updated" in done.out, done.out
    assert first.console(f"zfs get -Hp -o value refquota tank/homes/{HOME}").strip() == str(48 << 20)


def test_what_leaves_the_file_keeps_its_data(lab: HostsLab) -> None:
    _, first, _ = lab.bed.hosts
    storage = lab.sections.pop("storage")
    lab.up("--allow-destroy", "*storage*")
    assert first.console("zfs list -H -o name tank/datasets").strip() == "tank/datasets"
    assert first.console(f"find /tank/homes/{HOME} -name thesis.txt").strip()
    lab.sections["storage"] = storage
    lab.up()
    assert "status exists" in ask_for_home(lab)
