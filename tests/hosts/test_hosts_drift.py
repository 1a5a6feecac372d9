"""What was changed by hand on real hosts is named, by host and step, and looking at it changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from bed import Host
from hosts_lab import STACK, HostsLab

from labctl.exit_codes import ExitCode

Document = dict[str, dict[str, object]]
PLACES = "etc opt usr var/lib/dpkg var/lib/apt var/lib/research-compute var/cache root"
TREE = f"""cd /
find {PLACES} -xdev -type f -printf '%p %m %U:%G %s %T@\\n' -exec sha256sum {{}} + | sort | sha256sum
find {PLACES} -xdev ! -type f -printf '%p %m %U:%G %T@ %l\\n' | sort | sha256sum
systemctl list-units --all --no-legend --plain 'chrony*' 'kubelet*' 'containerd*'"""
"""Every file, link and folder with its mode, owner, time and content, and what runs."""


@pytest.fixture(scope="module")
def lab(make_lab: Callable[[int], HostsLab]) -> HostsLab:
    """A control plane and a worker, brought up."""
    lab = make_lab(1)
    lab.up()
    return lab


def machines(lab: HostsLab) -> tuple[Host, Host]:
    plane, worker = lab.bed.hosts
    return plane, worker


def visits(host: Host) -> tuple[int, int]:
    """Return how often somebody signed in to a host, and how often commands were run there as root, since it booted."""
    signed_in, commands = (
        int(host.console(f"journalctl --sync; journalctl --no-pager | grep -c '{pattern}' || true").strip())
        for pattern in ("sshd.*Accepted publickey", "sudo.*COMMAND=")
    )
    return signed_in, commands


def asked(lab: HostsLab, code: ExitCode) -> Document:
    ended = lab.run("drift", "--json")
    assert ended.code == code, ended.text[-4000:]
    return cast("Document", json.loads(ended.out)["hosts"])


def differing(host: dict[str, object]) -> dict[str, list[str]]:
    """Return what differs on a host, by step."""
    steps = cast("list[dict[str, object]]", host["steps"])
    return {str(step["step"]): cast("list[str]", step["differs"]) for step in steps if step["state"] != "converged"}


def test_a_lab_that_was_just_brought_up_differs_in_nothing(lab: HostsLab) -> None:
    found = asked(lab, ExitCode.OK)
    for host in found.values():
        assert (host["state"], differing(host)) == ("converged", {})
        assert {step["standing"] for step in cast("list[dict[str, object]]", host["steps"])} == {"applied"}
        facts = cast("dict[str, object]", host["facts"])
        assert str(facts["distribution"]).startswith("Debian GNU/Linux 12")
        assert facts["kubelet"]
        assert facts["containerd"]
    plane = cast("dict[str, list[dict[str, object]]]", found[machines(lab)[0].name]["facts"])
    assert "/etc/kubernetes/pki/apiserver.crt" in {item["path"] for item in plane["certificates"]}
    shown = lab.run("drift")
    assert shown.code == ExitCode.OK
    assert len(re.findall(r"✓ \S+ +ubuntu@\S+ +converged", shown.out)) == 2


def test_a_host_is_asked_by_one_command_over_one_connection(lab: HostsLab) -> None:
    before = [visits(host) for host in machines(lab)]
    asked(lab, ExitCode.OK)
    assert [visits(host) for host in machines(lab)] == [(logins + 1, commands + 1) for logins, commands in before]


def test_what_was_changed_by_hand_is_named_and_nothing_is_changed_by_looking(lab: HostsLab) -> None:
    plane, worker = machines(lab)
    for command in (
        "echo 'net.ipv4.ip_forward = 0' >> /etc/sysctl.d/90-research-compute.conf",
        "systemctl disable --now chrony",
        "systemctl stop containerd",
        "dpkg --remove --force-depends ethtool",
        "rm /usr/local/lib/research-compute/steps/system-*.sh",
    ):
        worker.run(command, sudo=True, check=True)
    plane.run("echo '# by hand' >> /etc/containerd/config.toml", sudo=True, check=True)
    before = [host.console(TREE) for host in machines(lab)]
    found = asked(lab, ExitCode.DRIFT)
    shown = lab.run("drift")
    assert [host.console(TREE) for host in machines(lab)] == before
    changed = differing(found[worker.name])
    assert {"file /etc/sysctl.d/90-research-compute.conf", "package ethtool"} <= set(changed["system"])
    assert {"enabled chrony.service", "service chrony.service"} & set(changed["system"]), changed
    assert changed["runtime"] == ["service containerd.service"]
    assert re.fullmatch(r"file /usr/local/lib/research-compute/steps/system-\w+\.sh", " ".join(changed["scripts"]))
    # Without containerd the kubelet, which needs it, and the images are gone, too: the kubernetes step's.
    assert set(changed) == {"system", "runtime", "scripts", "kubernetes"}, changed
    assert "file /etc/containerd/config.toml" in differing(found[plane.name])["runtime"]
    assert shown.code == ExitCode.DRIFT
    assert f"raise nodes.hosts.{worker.name}.reconverge by one" in shown.out
    assert "package ethtool" in shown.out


def test_the_remedy_brings_the_hosts_back(lab: HostsLab) -> None:
    for host in machines(lab):
        lab.hosts[host.name]["reconverge"] = 1
    lab.up()
    asked(lab, ExitCode.OK)


def test_a_host_that_is_off_is_named_and_the_other_asked(lab: HostsLab) -> None:
    plane, worker = machines(lab)
    worker.power_off()
    try:
        found = asked(lab, ExitCode.UNANSWERED)
        assert "cannot be reached" in str(found[worker.name]["reason"])
        assert found[plane.name]["state"] == "converged"
        only = lab.run("drift", "--host", plane.name)
        assert only.code == ExitCode.OK
        keys = lab.run("hosts", "keys")
        assert keys.code == ExitCode.UNANSWERED
        assert "no answer" in keys.out
    finally:
        worker.boot()
        worker.wait_ready()


def test_host_keys_are_compared_and_written(lab: HostsLab) -> None:
    _, worker = machines(lab)
    same = lab.run("hosts", "keys")
    assert same.code == ExitCode.OK
    assert same.out.count("  same\n") == 2
    file: Path = lab.copy.file
    before = file.read_text(encoding="utf-8")
    without = re.sub(rf"^ +hostKey: {re.escape(worker.host_key)}\n", "", before, flags=re.MULTILINE)
    assert without != before
    file.write_text(without, encoding="utf-8")
    written = lab.run("hosts", "keys", "--write")
    assert written.code == ExitCode.OK, written.text
    assert f"written to Pulumi.{STACK}.yaml: hostKey of {worker.name}" in written.out
    assert f"hostKey: {worker.host_key}" in file.read_text(encoding="utf-8")
    file.write_text(
        before.replace(
            worker.host_key, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQ5h0WpOOUL5c+6YPQkmCkQNyu8U71JlFTv6/DxtS5V"
        )
    )
    different = lab.run("hosts", "keys", "--write")
    assert different.code == ExitCode.DRIFT
    assert "DIFFERENT" in different.out
    assert worker.host_key not in file.read_text(encoding="utf-8"), "a different key is never overwritten"
    file.write_text(before, encoding="utf-8")
