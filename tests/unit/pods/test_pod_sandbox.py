"""The root folder that a pod's process sees, and what is left of its rights; in real namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from labctl.control_plane.pods import sandbox
from labctl.control_plane.pods.machine import ADDRESSES, Isolation, allows, flags, free_address, isolation
from labctl.control_plane.pods.sandbox import SandboxPlan

LOOK = """
import json, os, pathlib, socket
def tried(action):
    try:
        action()
    except OSError as error:
        return error.strerror
    return "done"
home = pathlib.Path(os.environ["HOME"])
print(json.dumps({
    "ids": [os.getuid(), os.getgid(), sorted(os.getgroups())],
    "pid": os.getpid(),
    "host": socket.gethostname(),
    "folder": os.getcwd(),
    "top": sorted(os.listdir("/")),
    "passwd": pathlib.Path("/etc/passwd").read_text(),
    "system": tried(lambda: pathlib.Path("/usr/x").touch()),
    "shared": tried(lambda: (home / "shared" / "x").touch()),
    "own": tried(lambda: (home / "x").touch()),
    "new": pathlib.Path("/usr/local/share/lab/notice").read_text(),
    "hosts": pathlib.Path("/etc/hostname").exists(),
    "privileges": [line for line in pathlib.Path("/proc/self/status").read_text().splitlines()
                   if line.startswith(("NoNewPrivs", "CapEff", "CapAmb"))],
}))
"""


def run(tmp_path: Path, plan: SandboxPlan, level: Isolation) -> dict[str, object]:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    unshare = () if level is Isolation.NONE else ("unshare", *flags(level))
    ended = subprocess.run(
        [*unshare, sys.executable, "-I", str(sandbox.__file__), str(file)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def plan_of(tmp_path: Path, level: Isolation) -> SandboxPlan:
    is_root = level is Isolation.ROOT
    for name in ("home", "shared", "root"):
        (tmp_path / name).mkdir()
    if is_root:
        os.chown(tmp_path / "home", 5001, 5002)
    (tmp_path / "passwd").write_text("ada:x:5001:5002::/home/ada:/bin/sh\n")
    (tmp_path / "notice").write_text("soon")
    return {
        "root": None if level is Isolation.NONE else str(tmp_path / "root"),
        "hostname": "jupyter-ada",
        "mounts": [
            {"source": str(tmp_path / "passwd"), "target": "/etc/passwd", "read_only": True},
            {"source": str(tmp_path / "home"), "target": "/home/ada", "read_only": False},
            {"source": str(tmp_path / "shared"), "target": "/home/ada/shared", "read_only": True},
            {"source": str(tmp_path / "notice"), "target": "/usr/local/share/lab/notice", "read_only": True},
        ],
        "visible": [sys.base_prefix],
        "uid": 5001 if is_root else None,
        "gid": 5002,
        "groups": [6001, 6002],
        "folder": "/home/ada",
        "variables": {"HOME": "/home/ada", "PATH": os.defpath},
        "command": [str(Path(sys.base_prefix) / "bin" / "python3"), "-c", LOOK],
    }


@pytest.mark.parametrize("level", [Isolation.ROOT, Isolation.OWN_USER])
def test_a_process_sees_its_volumes_and_nothing_of_the_machine_but_its_programs(
    tmp_path: Path, level: Isolation
) -> None:
    if not allows(level):
        pytest.skip(f"this machine does not allow namespaces of kind {level}")
    seen = run(tmp_path, plan_of(tmp_path, level), level)
    assert seen["pid"] == 1
    assert seen["host"] == "jupyter-ada"
    assert seen["folder"] == "/home/ada"
    assert seen["passwd"] == "ada:x:5001:5002::/home/ada:/bin/sh\n"
    assert seen["new"] == "soon"
    assert seen["hosts"] == Path("/etc/hostname").exists()
    assert (seen["system"], seen["shared"], seen["own"]) == ("Read-only file system",) * 2 + ("done",)
    assert not {"work", "srv", "mnt", "boot", "media"}.intersection(cast("list[str]", seen["top"]))
    assert (tmp_path / "home" / "x").exists()
    # What was made to mount things at is not on the machine itself.
    assert not Path("/usr/local/share/lab").exists()
    assert cast("list[str]", seen["privileges"])[1:] == [f"CapAmb:\t{'0' * 16}", "NoNewPrivs:\t1"]
    if level is Isolation.ROOT:
        assert seen["ids"] == [5001, 5002, [6001, 6002]]
        assert cast("list[str]", seen["privileges"])[0] == f"CapEff:\t{'0' * 16}"


def test_a_killed_starter_takes_everything_with_it(tmp_path: Path) -> None:
    level = isolation()
    if level is Isolation.NONE:
        pytest.skip("this machine allows no namespaces")
    plan = plan_of(tmp_path, level)
    loop = "import sys, time; print('up', flush=True)\nwhile True: time.sleep(0.01); print('.', flush=True)"
    plan["command"] = [plan["command"][0], "-c", loop]
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    with subprocess.Popen(
        [shutil.which("unshare") or "", *flags(level), sys.executable, "-I", str(sandbox.__file__), str(file)],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.kill()
        # The pipe ends when nobody holds it any more: also not the process inside, whose user is another.
        assert process.stdout.read().strip(b".\n") == b""


def test_a_pods_address_is_the_same_each_time_and_never_a_customary_one() -> None:
    found = {free_address(f"uid-{number}", None) for number in range(200)}
    assert len(found) > 195
    assert free_address("uid-1", None) == free_address("uid-1", None)
    assert not found & {"127.0.0.1", "127.0.0.53", "127.0.1.1"}
    assert all(address.startswith("127.") and int(address.split(".")[1]) >= 64 for address in found)
    assert ADDRESSES.num_addresses > 4_000_000


def test_without_namespaces_only_the_variables_are_the_pods(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, Isolation.NONE)
    plan["variables"]["HOME"] = plan["folder"] = str(tmp_path / "home")
    plan["uid"] = None
    plan["command"][2] = "import json, os; print(json.dumps([os.environ['HOME'], os.getcwd(), os.getuid()]))"
    assert run(tmp_path, plan, Isolation.NONE) == [str(tmp_path / "home"), str(tmp_path / "home"), os.getuid()]
