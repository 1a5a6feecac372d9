"""What is never done to disks and pools, however it is asked for: with a real ZFS."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest
from bed import Host
from storage_hosts import DISK_BYTES, StorageHosts, lay_disks, pool

REFUSED = 65
"""Exit code of `refuse` (sysexits(3))."""
STEPS = ("zfs", "pool", "datasets")


def lvm_label() -> bytes:
    """Return the first KiB of a disk that LVM has taken (``pvcreate``; lib/format_text/layout.h)."""
    header = b"u" * 32 + struct.pack("<Q", DISK_BYTES) + bytes(32)
    checked = struct.pack("<I8s", 32, b"LVM2 001") + header.ljust(480, b"\0")
    checksum = zlib.crc32(checked, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return bytes(512) + b"LABELONE" + struct.pack("<QI", 1, checksum) + checked


def partition_table() -> bytes:
    """Return the first sector of a disk with one partition of 100 MiB, as DOS had it (UEFI specification, 5.2.1)."""
    entry = struct.pack("<8sII", b"\0\0\0\0\x83\0\0\0", 2048, 204_800)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


LVM = base64.b64encode(lvm_label()).decode()
TABLE = base64.b64encode(partition_table()).decode()
GONE = "for _ in 1 2 3 4 5; do zpool {} old && break; sleep 1; done"
IN_USE = {
    "ext4": ("mkfs.ext4 -q -F {0}", "{0} holds something: ext4"),
    "swap": ("mkswap -q {0}", "{0} holds something: swap"),
    "partition table": (f"echo {TABLE} | base64 -d | dd of={{0}} conv=notrunc status=none", "{0} holds something: dos"),
    "LVM": (f"echo {LVM} | base64 -d | dd of={{0}} conv=notrunc status=none", "{0} holds something: LVM2_member"),
    "no known kind": ("printf somebody-s | dd of={0} seek=1000 bs=1 conv=notrunc status=none", "data of no known kind"),
    "destroyed pool": (
        f"zpool create old {{0}}; {GONE.format('destroy')}",
        "{0} holds something: a member of the pool old",
    ),
    "exported pool": (
        f"zpool create old {{0}}; {GONE.format('export')}",
        "{0} holds something: a member of the pool old",
    ),
}


@pytest.mark.parametrize("use", IN_USE)
def test_a_disk_that_holds_something_is_refused_unless_named(hosts: StorageHosts, host: Host, use: str) -> None:
    d = lay_disks(host, "d1", "d2")
    command, message = IN_USE[use]
    host.console(command.format(d[1]))
    before = host.console(f"sha256sum {' '.join(d)}")
    report = hosts.run_pool(hosts.storage({"tank": pool("mirror", d)}))
    assert report.code == REFUSED, report.err
    assert message.format(d[1]) in report.err
    assert host.console(f"sha256sum {' '.join(d)}") == before
    assert host.console("zpool list -H") == ""
    named = hosts.storage({"tank": pool("mirror", d, wipe=[d[1]])})
    assert hosts.run_pool(named).changed[:2] == (f"wiped {d[1]}", "pool tank")
    assert hosts.run_pool(named).changed == ()


def test_a_look_says_what_apply_would_do(hosts: StorageHosts, host: Host) -> None:
    d = lay_disks(host, "d1", "d2")
    host.console(f"mkfs.ext4 -q -F {d[1]}; rm {d[0]}")
    before = host.console("ls -l /disks; sha256sum /disks/*")
    missing = hosts.run_pool(hosts.storage({"tank": pool("mirror", d)}), "check")
    assert (missing.code, f"there is no disk {d[0]}" in missing.err) == (REFUSED, True)
    host.console(f"truncate -s {DISK_BYTES} {d[0]}")
    full = hosts.run_pool(hosts.storage({"tank": pool("mirror", d)}), "check")
    assert (full.code, "holds something: ext4" in full.err) == (REFUSED, True)
    host.console(f"rm {d[0]}")
    assert host.console("ls -l /disks; sha256sum /disks/*") == before
    host.console(f"truncate -s {DISK_BYTES} {d[0]}")
    named = hosts.run_pool(hosts.storage({"tank": pool("mirror", d, wipe=[d[1]])}), "check")
    assert named.changed == (f"wiped {d[1]}", "pool tank")


def test_a_disk_in_use_is_never_wiped(hosts: StorageHosts, host: Host) -> None:
    d = lay_disks(host, "d1", "d2", "d3", "d4")
    hosts.run_pool(hosts.storage({"vault": pool("mirror", d[2:4])}), name="vault")
    in_pool = hosts.run_pool(hosts.storage({"tank": pool("mirror", [d[0], d[2]], wipe=[d[2]])}))
    assert in_pool.code == REFUSED
    assert f"refused: {d[2]} is in use and never overwritten: it is in the pool vault" in in_pool.err
    # A loop device of this machine: the host has none of its own, so it is made, and given back.
    loop = host.console(
        f"mkfs.ext4 -q -F {d[1]}; [ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237; "
        f"n=$(losetup -f); [ -e $n ] || mknod $n b 7 ${{n#/dev/loop}}; losetup $n {d[1]} && echo $n"
    ).strip()
    try:
        mounted = hosts.storage({"tank": pool("mirror", [d[0], d[1]], wipe=[d[1]])})
        behind = hosts.run_pool(mounted)
        assert behind.code == REFUSED
        assert f"{d[1]} is in use and never overwritten: {d[1]} is behind {loop}" in behind.err
        host.console(f"mkdir -p /mnt/x; mount {loop} /mnt/x")
        device = hosts.run_pool(hosts.storage({"tank": pool("mirror", [d[0], loop], wipe=[loop])}))
        assert device.code == REFUSED
        assert f"{loop} is in use and never overwritten: {loop} is mounted at /mnt/x" in device.err
    finally:
        host.console(f"umount /mnt/x 2>/dev/null; losetup -d {loop}; rm -f {loop}")


def test_what_a_pool_can_never_become_is_refused(hosts: StorageHosts, host: Host) -> None:
    d = lay_disks(host, *(f"d{index}" for index in range(8)))
    hosts.run_pool(hosts.storage({"tank": pool("mirror", d[:2], d[2:4])}))
    table = {
        "which storage.zfs.pools.tank does not": pool("mirror", d[:2]),
        "mirror-0 of the pool tank is mirror and can never be raidz1": pool("raidz1", d[:3]),
        "has 2 disks, and 3 are written for it": pool("mirror", [*d[:2], d[5]], d[2:4]),
        "has ashift 12, which can never be changed: write ashift: 12": pool("mirror", d[:2], d[2:4], ashift=9),
        "normalization of tank was fixed when it was made: write normalization: none": pool(
            "mirror", d[:2], d[2:4], properties={"normalization": "formD"}
        ),
    }
    before = host.console("zpool status tank")
    for message, section in table.items():
        for mode in ("check", "apply"):
            report = hosts.run_pool(hosts.storage({"tank": section}), mode)
            assert report.code == REFUSED, report.err
            assert message in report.err
    assert host.console("zpool status tank") == before


def test_a_pool_of_the_same_name_on_other_disks_is_refused(hosts: StorageHosts, host: Host) -> None:
    d = lay_disks(host, *(f"d{index}" for index in range(4)))
    hosts.run_pool(hosts.storage({"tank": pool("mirror", d[:2])}))
    other = hosts.storage({"tank": pool("mirror", d[2:4])})
    assert "the pool tank has the group mirror-0" in hosts.run_pool(other).err
    host.console("zpool export tank")
    # Neither imported nor on those disks: an empty one in its place would hide it.
    gone = hosts.run_pool(other)
    assert gone.code == REFUSED
    assert "is neither imported nor on the disks of the stack file" in gone.err
    host.console("rm /var/lib/research-compute/markers/pool-tank")
    assert hosts.run_pool(other).changed[0] == "pool tank"


def test_a_pool_another_host_uses_is_refused(hosts: StorageHosts, host: Host) -> None:
    d = lay_disks(host, "d1", "d2")
    storage = hosts.storage({"tank": pool("mirror", d, wipe=d)})
    hosts.run_pool(storage)
    # The disks move to a machine with another id, as they were when the first one died.
    host.console("cp -p /etc/hostid /root/hostid; sync; mkdir /disks/moved; cp --sparse=always /disks/d? /disks/moved")
    host.console("zpool export tank; mv /disks/moved/* /disks; printf abcd >/etc/hostid; systemctl restart zfs-fuse")
    try:
        for mode in ("check", "apply"):
            report = hosts.run_pool(storage, mode)
            assert report.code == REFUSED, report.out + report.err
            assert f"the pool tank was last used by the host {host.name}" in report.err
            assert "zpool import -d /disks -f " in report.err
        # By hand, as the message says; then the step goes on.
        host.console(report.err.partition("by hand: ")[2].strip())
        assert hosts.run_pool(storage).changed == ()
    finally:
        host.console(
            "zpool export tank; systemctl stop zfs-fuse; cp -p /root/hostid /etc/hostid; systemctl start zfs-fuse",
            check=False,
        )


def test_the_pool_itself_is_never_wiped(hosts: StorageHosts, host: Host) -> None:
    """`wipe` stays in the stack file after the pool was made: it must not cost the pool when that is not imported."""
    d = lay_disks(host, "d1", "d2")
    storage = hosts.storage({"tank": pool("mirror", d, wipe=d)})
    hosts.up(storage, STEPS)
    host.console("echo mine >/tank/homes/kept; zpool export tank; rm -rf /var/lib/research-compute/markers")
    assert hosts.run_pool(storage).changed == ("pool tank imported",)
    assert host.console("cat /tank/homes/kept") == "mine\n"
