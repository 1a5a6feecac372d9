"""How two real stacks differ: in nothing where only names and machines do, and in exactly what was changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.cli import run
from labctl.comparison.whole import Differences, between_environments
from labctl.exit_codes import ExitCode
from labctl.lab import open_lab

LUND = "Pulumi.test-lund.yaml"


def compared(project: Path, *, raw: bool = False) -> Differences:
    return between_environments(open_lab("test", project), open_lab("test-lund", project), raw=raw)


def change(project: Path, old: str, new: str) -> None:
    """Change the twin in one place."""
    path = project / LUND
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


def test_other_names_and_machines_are_no_difference(project: Path) -> None:
    found = compared(project)
    assert found.configuration == ()
    assert found.resources.changed == {}
    assert (found.resources.only_one, found.resources.only_other) == ((), ())
    assert [(item.kind, item.one, item.other) for item in found.machines] == [("worker, 64 CPUs, 512Gi", 1, 3)]
    assert {"stack", "cluster", "domain", "host", "address", "disk"} <= set(found.left_out)
    everything = compared(project, raw=True)
    assert len(everything.resources.changed) > 50
    assert len(everything.resources.only_other) > 10
    assert everything.left_out == ()


@pytest.mark.parametrize(
    ("old", "new", "paths", "resources"),
    [
        ("culling: {idle: 2h", "culling: {idle: 3h", ["hub.culling.idle"], ["hub-jupyterhub"]),
        (
            "datasets, mountPath: /srv/datasets, size: 2Ti",
            "datasets, mountPath: /srv/datasets, size: 3Ti",
            ["storage.nfs.shared[name=datasets].size"],
            ["bootstrap-<storage>-datasets", "hub-datasets-claim", "hub-datasets-pv"],
        ),
        (
            "taints: [{key: nvidia.com/gpu, effect: PreferNoSchedule}]",
            "taints: [{key: nvidia.com/gpu, effect: NoSchedule}]",
            ['nodes.hosts["gpu worker"].taints[key=nvidia.com/gpu].effect'],
            None,
        ),
    ],
)
def test_one_change_is_one_difference(
    project: Path, old: str, new: str, paths: list[str], resources: list[str] | None
) -> None:
    change(project, old, new)
    found = compared(project)
    assert [item.path for item in found.configuration] == paths
    assert (found.resources.only_one, found.resources.only_other) == ((), ())
    names = sorted(urn.rpartition("::")[2] for urn in found.resources.changed)
    assert names
    assert resources is None or names == resources


def test_a_default_written_out_is_no_difference(project: Path) -> None:
    change(project, "gateway: {kind: envoy,", "gateway: {kind: envoy, websocketIdle: 8h,")
    assert compared(project).configuration == ()


def test_on_the_command_line(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change(project, "culling: {idle: 2h", "culling: {idle: 3h")
    assert run(["diff", "test", "test-lund"]) == ExitCode.OK
    out = capfd.readouterr().out
    assert "  ~ hub.culling.idle: 2h → 3h\n" in out
    assert "        ~ values.cull.timeout: 7200 → 10800\n" in out
    assert "0 pins and 1 values differ; resources: 0 only in test, 0 only in test-lund, 1 different" in out
    assert "names of hosts" in out
    assert len(out.splitlines()) < 20
    assert run(["diff", "test", "test-lund", "--json", "--exit-code"]) == ExitCode.CHANGES
    shape = json.loads(capfd.readouterr().out)
    assert shape["configuration"] == [{"path": "hub.culling.idle", "change": "update", "one": "2h", "other": "3h"}]
    assert [len(items) for items in shape["changed"].values()] == [1]
    assert run(["diff", "test", "test", "--exit-code"]) == ExitCode.OK
    assert "differ in nothing" in capfd.readouterr().out


def test_what_follows_from_a_version_is_said_once(project: Path) -> None:
    found = between_environments(open_lab("next", project), open_lab("test", project))
    assert "charts/gpu-operator" in {item.pin for item in found.versions}
    release = next(items for urn, items in found.resources.changed.items() if urn.endswith("::gpu-operator"))
    assert [(item.path, item.by_version) for item in release] == [("version", True)]


@pytest.mark.parametrize(
    "arguments",
    [["diff", "test"], ["diff", "test", "prod", "--base", "HEAD"], ["diff", "test", "prod", "--head", "HEAD"]],
)
def test_what_is_not_understood(project: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == ExitCode.USAGE
    assert "--base" in capfd.readouterr().err
