"""What goes wrong while a lab is brought up: the others finish, the report names the one, the next run goes on."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest
from bed import Host
from hosts_lab import PATIENCE_SECONDS, HostsLab
from lab_copy import Ended, ended

from labctl.bundle.mirror import Fault

LOCKED = 5
POLL_SECONDS = 0.2


@pytest.fixture(scope="module")
def lab(make_lab: Callable[[int], HostsLab]) -> HostsLab:
    """A control plane and two workers, bare; the tests follow each other."""
    return make_lab(2)


def failing(lab: HostsLab) -> Ended:
    """Bring the lab up, which must fail without a traceback."""
    lab.write()
    result = lab.run("up", "--yes")
    assert result.code != 0, result.text[-3000:]
    assert "Traceback" not in result.text
    return result


def nodes(lab: HostsLab) -> set[str]:
    return {node["metadata"]["name"] for node in lab.get("nodes")["items"]}


def failed_resources(result: Ended) -> set[str]:
    """Return the names of the resources that errors are about."""
    return {line.rpartition("::")[2] for line in result.err.splitlines() if line.startswith("error: urn:")}


def interrupted_at(lab: HostsLab, host: Host, sign: str, act: Callable[[], object]) -> Ended:
    """Start `up`, wait until a host shows a sign (a shell condition), do something to it, and return how it ended."""
    lab.write()
    process: subprocess.Popen[str] = lab.copy.start("up", "--yes")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while host.console(f"{sign} && echo seen || true", check=False).strip() != "seen":
        assert process.poll() is None, f"{sign}: up ended before it came to that:\n{ended(process).text[-3000:]}"
        assert time.monotonic() < deadline, f"{sign} was never so"
        time.sleep(POLL_SECONDS)
    act()
    return ended(process, PATIENCE_SECONDS)


def test_a_wrong_host_key_and_an_answering_mirror_with_errors(lab: HostsLab) -> None:
    plane, one, two = lab.bed.hosts
    lab.hosts[two.name]["hostKey"] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFFHWK4E4zq/1FxOSWNcyWuUQkslEpnaoHfsUHUQnHeg"
    lab.mirror.fault = lambda _method, target: Fault(status=500) if "/kubelet" in target else None
    result = failing(lab)
    assert failed_resources(result) == {
        f"bootstrap-{two.name}-scripts",
        f"bootstrap-{one.name}-kubernetes",
        f"bootstrap-{plane.name}-kubernetes",
    }
    assert result.text.count("SHA256:") >= 2, "the key that is pinned and the one that was shown"
    assert "answers 500" in result.text
    assert "kubelet" in result.text


def test_a_host_that_is_off_stops_no_other(lab: HostsLab) -> None:
    plane, one, two = lab.bed.hosts
    lab.hosts[two.name]["hostKey"] = two.host_key
    lab.mirror.fault = lambda _method, _target: None
    two.power_off()
    result = failing(lab)
    assert failed_resources(result) == {f"bootstrap-{two.name}-scripts"}
    assert two.address in result.text
    assert nodes(lab) == {plane.name, one.name}


def test_a_connection_that_drops_in_the_middle(lab: HostsLab) -> None:
    two = lab.bed.hosts[2]
    two.boot()
    two.wait_ready()
    result = interrupted_at(
        lab,
        two,
        "test -e /var/lib/research-compute/pending/runtime",
        lambda: two.console("pkill -KILL -f '[s]shd: ubuntu' || true"),
    )
    assert result.code != 0, result.text[-3000:]
    assert f"bootstrap-{two.name}-runtime" in result.text


def test_a_host_that_reboots_in_the_middle(lab: HostsLab) -> None:
    two = lab.bed.hosts[2]
    result = interrupted_at(lab, two, "test -e /var/lib/research-compute/pending/kubernetes", two.power_off)
    assert result.code != 0, result.text[-3000:]
    two.boot()
    two.wait_ready()


def test_two_runs_at_once(lab: HostsLab) -> None:
    lab.write()
    first = lab.copy.start("up", "--yes")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not lab.copy.locks:
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(POLL_SECONDS)
    second = lab.run("up", "--yes")
    assert second.code == LOCKED, second.text
    assert ended(first, PATIENCE_SECONDS).code == 0
    assert nodes(lab) == {host.name for host in lab.bed.hosts}


def test_a_wrong_sudo_password(lab: HostsLab) -> None:
    one = lab.bed.hosts[1]
    one.require_sudo_password()
    lab.nodes["ssh"] = {**lab.ssh, "sudoPassword": {"secret": "sudoPassword"}}
    lab.nodes["system"] = {"securityUpdates": "manual", "sysctls": {"net.core.rmem_max": "4194304"}}
    result = failing(lab)
    assert failed_resources(result) == {f"bootstrap-{one.name}-scripts"}
    assert "nodes.ssh.sudoPassword" in result.text
    assert lab.secrets()["sudoPassword"] not in result.text.replace("nodes.ssh.sudoPassword", "")
    one.require_sudo_password(required=False)
    lab.nodes["ssh"] = lab.ssh
    lab.up()
    assert one.run("cat /proc/sys/net/core/rmem_max").strip() == "4194304"
