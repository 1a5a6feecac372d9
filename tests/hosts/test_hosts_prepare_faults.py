"""What goes wrong while hosts are prepared: lines that break, disks that fill, mirrors that fail, doors that close."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator

import pytest
from bed import Bed, Host
from bed_bundle import Bundle
from preparation import STEPS, Preparation, prepare

from labctl.bundle.mirror import Fault

REFUSED, FAILED = 65, 70
"""Exit codes of `refuse` and `fail` (sysexits(3))."""
CUT_HERE = """set -o functrace
COMMANDS=0
trap '((++COMMANDS == CUT)) && kill -9 $$' DEBUG
run_step"""
"""The shell is killed before its command number CUT; what it had started goes on alone."""
TREE = """cd /; find etc opt usr/local var/lib/research-compute -xdev \\( -type f -printf '%p %m %u %s %T@\\n' \\) \
-o \\( ! -type f -printf '%p %m %u %l\\n' \\) | sort"""
"""Every file, link and folder a step may touch."""
SIGN_SECONDS = 180
"""Within which a step has changed something: it looks for a while first."""
LEFTOVERS = "find / -xdev -name '.*.research-compute' -not -path '/proc/*' 2>/dev/null; dpkg --audit"


@pytest.fixture(scope="module")
def made(
    make_bed: Callable[[int], Bed], bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Preparation]:
    """Two bare hosts and a mirror with all they need."""
    with prepare(make_bed(2), bundle, tmp_path_factory.mktemp("bundle") / "bundle") as preparation:
        yield preparation


@pytest.fixture(autouse=True)
def _no_faults(made: Preparation) -> Generator[None]:
    yield
    made.mirror.fault = lambda _method, _target: None


@pytest.fixture
def host(made: Preparation) -> Host:
    """The first host, bare to begin with."""
    return made.bed.hosts[0]


def settled(made: Preparation, host: Host) -> None:
    """Assert that a host is as planned, with nothing left lying about."""
    assert made.all(host, "check") == dict.fromkeys(STEPS, ())
    assert host.console(LEFTOVERS) == ""
    assert host.console("systemctl --failed --no-legend").strip() == ""


@pytest.mark.parametrize("step", STEPS)
def test_cut_off_at_many_lines_and_run_again(made: Preparation, host: Host, step: str) -> None:
    planned = made.step(host, step)
    text = made.text(planned)
    head, _, tail = text.rpartition("run_step")
    cuts, gap = 0, 40
    position = 25
    while True:
        report = made.feed(host, f"{head}CUT={position}\n{CUT_HERE}{tail}")
        if report.code == 0:
            break
        assert "failed" not in report.err, report.err
        cuts += 1
        position += gap
        gap += 20
    assert cuts >= 5
    made.run(host, step)
    assert made.run(host, step, "check").changed == ()
    assert host.console(LEFTOVERS) == ""


def when_under_way(host: Host, step: str, act: Callable[[], None]) -> threading.Thread:
    """Do something to a host as soon as a step has noted its first change there."""

    def watch() -> None:
        deadline = time.monotonic() + SIGN_SECONDS
        while host.console(f"test -s /var/lib/research-compute/pending/{step} && echo so || true").strip() != "so":
            assert time.monotonic() < deadline, f"{step} never began"
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def begin_and_lose(made: Preparation, host: Host, text: str, lost: threading.Thread) -> None:
    """Feed a host a text, and give the client up once the line is `lost`: by itself it would wait on."""
    with tempfile.TemporaryFile("w+") as file:
        file.write(text)
        file.seek(0)
        command = [*made.bed.access.command(host.address), "sudo -n bash -s apply"]
        with subprocess.Popen(command, stdin=file, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
            try:
                lost.join()
                with pytest.raises(subprocess.TimeoutExpired):
                    client.wait(2)
            finally:
                client.kill()


def test_connection_dropped_in_the_middle(made: Preparation, host: Host) -> None:
    made.all(host, "undo")
    for step in STEPS:
        if step == "system":
            host.console("dpkg --purge --force-depends ethtool")
        wire = when_under_way(host, step, host.partition)
        try:
            begin_and_lose(made, host, made.text(made.step(host, step)), wire)
        finally:
            wire.join()
            host.heal()
        report = made.run(host, step)
        assert report.code == 0, report.err
    settled(made, host)


def test_power_cut_in_the_middle(made: Preparation, host: Host) -> None:
    made.all(host, "undo")
    for step in STEPS:
        if step == "system":
            host.console("dpkg --purge --force-depends ethtool")
        power = when_under_way(host, step, host.power_off)
        report = made.run(host, step)
        power.join()
        assert report.code != 0
        host.boot()
        host.wait_ready()
        assert made.run(host, step).code == 0
    settled(made, host)


@pytest.mark.parametrize("step", STEPS)
def test_full_disk_is_named_and_nothing_breaks(made: Preparation, host: Host, step: str) -> None:
    made.all(host, "undo")
    if step == "system":
        host.console("dpkg --purge --force-depends curl ethtool")
    for before in STEPS[: STEPS.index(step)]:
        assert made.run(host, before).code == 0
    host.fill_disk()
    try:
        report = made.run(host, step)
    finally:
        host.free_disk()
    assert report.code != 0
    assert "failed: " in report.err or "No space left on device" in report.err
    for name in STEPS:
        assert made.run(host, name).code == 0
    settled(made, host)


def test_mirror_that_answers_500(made: Preparation, host: Host) -> None:
    made.all(host, "undo")
    host.console("dpkg --purge --force-depends ethtool")

    def broken(_method: str, _target: str) -> Fault:
        return Fault(status=500)

    made.mirror.fault = broken
    system = made.run(host, "system")
    assert system.code == FAILED
    assert "failed: apt-get update gave up" in system.err
    assert "500" in system.err
    made.mirror.fault = lambda _method, _target: None
    assert made.run(host, "system").code == 0
    made.mirror.fault = broken
    runtime = made.run(host, "runtime")
    assert runtime.code == FAILED
    assert f"failed: {made.mirror.url}/files/" in runtime.err
    assert "answers 500, tried 4 times" in runtime.err
    made.mirror.fault = lambda _method, _target: None
    assert made.run(host, "runtime").code == 0
    made.mirror.fault = lambda _method, target: Fault(status=500) if target.startswith("/v2/") else None
    images = made.run(host, "kubernetes")
    assert images.code == FAILED
    assert "cannot be pulled, tried 3 times" in images.err
    made.mirror.fault = lambda _method, _target: None
    assert made.run(host, "kubernetes").code == 0
    settled(made, host)


def test_a_host_is_given_back(made: Preparation, host: Host) -> None:
    made.all(host)
    made.all(host, "undo")
    for command in ("kubelet", "kubeadm", "containerd", "runc", "ctr"):
        assert host.console(f"command -v {command} || echo none").strip() == "none"
    assert host.console("ls -A /opt/research-compute /var/cache/research-compute 2>/dev/null || true").strip() == ""
    assert made.all(host, "undo") == dict.fromkeys(STEPS, ())


FIREWALL = {"ssh": ["192.0.2.0/24"], "apiServer": ["198.51.100.0/24"]}


def test_firewall_stands_beside_other_tables_and_lets_its_maker_in(made: Preparation, host: Host) -> None:
    config = made.config(system={"firewall": {**FIREWALL, "ssh": [f"{made.bed.address}/32"]}})
    host.console("nft add table inet somebody; nft add chain inet somebody mine")
    assert "firewall" in made.run(host, "system", config=config).changed
    assert made.run(host, "system", config=config).changed == ()
    assert "chain mine" in host.console("nft list table inet somebody")
    assert "policy drop" in host.console("nft list chain inet research_compute input")
    assert host.run("echo still here").strip() == "still here"
    host.console("nft add rule inet research_compute input tcp dport 1 accept")
    assert made.run(host, "system", "check", config).changed == ("firewall",)
    host.reboot()
    assert "policy drop" in host.console("nft list chain inet research_compute input")
    assert made.run(host, "system", "check", config).changed == ()
    assert host.console("nft list tables").count("research_compute") == 1
    made.run(host, "system")
    assert "research_compute" not in host.console("nft list tables")


def test_firewall_that_would_shut_out_its_maker_is_refused(made: Preparation, host: Host) -> None:
    before = host.console(TREE)
    report = made.run(host, "system", config=made.config(system={"firewall": FIREWALL}))
    assert report.code == REFUSED
    assert f"would shut out {made.bed.address}" in report.err
    assert "research_compute" not in host.console("nft list tables")
    assert host.console(TREE) == before


def test_two_runs_at_once(made: Preparation, host: Host) -> None:
    holding = "flock 9; touch /run/held; until [ -e /run/enough ]; do sleep 0.2; done"
    host.console(f"({holding}) 9>>/run/research-compute.lock >/dev/null 2>&1 &")
    host.console("until [ -e /run/held ]; do sleep 0.1; done")
    late = made.run(host, "system", LOCK_WAIT_SECONDS=1)
    host.console("touch /run/enough")
    assert late.code == FAILED
    assert "another run holds /run/research-compute.lock" in late.err
    assert made.run(host, "system").code == 0
