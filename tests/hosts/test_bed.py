"""The bed itself: hosts are what they claim to be, and nothing of them stays."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from bed import RECORDS, Bed, clean_up_leftovers
from bed_base import LOGIN, SUDO_PASSWORD
from bed_cgroups import groups_named, processes_in
from bed_commands import call, succeeds
from bed_errors import BedInUseError, CommandFailedError
from bed_hosts import Host
from bed_sysctls import restore_settings, save_settings

ANNOUNCE = """
import socket, struct, sys
card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
card.bind(("eth0", 0x0806))
own, address = card.getsockname()[4], socket.inet_aton(sys.argv[1])
request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own + address + b"\\0" * 6 + address
card.send(b"\\xff" * 6 + own + b"\\x08\\x06" + request)
"""
"""A gratuitous ARP request, as keepalived sends when it takes an address over."""


@pytest.fixture(scope="module")
def bed(make_bed: Callable[[int], Bed]) -> Bed:
    return make_bed(2)


def answers(host: Host) -> bool:
    """Return whether the host answers a ping from this machine."""
    return succeeds("ping", "-c1", "-W1", host.address)


def traces(number: int) -> dict[str, list[str]]:
    """Return what there is on this machine of the bed `number`."""
    name, prefix = f"lab{number}", f"lab{number}-"
    found = {
        "groups": sorted(groups_named(prefix)),
        "namespaces": [path.name for path in Path("/run/netns").glob(f"{prefix}*")],
        "interfaces": [
            path.name for path in Path("/sys/class/net").iterdir() if re.fullmatch(f"{name}(-.*)?", path.name)
        ],
        "disks": [
            line for line in call("losetup", "--list", "--noheadings").splitlines() if f"/beds/{number}/" in line
        ],
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if f"/beds/{number}/" in line],
        "records": [path.name for path in RECORDS.glob(f"{number}.*")],
        "processes": [],
    }
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"/beds/{number}/" in (process / "cmdline").read_text():
                found["processes"].append(process.name)
    return {kind: things for kind, things in found.items() if things}


def test_a_host_is_a_fresh_server_of_its_own(bed: Bed) -> None:
    host = bed.hosts[0]
    assert host.run("id -un") == f"{LOGIN}\n"
    assert host.run("systemctl is-system-running --wait; systemctl --failed --no-legend", check=False) == "running\n"
    assert "bookworm" in host.run("cat /etc/os-release")
    assert host.run("python3 -c 'print(1)'") == "1\n"
    wanted = "curl containerd runc kubelet iptables chronyd keepalived haproxy docker"
    assert host.run(f"for name in {wanted}; do sudo -n which $name; done; true") == ""
    groups = "set -e; for group in /sys/fs/cgroup/*/; do mkdir $group/of-its-own; rmdir $group/of-its-own; done"
    assert host.run(groups, sudo=True) == ""
    assert host.run("readlink /proc/self/ns/net") != str(Path("/proc/self/ns/net").readlink())
    other = bed.hosts[1]
    assert host.run("hostname; cat /etc/machine-id") != other.run("hostname; cat /etc/machine-id")
    assert " 0% packet loss" in host.run(f"ping -c1 -W30 {other.name}")
    assert host.run("sudo -n modprobe overlay br_netfilter") == ""


def test_root_cannot_log_in(bed: Bed) -> None:
    command = [*bed.access.command(bed.hosts[0].address), "--", "true"]
    as_root = [part.replace(f"{LOGIN}@", "root@") for part in command]
    refused = subprocess.run(as_root, capture_output=True, text=True, check=False)
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr


def test_sshd_has_the_key_that_is_pinned_and_no_other(bed: Bed) -> None:
    first, second = bed.hosts
    scanned = call("ssh-keyscan", "-T", "30", first.address).splitlines()
    assert [line for line in scanned if not line.startswith("#")] == [f"{first.address} {first.host_key}"]
    assert first.host_key != second.host_key
    known = bed.access.known_hosts.read_text()
    try:
        bed.access.known_hosts.write_text(f"{first.address} {second.host_key}\n")
        with pytest.raises(CommandFailedError, match="Host key verification failed"):
            first.run("true")
    finally:
        bed.access.known_hosts.write_text(known)


def test_sudo_may_ask_for_a_password(bed: Bed) -> None:
    host = bed.hosts[0]
    host.require_sudo_password()
    try:
        with pytest.raises(CommandFailedError, match="password is required"):
            host.run("true", sudo=True)
        assert host.run("sudo -S -p '' id -un", text=f"{SUDO_PASSWORD}\n") == "root\n"
    finally:
        host.require_sudo_password(required=False)
    host.run("true", sudo=True)


def test_a_power_cut_ends_every_process_and_keeps_the_disk(bed: Bed) -> None:
    host = bed.hosts[0]
    identity = host.run("cat /etc/machine-id")
    host.run("echo kept > kept; systemd-run --user --quiet sleep 1000")
    assert len(processes_in(host.name)) > 5
    host.power_off()
    assert not host.running
    assert not answers(host)
    assert processes_in(host.name) == set()
    assert not groups_named(host.name)
    host.boot()
    host.wait_ready()
    assert host.run("cat kept; cat /etc/machine-id") == f"kept\n{identity}"
    assert host.run("pgrep -x sleep", check=False) == ""


def test_a_reboot_gives_a_new_network_and_keeps_the_disk(bed: Bed) -> None:
    host = bed.hosts[0]
    host.run("echo kept > rebooted; sudo -n ip route add 10.9.9.0/24 via 10.78.0.1 onlink dev eth0")
    before = host.run("readlink /proc/self/ns/net"), host.init
    host.reboot()
    assert "10.9.9.0" not in host.run("ip route; cat rebooted")
    assert host.init != before[1]


def test_a_host_may_reboot_itself(bed: Bed) -> None:
    host = bed.hosts[1]
    before = host.init
    host.run("echo kept > kept; sudo -n systemctl reboot", check=False)
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with suppress(Exception):
            if host.init != before:
                break
        time.sleep(0.1)
    host.wait_ready()
    assert host.init != before
    assert host.run("cat kept") == "kept\n"


def test_a_partitioned_host_runs_on_unreachable(bed: Bed) -> None:
    cut, other = bed.hosts
    cut.partition()
    try:
        with pytest.raises(CommandFailedError) as caught:
            cut.run("true")
        assert caught.value.code == 255
        assert "100% packet loss" in other.run(f"ping -c1 -W1 {cut.address}", check=False)
        assert "100% packet loss" in cut.console(f"ping -c1 -W1 {other.address}", check=False)
        # Its own card still has a link: it cannot know.
        assert cut.console("cat /sys/class/net/eth0/carrier") == "1\n"
        other.run("true")
    finally:
        cut.heal()
    # Resolving its address again takes the other host a moment.
    assert (
        other.run(f"for i in $(seq 30); do ping -c1 -W1 {cut.address} >/dev/null && echo heard && break; done")
        == "heard\n"
    )
    cut.run("true")


def test_a_full_disk_is_full_for_that_host_alone(bed: Bed) -> None:
    full, other = bed.hosts
    free_here = os.statvfs(bed.directory).f_bavail * os.statvfs(bed.directory).f_bsize
    full.fill_disk()
    try:
        with pytest.raises(CommandFailedError, match="No space left on device"):
            full.run("head -c 1M /dev/zero > anything")
        other.run("head -c 1M /dev/zero > plenty")
        assert full.run("df --output=size / | tail -1") == other.run("df --output=size / | tail -1")
    finally:
        full.free_disk()
    full.run("echo anything > anything")
    assert free_here - os.statvfs(bed.directory).f_bavail * os.statvfs(bed.directory).f_bsize < 1 << 30


def test_an_address_moves_from_host_to_host(bed: Bed) -> None:
    first, second = bed.hosts
    cards = [host.run("cat /sys/class/net/eth0/address").strip() for host in bed.hosts]

    def owner() -> str:
        call("ping", "-c1", "-W30", bed.virtual_address)
        return call("ip", "-oneline", "neighbour", "show", bed.virtual_address)

    first.run(f"sudo -n ip address add {bed.virtual_address}/32 dev eth0")
    assert cards[0] in owner()
    first.partition()
    try:
        second.run(f"sudo -n ip address add {bed.virtual_address}/32 dev eth0")
        second.run(f"sudo -n python3 - {bed.virtual_address}", text=ANNOUNCE)
        assert cards[1] in owner()
    finally:
        first.heal()
        for host in bed.hosts:
            host.run(f"sudo -n ip address del {bed.virtual_address}/32 dev eth0")


def test_a_number_is_one_beds_at_a_time(bed: Bed) -> None:
    with pytest.raises(BedInUseError, match=str(bed.number)):
        Bed.start(1, number=bed.number)
    bed.hosts[0].run("true")


def test_nothing_of_a_destroyed_bed_stays() -> None:
    with Bed.start(1) as own:
        number, directory = own.number, own.directory
        assert {"groups", "namespaces", "interfaces", "disks", "records", "processes"} == set(traces(number))
    assert traces(number) == {}
    assert not directory.exists()


def test_what_a_killed_run_left_is_removed_by_the_next() -> None:
    command = [sys.executable, str(Path(__file__).with_name("bed.py")), "--hosts", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as killed:
        assert killed.stdout is not None
        facts = json.loads(killed.stdout.readline())
        killed.send_signal(signal.SIGKILL)
    assert "processes" in traces(facts["number"])
    clean_up_leftovers()
    assert traces(facts["number"]) == {}
    assert not Path(facts["key"]).exists()


def test_the_machines_settings_are_put_back(tmp_path: Path) -> None:
    setting = Path("/proc/sys/vm/vfs_cache_pressure")
    before = setting.read_text()
    save_settings(tmp_path / "settings.json")
    setting.write_text(f"{int(before) + 1}\n")
    # A second bed must not take what the first one's hosts have done for the machine's own.
    save_settings(tmp_path / "settings.json")
    restore_settings(tmp_path / "settings.json")
    assert setting.read_text() == before
    assert not (tmp_path / "settings.json").exists()
