"""Parts of the ``system`` step that no host of the tests' has: arrays that lose a disk, swap, other distributions."""

from __future__ import annotations

from pathlib import Path

import pytest
from script_workshop import FAILED, REFUSED, Run, Workshop

from components.nodes.steps import FILES

SCRIPT = (FILES / "system.sh").read_text(encoding="utf-8")
WHOLE = """Personalities : [raid1] [raid0]
md1 : active raid1 sdb2[1] sda2[0]
      976630336 blocks super 1.2 [2/2] [UU]
      bitmap: 2/8 pages [8KB], 65536KB chunk

md0 : active raid1 nvme1n1p1[1] nvme0n1p1[0]
      1046528 blocks super 1.2 [2/2] [UU]

unused devices: <none>
"""


def system(workshop: Workshop, call: str, mode: str = "apply", **values: str | bool | tuple[str, ...]) -> Run:
    """Run one function of the script's."""
    return workshop.run(f"{SCRIPT}\n{call}", mode, **values)


# --- platform


@pytest.mark.parametrize(
    ("release", "architecture", "refused"),
    [
        ('ID=debian\nVERSION_ID="12"', "amd64", None),
        ('ID=ubuntu\nVERSION_ID="22.04"', "arm64", None),
        ('ID=ubuntu\nVERSION_ID="24.04"', "amd64", None),
        ('ID=ubuntu\nVERSION_ID="20.04"', "amd64", "cp-1 runs ubuntu 20.04"),
        ('ID="rocky"\nVERSION_ID="9.4"', "amd64", "cp-1 runs rocky 9.4"),
        ("ID=debian", "amd64", "cp-1 runs debian unknown"),
        ('ID=debian\nVERSION_ID="12"', "riscv64", "architecture riscv64"),
    ],
)
def test_platform(workshop: Workshop, release: str, architecture: str, refused: str | None) -> None:
    file = workshop.folder / "os-release"
    file.write_text(release, encoding="utf-8")
    workshop.stub("dpkg", f"echo {architecture}")
    run = system(workshop, "check_platform", OS_RELEASE=str(file), SYSTEMD_RUNS=str(workshop.folder))
    if refused is None:
        result = run.report["result"]
        assert isinstance(result, dict)
        assert result["architecture"] == architecture
    else:
        assert run.code == REFUSED
        assert refused in run.err


# --- RAID


def raid(workshop: Workshop, mdstat: str | None, root: str = "md1") -> Run:
    workshop.stub("findmnt", "echo /dev/mapper/system")
    workshop.stub("lsblk", f"printf 'system\\n{root}\\nsda2\\nsda\\n'")
    file = workshop.folder / "mdstat"
    if mdstat is not None:
        file.write_text(mdstat, encoding="utf-8")
    return system(workshop, "check_system_raid", SYSTEM_RAID="raid1", MDSTAT=str(file))


def test_whole_arrays_are_fine(workshop: Workshop) -> None:
    assert raid(workshop, WHOLE).code == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("md1 : active raid1 sdb2[1] sda2[0]", "md1 : active raid1 sdb2[1](F) sda2[0]", "sdb2 failed"),
        ("md1 : active raid1 sdb2[1] sda2[0]", "md1 : active raid1 sda2[0]", "the other is missing or being rebuilt"),
        ("md1 : active raid1 sdb2[1] sda2[0]", "md1 : active raid1 sdb2[2](S) sda2[0]", "sdb2 is a spare"),
    ],
)
def test_array_that_lost_a_member_is_named(workshop: Workshop, old: str, new: str, said: str) -> None:
    run = raid(workshop, WHOLE.replace(old, new).replace("[2/2] [UU]", "[2/1] [_U]", 1))
    assert run.code == FAILED
    assert "failed: md1 of cp-1 has only 1 of 2 members" in run.err
    assert said in run.err


def test_another_mirror_of_the_host_counts_too(workshop: Workshop) -> None:
    head, _, tail = WHOLE.rpartition("[2/2] [UU]")
    run = raid(workshop, f"{head}[2/1] [U_]{tail}")
    assert run.code == FAILED
    assert "md0 of cp-1 has only 1 of 2 members" in run.err


@pytest.mark.parametrize(
    ("mdstat", "root", "said"),
    [
        (None, "md1", "its kernel knows no md arrays"),
        (WHOLE, "sda2", "lies on /dev/mapper/system, which is no RAID-1"),
        (WHOLE.replace("md1 : active raid1", "md1 : active raid0"), "md1", "lies on md1, which is raid0"),
    ],
)
def test_system_that_lies_on_no_mirror_is_refused(workshop: Workshop, mdstat: str | None, root: str, said: str) -> None:
    run = raid(workshop, mdstat, root)
    assert run.code == REFUSED
    assert said in run.err


def test_no_array_is_looked_for_where_none_is_expected(workshop: Workshop) -> None:
    assert system(workshop, "check_system_raid", SYSTEM_RAID="", MDSTAT="/nonexistent").code == 0


# --- swap

FSTAB = """# static file system information
UUID=1 / ext4 defaults 0 1
UUID=2\tnone\tswap\tsw\t0\t0
#UUID=3 none swap sw 0 0
/swap.img none swap sw 0 0
"""


def swap(workshop: Workshop, call: str, mode: str = "apply", *, tolerates: bool = False) -> Run:
    for name in ("swapoff", "swapon", "systemctl"):
        workshop.stub(name, f'echo "{name} $*" >>{workshop.folder}/calls')
    return system(
        workshop,
        call,
        mode,
        FSTAB=str(workshop.root / "fstab"),
        SWAPS=str(workshop.folder / "swaps"),
        TOLERATES_SWAP=tolerates,
    )


def test_swap_goes_now_and_for_good_and_comes_back(workshop: Workshop) -> None:
    fstab, swaps, calls = workshop.root / "fstab", workshop.folder / "swaps", workshop.folder / "calls"
    fstab.write_text(FSTAB)
    fstab.chmod(0o664)
    swaps.write_text("Filename Type Size Used Priority\n/dev/sda3 partition 1 0 -2\n")
    looked = swap(workshop, "want_swap", "check")
    assert fstab.read_text() == FSTAB
    assert not calls.exists()
    done = swap(workshop, "want_swap")
    assert looked.changed == done.changed == [f"file {fstab}", "no swap /dev/sda3"]
    assert "swapoff -- /dev/sda3" in calls.read_text()
    assert "mask --quiet -- dev-sda3.swap" in calls.read_text()
    lines = fstab.read_text().splitlines()
    assert lines[2] == "# research-compute: UUID=2\tnone\tswap\tsw\t0\t0"
    assert lines[4] == "# research-compute: /swap.img none swap sw 0 0"
    assert [lines[0], lines[1], lines[3]] == [FSTAB.splitlines()[index] for index in (0, 1, 3)]
    assert fstab.stat().st_mode & 0o777 == 0o664
    swaps.write_text("Filename Type Size Used Priority\n")
    assert swap(workshop, "want_swap").changed == []
    assert swap(workshop, "want_swap", tolerates=True).changed == [f"file {fstab}"]
    assert fstab.read_text() == FSTAB
    assert "swapon --all" in calls.read_text()


# --- kernel parameters


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"),
        ("net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding"),
    ],
)
def test_dots_and_slashes_of_a_key(workshop: Workshop, key: str, path: str) -> None:
    file = workshop.root / path
    file.parent.mkdir(parents=True)
    file.write_text("0\n")
    run = system(
        workshop,
        f'paths=(); sysctl_paths {key}; result paths "${{paths[*]}}"',
        SYSCTL_ROOT=str(workshop.root),
    )
    assert run.report["result"] == {"paths": str(file)}


def test_parameters_are_written_and_read_back(workshop: Workshop) -> None:
    keys = {"net/ipv4/a": "0\n", "net/ipv4/conf/x/f": "0\n", "net/ipv4/conf/y/f": "1\n", "net/ipv4/three": "1\t2\t3\n"}
    for key, value in keys.items():
        file = workshop.root / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)
    wanted = ("net.ipv4.a=5", "net.ipv4.conf.*.f=1", "net.ipv4.three=1 2 3")
    body = "want_file() { cat >/dev/null; }\nwant_sysctls"
    run = system(workshop, body, SYSCTLS=wanted, SYSCTL_CONF="", SYSCTL_ROOT=str(workshop.root))
    assert run.changed == ["sysctl net.ipv4.a", "sysctl net.ipv4.conf.*.f"]
    assert (workshop.root / "net/ipv4/a").read_text() == "5\n"
    assert (workshop.root / "net/ipv4/conf/x/f").read_text() == "1\n"


def test_parameters_the_kernel_refuses_are_all_named(workshop: Workshop) -> None:
    file = workshop.root / "net" / "clamped"
    file.parent.mkdir(parents=True)
    file.write_text("7\n")
    # A kernel that takes a write and keeps its own value, and one that has no such parameter.
    body = "want_file() { cat >/dev/null; }\nsysctl_value() { printf 7; }\nwant_sysctls"
    run = system(
        workshop,
        body,
        SYSCTLS=("net.clamped=9", "net.missing=1"),
        SYSCTL_CONF="",
        SYSCTL_ROOT=str(workshop.root),
    )
    assert run.code == FAILED
    assert (
        "the kernel of cp-1 refuses: net.clamped (wanted 9, is 7); net.missing (this kernel does not have it)"
        in run.err
    )


# --- whose connection it is


@pytest.mark.parametrize(
    ("connection", "peer"),
    [
        ("10.0.0.9 5022 10.0.0.1 22", "10.0.0.9"),
        ("::ffff:10.0.0.9 5022 ::ffff:10.0.0.1 22", "10.0.0.9"),
        ("fe80::1%eth0 5022 fe80::2%eth0 22", "fe80::1"),
        ("2001:db8::1 5022 2001:db8::2 22", "2001:db8::1"),
    ],
)
def test_own_connection_is_found(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, connection: str, peer: str
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", connection)
    run = system(workshop, 'unset SSH_CONNECTION\nresult peer "$(ssh_peer)"')
    assert run.report["result"] == {"peer": peer}


def test_console_is_no_connection(workshop: Workshop, tmp_path: Path) -> None:
    # Environments of processes that have none of it.
    run = system(workshop, 'result peer "$(ssh_peer)"', ENVIRONMENTS=str(tmp_path))
    assert run.report["result"] == {"peer": ""}


# --- addresses and packets

SHOWN = """case $4 in
    to) case $5 in
        10.0.0.1) echo '3: bond0.20@bond0    inet 10.0.0.1/24 brd 10.0.0.255 scope global bond0.20' ;;
        2001:db8:1::1) echo '3: bond0.20@bond0    inet6 2001:db8:1::1/64 scope global ' ;;
    esac ;;
esac"""
"""What ``ip -oneline address show to ADDRESS`` says on a host with a VLAN on a bond."""


def addresses(workshop: Workshop, mtu: str, **values: str) -> Run:
    workshop.stub("ip", SHOWN)
    interface = workshop.folder / "interfaces" / "bond0.20"
    interface.mkdir(parents=True)
    (interface / "mtu").write_text(f"{mtu}\n", encoding="utf-8")
    own = {"ADDRESS": "10.0.0.1", "SECOND_ADDRESS": "", "MTU_BYTES": "", "INTERFACES": str(interface.parent)}
    return system(workshop, "check_addresses", **{**own, **values})


@pytest.mark.parametrize(
    ("mtu", "values"),
    [
        ("1500", {}),
        ("1500", {"MTU_BYTES": "1500"}),
        ("9000", {"MTU_BYTES": "1500"}),
        ("1500", {"SECOND_ADDRESS": "2001:db8:1::1"}),
        ("1500", {"ADDRESS": "203.0.113.1", "MTU_BYTES": "9000"}),
    ],
)
def test_an_interface_that_fits(workshop: Workshop, mtu: str, values: dict[str, str]) -> None:
    assert addresses(workshop, mtu, **values).changed == []


@pytest.mark.parametrize(
    ("mtu", "values", "told"),
    [
        ("1500", {"MTU_BYTES": "9000"}, "bond0.20 of cp-1 takes packets of 1500 bytes, and the pods' MTU is planned"),
        ("1500", {"SECOND_ADDRESS": "2001:db8:1::2"}, "no interface of cp-1 has the address 2001:db8:1::2"),
    ],
)  # fmt: skip
def test_an_interface_that_does_not_fit_is_refused(
    workshop: Workshop, mtu: str, values: dict[str, str], told: str
) -> None:
    run = addresses(workshop, mtu, **values)
    assert run.code == REFUSED
    assert told in run.err
