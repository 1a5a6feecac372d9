"""A lab from its first start to its end: several at once, stopped, brought back, emptied, forgotten."""

from __future__ import annotations

import signal
import sys
import tarfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from lab_copy import PATIENCE_SECONDS, LabCopy, await_lines, ended
from lab_facts import Key, inventory, objects_of_ours, own, state_of

from labctl.control_plane import obtain_tool
from labctl.control_plane.cache import cache_directory
from labctl.control_plane.pins import CONTROL_PLANE_TOOLS
from stacks.environments import EnvironmentName
from stacks.pins import load_pins


def names(lab: LabCopy) -> set[Key]:
    return set(objects_of_ours(lab.api))


def processes(lab: LabCopy) -> list[int]:
    """Return the processes of the machine that name this lab's control plane."""
    place = f"{lab.root / '.lab' / lab.stack / 'control-plane'}/"

    def of_ours() -> Iterator[int]:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if place in command and state != "Z":
                yield int(entry.name)

    return list(of_ours())


def test_killed_at_its_first_start_it_starts_the_second_time(project_copy: LabCopy) -> None:
    lab = project_copy
    for moment in ("pki", "etcd", "run"):
        process = lab.start("up", "--yes")
        place = lab.root / ".lab" / lab.stack / "control-plane" / moment
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not place.exists():
            assert process.poll() is None, ended(process).text
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.kill()
        assert ended(process).code == -signal.SIGKILL
        lab.well("down", "--wipe") if moment == "etcd" else None
    up = lab.well("up", "--yes")
    assert "Done: + " in up.out
    assert len(processes(lab)) == len(CONTROL_PLANE_TOOLS), "none was started twice"
    lab.well("preview", "--refresh", "--expect-no-changes")


def test_two_labs_run_side_by_side(project_copy: LabCopy) -> None:
    one, other = project_copy, project_copy.sibling("dev-two")
    before, state = names(one), one.state.read_bytes()
    runs = [other.start("up", "--yes"), one.start("up", "--yes")]
    for run in runs:
        result = ended(run)
        assert result.code == 0, result.text
    assert one.plane.status().server != other.plane.status().server
    assert names(one) == before
    assert {key.name for key in names(other)} != {key.name for key in before}
    assert len(names(other)) == len(before)
    assert one.state.read_bytes() == state
    other.well("destroy", "--yes")
    assert names(other) == set()
    assert names(one) == before
    other.well("down", "--wipe")
    assert len(processes(one)) == len(CONTROL_PLANE_TOOLS)
    one.well("preview", "--refresh", "--expect-no-changes")


def test_down_stops_it_and_up_brings_all_of_it_back(project_copy: LabCopy) -> None:
    lab = project_copy
    objects, state = objects_of_ours(lab.api), lab.state.read_bytes()
    assert objects
    down = lab.well("down")
    for tool in CONTROL_PLANE_TOOLS:
        assert tool in down.out
    assert processes(lab) == []
    assert "nothing" in lab.well("down").out
    lab.well("preview", "--expect-no-changes")
    up = lab.well("up", "--yes")
    assert "Nothing to do" in up.out
    assert objects_of_ours(lab.api) == objects
    assert lab.state.read_bytes() == state


def test_destroy_leaves_nothing_of_the_program(project_copy: LabCopy) -> None:
    lab = project_copy
    kinds = {key.kind for key in names(lab)}
    assert {"Namespace", "CustomResourceDefinition", "PersistentVolume", "Gateway", "NetworkPolicy"} <= kinds
    assert lab.run("destroy").code == 1, "nobody said yes"
    destroyed = lab.well("destroy", "--yes")
    assert "Done: - " in destroyed.out
    left = inventory(lab.api)
    assert [key for key, item in left.items() if own(item)] == []
    assert [key for key in left if key.kind in ("CustomResourceDefinition", "PersistentVolume", "StorageClass")] == []
    spaces = {key.name for key in left if key.kind == "Namespace"}
    assert spaces == {"default", "kube-system", "kube-public", "kube-node-lease"}
    assert not lab.deployment().get("resources")
    assert "Nothing to do" in lab.well("destroy", "--yes").out
    assert len([key for key in left if key.kind == "Node"]) == 5, "the machines are the lab's, not the program's"


# -- releases: recorded while nothing can install them, installed as soon as something can ----------------------------


def write_charts(folder: Path) -> int:
    """Write a small chart under the name and version of each pinned one, as a mirror has them; return how many."""
    pins = load_pins(EnvironmentName.DEV).charts
    template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-was-installed'}\n"
    for pin in pins.values():
        name = pin.chart
        files = {
            "Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: {pin.version.removeprefix('v')}\n",
            "templates/installed.yaml": template,
        }
        with tarfile.open(folder / f"{name}-{pin.version}.tgz", "w:gz") as archive:
            for path, text in files.items():
                member = tarfile.TarInfo(f"{name}/{path}")
                member.size = len(text)
                archive.addfile(member, BytesIO(text.encode()))
    return len(pins)


def without_helm(lab: LabCopy, folder: Path) -> LabCopy:
    """Return the lab on a machine whose cache has every program but helm, and no way to get that."""
    tools = folder / "research-compute" / "tools"
    tools.mkdir(parents=True)
    for entry in (cache_directory() / "tools").iterdir():
        if not entry.name.startswith("helm"):
            (tools / entry.name).symlink_to(entry)
    variables = {
        "XDG_CACHE_HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "GOPROXY": "off",
        "UV_OFFLINE": "1",
    }
    return LabCopy(lab.root, lab.stack, {**lab.environment, **variables})


def installed(lab: LabCopy) -> set[str]:
    """Return the releases whose chart was really installed."""
    names = [key.name for key in inventory(lab.api) if key.kind == "ConfigMap"]
    return {name.removesuffix("-was-installed") for name in names if name.endswith("-was-installed")}


def test_a_release_is_recorded_without_helm_and_installed_with_it(project_copy: LabCopy, tmp_path: Path) -> None:
    obtain_tool("helm", print)
    lab = project_copy
    before = lab.file.read_text(encoding="utf-8")
    charts = write_charts(tmp_path)
    lab.edit("    network:\n      hosts:", f"    charts: {{mirror: 'file://{tmp_path}'}}\n    network:\n      hosts:")
    poor = without_helm(lab, tmp_path / "cache")
    recorded = poor.well("up", "--yes")
    assert recorded.out.count("│ recorded") == charts
    assert "helm" in recorded.err
    assert installed(lab) == set()
    again = poor.well("up", "--yes")
    assert again.out.count("│ recorded") == charts, "it is tried again and said again"
    assert len(changing(lab)) == charts
    up = lab.well("up", "--yes")
    assert "│ recorded" not in up.out
    assert up.out.count("│ deployed") == charts
    assert len(installed(lab)) == charts
    assert "Nothing to do" in lab.well("up", "--yes").out
    lab.well("preview", "--refresh", "--expect-no-changes")
    exported = lab.well("export").json["deployment"]["resources"]
    assert len([item for item in exported if item["type"].endswith(":Release")]) == charts
    lab.well("destroy", "--yes")
    assert installed(lab) == set()
    lab.file.write_text(before, encoding="utf-8")


def changing(lab: LabCopy) -> list[str]:
    steps = lab.well("preview", "--json").json["steps"]
    return [step["urn"] for step in steps if step["op"] != "same"]


def test_wipe_forgets_it_all(project_copy: LabCopy) -> None:
    lab = project_copy
    lab.well("up", "--yes")
    server = lab.plane.status().server
    assert server
    wiped = lab.well("down", "--wipe")
    assert "forgotten" in wiped.out
    assert processes(lab) == []
    left = [path for path in (lab.root / ".lab" / lab.stack).rglob("*") if path.is_file()]
    assert [path.name for path in left if path.suffix != ".lock"] == []
    assert not lab.state.exists()
    assert [
        path for path in (lab.root / ".lab" / "state").rglob("*") if lab.stack in path.name and path.is_file()
    ] == []
    assert "to create" in lab.well("preview").out
    lab.well("down", "--wipe")
    up = lab.well("up", "--yes")
    assert "Done: + " in up.out
    assert state_of(lab)


def test_a_running_lab_is_not_wiped_under_a_run(project_copy: LabCopy) -> None:
    lab = project_copy
    lab.well("destroy", "--yes")
    run = lab.start("up", "--yes")
    await_lines(lab, 5, run)
    run.send_signal(signal.SIGSTOP)
    for arguments in (["down", "--wipe"], ["down"]):
        refused = lab.run(*arguments)
        assert refused.code == 5, refused.text
        assert f"(pid {run.pid})" in refused.err
    run.send_signal(signal.SIGCONT)
    assert ended(run).code == 0
    lab.well("preview", "--refresh", "--expect-no-changes")
