"""LXCFS: what servers mount, which hosts get it, and its step as bash on made-up hosts."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from hub_labs import FACTS, NETWORK, hub

from components.hub.lxcfs import FILES, HOST_FILES, lxcfs_part, lxcfs_steps
from components.hub.plan import hub_values, namespace_plan
from components.namespaces.plan import PodSecurity
from components.nodes.config import NodesConfig
from components.nodes.membership_plan import request_steps
from components.nodes.steps import compose_whole

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQ5h0WpOOUL5c+6YPQkmCkQNyu8U71JlFTv6/DxtS5V"
FAILED = 70


def nodes() -> NodesConfig:
    lost: dict[str, object] = {"lost": True}
    every: list[tuple[str, str, dict[str, object]]] = [
        ("cp-1", "control-plane", {}),
        ("worker-2", "worker", {}),
        ("worker-1", "worker", {}),
        ("worker-3", "worker", lost),
    ]
    hosts = {
        name: {
            "address": f"192.0.2.{index + 11}",
            "roles": [role],
            "hostKey": KEY[:-1] + "VWXYZ"[index],
            "hardware": {"cpus": 4, "memory": "16Gi", "ephemeralStorage": "100G"},
            **extra,
        }
        for index, (name, role, extra) in enumerate(every)
    }
    return NodesConfig.model_validate({"hosts": hosts}, by_alias=True)


def test_without_the_option_nothing_changes() -> None:
    assert lxcfs_part(hub()).server_volumes == {}
    assert lxcfs_steps(hub(), nodes()) == lxcfs_steps(None, nodes()) == ()
    assert namespace_plan(hub(), NETWORK, "test").pod_security is PodSecurity.RESTRICTED


def test_the_label_is_relaxed_for_it() -> None:
    assert namespace_plan(hub(lxcfs=True), NETWORK, "test").pod_security is PodSecurity.PRIVILEGED


def test_servers_mount_exactly_its_files_for_reading() -> None:
    storage = cast(
        "Mapping[str, Mapping[str, Mapping[str, object]]]", hub_values(hub(lxcfs=True), FACTS)["singleuser"]["storage"]
    )
    volumes = {name: volume["hostPath"] for name, volume in storage["extraVolumes"].items() if "hostPath" in volume}
    assert sorted(cast("Mapping[str, str]", path)["path"] for path in volumes.values()) == [
        f"/var/lib/lxcfs/proc/{name}"
        for name in ("cpuinfo", "diskstats", "loadavg", "meminfo", "stat", "swaps", "uptime")
    ]
    mounts = [mount for mount in storage["extraVolumeMounts"].values() if mount["name"] in volumes]
    assert len(mounts) == len(HOST_FILES) == len(FILES)
    for mount in mounts:
        path = cast("Mapping[str, str]", volumes[str(mount["name"])])
        assert path == {"path": HOST_FILES[str(mount["mountPath"])], "type": "File"}
        assert mount["readOnly"] is True


def test_workers_get_it_before_they_are_nodes() -> None:
    steps = lxcfs_steps(hub(lxcfs=True), nodes())
    assert [step.host for step in steps] == ["worker-1", "worker-2"]
    assert steps[0].after == (("system", "worker-1"), ("runtime", "worker-1"))
    (request,) = [step for step in request_steps(nodes()) if step.host == "worker-1"]
    assert ("lxcfs", "worker-1") in request.after


@dataclass
class Host:
    """A folder that stands for a worker: what is installed, what runs, what is mounted."""

    folder: Path
    installed: bool = False
    running: str | None = None
    """The command line of the service, where it runs."""
    enabled: bool = False
    missing: tuple[str, ...] = ()
    """Files this version of lxcfs does not have."""
    in_use: bool = False

    def run(self, mode: str) -> subprocess.CompletedProcess[str]:
        (step,) = [step for step in lxcfs_steps(hub(lxcfs=True), nodes()) if step.host == "worker-1"]
        own = {
            "LXCFS_MOUNT": str(self.folder / "mount"),
            "UNITS_FOLDER": str(self.folder / "units"),
            "PROCESSES": str(self.folder / "proc"),
            "STATE_FOLDER": str(self.folder / "state"),
            "CACHE_FOLDER": str(self.folder / "cache"),
            "LOCK_FILE": str(self.folder / "lock"),
            "STEP_HOST": "worker-1",
            "RECONVERGE": 0,
        }
        planned = {name: value for name, value in step.values.items() if isinstance(value, tuple)}
        self._lay()
        return subprocess.run(
            ["/bin/bash", "-s", mode],
            input=compose_whole(step, {**planned, **own}),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"},
        )

    def done(self, mode: str) -> Mapping[str, object]:
        told = self.run(mode)
        assert told.returncode == 0, told.stderr
        return cast("Mapping[str, object]", json.loads(told.stdout))

    def calls(self) -> list[str]:
        """Return what was asked of systemctl and apt-get that changes anything, in order."""
        log = self.folder / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def _lay(self) -> None:
        flags = self.folder / "flags"
        for path in (flags, self.folder / "bin", self.folder / "units", self.folder / "proc/7"):
            path.mkdir(parents=True, exist_ok=True)
        for name, is_so in (
            ("installed", self.installed),
            ("running", self.running is not None),
            ("enabled", self.enabled),
        ):
            if is_so:
                (flags / name).touch()
        (self.folder / "cmdline").write_text("\0".join((self.running or "lxcfs --enable-loadavg").split()) + "\0")
        if self.running is not None:
            (self.folder / "proc/7/cmdline").write_bytes((self.folder / "cmdline").read_bytes())
        over = "82 48 0:41 /proc/meminfo /proc/meminfo ro,nosuid - fuse.lxcfs lxcfs rw" if self.in_use else ""
        (self.folder / "proc/7/mountinfo").write_text(f"44 27 0:41 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw\n{over}\n")
        self._show()
        show = " ".join(name for name in FILES if name not in self.missing)
        self._stub(
            "dpkg-query", f"""[ -e {flags}/installed ] && printf 'fuse3\\tinstalled\\t3\\nlxcfs\\tinstalled\\t5\\n'"""
        )
        self._stub("dpkg", "exit 0")
        self._stub(
            "apt-get",
            f"""case "$*" in *install*) echo install >>{self.folder}/calls; touch {flags}/installed ;; esac""",
        )
        self._stub(
            "systemctl",
            f"""case $1 in
is-active) [ -e {flags}/running ]; exit $? ;;
is-enabled) [ -e {flags}/enabled ] && echo enabled; [ -e {flags}/enabled ]; exit $? ;;
show) echo 7; exit ;;
daemon-reload|reset-failed) exit ;;
esac
echo "$*" >>{self.folder}/calls
case $1 in
enable) touch {flags}/enabled ;;
start|restart) touch {flags}/running; cp {self.folder}/cmdline {self.folder}/proc/7/cmdline
    mkdir -p {self.folder}/mount/proc; for name in {show}; do echo x >{self.folder}/mount/proc/$name; done ;;
disable) rm -f {flags}/enabled; case "$*" in *--now*) rm -f {flags}/running ;; esac ;;
esac""",
        )

    def _show(self) -> None:
        if self.running is not None:
            (self.folder / "mount/proc").mkdir(parents=True, exist_ok=True)
            for name in FILES:
                if name not in self.missing:
                    (self.folder / "mount/proc" / name).write_text("x\n")

    def _stub(self, name: str, body: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)


def test_a_bare_worker_gets_it(tmp_path: Path) -> None:
    host = Host(tmp_path)
    told = host.done("apply")
    setting = tmp_path / "units/lxcfs.service.d/research-compute.conf"
    assert told["changed"] == [
        f"file {setting}",
        "package fuse3",
        "package lxcfs",
        "enabled lxcfs.service",
        "service lxcfs.service",
    ]
    assert told["result"] == {"load": "own"}
    assert "ExecStart=/usr/bin/lxcfs --enable-loadavg /var/lib/lxcfs" in setting.read_text()
    assert host.calls() == ["install", "enable --quiet -- lxcfs.service", "start -- lxcfs.service"]
    assert host.done("apply")["changed"] == []


def test_looking_changes_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert len(cast("list[str]", host.done("check")["changed"])) == 5
    assert host.calls() == []
    assert not (tmp_path / "units/lxcfs.service.d").exists()


def test_one_that_runs_already_is_not_restarted_under_its_servers(tmp_path: Path) -> None:
    host = Host(tmp_path, installed=True, running="/usr/bin/lxcfs /var/lib/lxcfs", enabled=True)
    told = host.done("apply")
    assert told["changed"] == [f"file {tmp_path}/units/lxcfs.service.d/research-compute.conf"]
    assert told["result"] == {"load": "of the node until lxcfs.service is restarted"}
    assert host.calls() == []


def test_a_version_without_a_file_is_said(tmp_path: Path) -> None:
    told = Host(tmp_path, installed=True, running="lxcfs", enabled=True, missing=("loadavg",)).run("apply")
    assert told.returncode == FAILED
    assert "waited in vain for" in told.stderr
    assert "mount/proc/loadavg, which this version of lxcfs does not have" in told.stderr


@pytest.mark.parametrize("in_use", [False, True])
def test_undo_stops_it_once_nobody_reads_its_files(tmp_path: Path, *, in_use: bool) -> None:
    host = Host(tmp_path)
    host.done("apply")
    host.in_use = in_use
    host.done("undo")
    assert not (tmp_path / "units/lxcfs.service.d").exists()
    assert not (tmp_path / "flags/enabled").exists()
    assert (tmp_path / "flags/running").exists() is in_use
    assert host.done("undo")["changed"] == []
