"""How folders are mounted, and what the driver is told to do with a claim's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from pulumi_kubernetes.core.v1 import ConfigMap

from components.namespaces.component import LabNamespace, LabNamespaceArgs
from components.namespaces.plan import NamespacePlan
from components.pins import ChartPin, Pins
from components.storage.claims import claim_shared
from components.storage.component import Storage, StorageArgs
from components.storage.config import NfsVersion, StorageConfig
from components.storage.exports_checks import check
from components.storage.mount_options import data_mount_options, request_mount_options
from components.storage.plan import storage_plan
from labctl.graph.program import Program
from labctl.graph.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value
    from components.storage.config import NfsStorage
    from labctl.graph.goal import Goal

NFS: dict[str, Value] = {
    "host": "store-1",
    "homes": {"path": "/tank/homes"},
    "scratch": {"path": "/tank/scratch", "onDelete": "delete"},
    "shared": [
        {"name": "datasets", "path": "/tank/datasets", "mountPath": "/srv/datasets", "size": "10Ti"},
        {
            "name": "climate",
            "source": {"server": "files.example.org", "path": "/export/climate"},
            "mountPath": "/srv/climate",
            "size": "80Ti",
        },
    ],
    "groups": {"bio": {"gid": 5001}},
    "groupFolders": {"path": "/tank/groups", "mountPath": "/srv/groups"},
}
DOCS = Path(__file__).parents[3] / "docs"
CHART = ChartPin(chart="csi-driver-nfs", version="4.13.4", repository="https://charts.example.org")
PINS = Pins.model_construct(charts={"csi-driver-nfs": CHART}, images={})


def section(**changes: Value) -> StorageConfig:
    return StorageConfig.model_validate({"nfs": {**NFS, **changes}})


def nfs(**changes: Value) -> NfsStorage:
    found = section(**changes).nfs
    assert found is not None
    return found


# --- mount options


def texts(version: NfsVersion = NfsVersion.V4_2, *, read_only: bool) -> set[str]:
    return {option.text for option in data_mount_options(version, read_only=read_only)}


@pytest.mark.parametrize("version", list(NfsVersion))
def test_nothing_on_the_server_gives_rights_on_a_node(version: NfsVersion) -> None:
    mounts = (texts(version, read_only=True), texts(version, read_only=False))
    requests = {option.text for option in request_mount_options(version)}
    for options in (*mounts, requests):
        assert {"nosuid", "nodev", f"nfsvers={version}"} <= options


def test_writers_wait_and_readers_do_not() -> None:
    written, read = texts(read_only=False), texts(read_only=True)
    assert ("hard" in written, "softerr" in written) == (True, False)
    assert ("hard" in read, "softerr" in read) == (False, True)
    requests = {option.text for option in request_mount_options(NfsVersion.V4_2)}
    assert {"softerr", "lookupcache=positive"} <= requests


def test_a_reader_gives_up_after_the_time_that_is_told() -> None:
    """Of TCP, the kernel adds ``timeo`` once per repetition (nfs(5)): 30 + 30 + 30 seconds."""
    options = dict(option.split("=") for option in texts(read_only=True) if "=" in option)
    assert int(options["timeo"]) / 10 * (1 + int(options["retrans"])) == 90


def test_every_option_has_its_reason_and_no_two_contradict() -> None:
    for options in (
        data_mount_options(NfsVersion.V4_2, read_only=True),
        data_mount_options(NfsVersion.V4_2, read_only=False),
        request_mount_options(NfsVersion.V4_1),
    ):
        assert all(len(option.reason) > 15 for option in options)
        names = [option.text.split("=")[0] for option in options]
        assert len(set(names)) == len(names)


def test_the_page_tells_every_option_and_its_reason() -> None:
    pages = [path.read_text(encoding="utf-8") for path in DOCS.glob("storage*.md")]
    page = next(text for text in pages if "### Mount options" in text)
    rows = {
        (cells[1].strip().strip("`"), cells[3].strip())
        for line in page.splitlines()
        if len(cells := line.split("|")) == 5 and cells[1].strip().startswith("`")
    }
    for options in (
        data_mount_options(NfsVersion.V4_2, read_only=True),
        data_mount_options(NfsVersion.V4_2, read_only=False),
        request_mount_options(NfsVersion.V4_2),
    ):
        assert {(option.text, option.reason) for option in options} <= rows


# --- what the driver does with folders


@pytest.mark.parametrize(
    ("on_delete", "does", "reclaims"),
    [("delete", "archive", "Delete"), ("archive", "archive", "Retain"), ("retain", "retain", "Retain")],
)
def test_on_our_own_server_the_driver_deletes_nothing(on_delete: str, does: str, reclaims: str) -> None:
    scratch = storage_plan(nfs(scratch={"path": "/tank/scratch", "onDelete": on_delete}), "prod", is_ours=True).scratch
    assert scratch is not None
    assert (str(scratch.on_delete), scratch.reclaim_policy) == (does, reclaims)
    assert scratch.parameters()["mountPermissions"] == "2770"


def test_on_somebody_else_s_server_it_does_as_it_is_told() -> None:
    scratch = storage_plan(nfs(), "prod").scratch
    assert scratch is not None
    assert scratch.parameters() == {
        "share": "/tank/scratch",
        "subDir": "${pvc.metadata.namespace}/${pvc.metadata.name}",
        "onDelete": "delete",
    }


@pytest.mark.parametrize("is_ours", [True, False])
def test_homes_are_as_their_makers_left_them(is_ours: bool) -> None:  # noqa: FBT001 - a table's column
    plan = storage_plan(nfs(), "prod", is_ours=is_ours)
    assert "mountPermissions" not in plan.homes.parameters()
    driver = cast("Mapping[str, Value]", plan.values["driver"])
    assert driver["mountPermissions"] == 0


@pytest.mark.parametrize(("nodes", "replicas"), [(0, 1), (1, 1), (2, 2), (1000, 2)])
def test_two_controllers_on_nodes_of_their_own(nodes: int, replicas: int) -> None:
    controller = cast("Mapping[str, Value]", storage_plan(nfs(), "prod", nodes=nodes).values["controller"])
    assert controller["replicas"] == replicas
    assert controller["enableSnapshotter"] is False
    affinity = cast("Mapping[str, Mapping[str, object]]", controller["affinity"])
    # The chart takes none that does not say so.
    assert "nodeSelectorTerms" in str(affinity)
    assert list(affinity["podAntiAffinity"]) == ["requiredDuringSchedulingIgnoredDuringExecution"]


# --- volumes


def recorded(config: StorageConfig) -> tuple[Mapping[str, Goal], list[str]]:
    mounts: list[str] = []

    def entry() -> None:
        storage = Storage("storage", StorageArgs(config=config, stack="prod", pins=PINS, server="192.0.2.21"))
        namespace = LabNamespace("hub", LabNamespaceArgs(plan=NamespacePlan(name="hub-prod", stack="prod")))
        mounts.extend(mount.mount_path for mount in claim_shared("hub", storage.shared, namespace, parent=namespace))

    graph = record(Program(project="p", stack="prod", entry=entry))
    return {goal.name: goal for goal in graph.goals if goal.custom}, mounts


def volume(goals: Mapping[str, Goal], name: str) -> Mapping[str, object]:
    return cast("Mapping[str, object]", goals[f"hub-{name}-pv"].inputs["spec"])


def test_shared_data_appears_at_the_same_path_wherever_it_is_kept() -> None:
    goals, mounts = recorded(section())
    assert mounts == ["/srv/datasets", "/srv/climate", "/srv/groups"]
    kept = {
        name: cast("Mapping[str, Mapping[str, str]]", volume(goals, name)["csi"])["volumeAttributes"]
        for name in ("datasets", "climate", "groups")
    }
    assert kept == {
        "datasets": {"server": "192.0.2.21", "share": "/tank/datasets"},
        "climate": {"server": "files.example.org", "share": "/export/climate"},
        "groups": {"server": "192.0.2.21", "share": "/tank/groups"},
    }


def test_nothing_is_of_use_before_the_exports_are_there() -> None:
    def entry() -> None:
        exports = ConfigMap("exports", metadata={"name": "exports", "namespace": "default"})
        args = StorageArgs(config=section(), stack="prod", pins=PINS, server="192.0.2.21", after=(exports,))
        storage = Storage("storage", args)
        namespace = LabNamespace("hub", LabNamespaceArgs(plan=NamespacePlan(name="hub-prod", stack="prod")))
        claim_shared("hub", storage.shared, namespace, parent=namespace)

    graph = record(Program(project="p", stack="prod", entry=entry))
    waiting = {goal.name for goal in graph.goals if any(urn.endswith("::exports") for urn in goal.dependencies)}
    assert {"storage-homes", "storage-scratch", "hub-datasets-pv", "hub-groups-pv"} <= waiting


def test_somebody_else_s_export_is_read_and_no_more() -> None:
    spec = volume(recorded(section())[0], "climate")
    assert spec["accessModes"] == ["ReadOnlyMany"]
    assert cast("Mapping[str, object]", spec["csi"])["readOnly"] is True
    assert {"nfsvers=4.1", "softerr"} <= set(cast("list[str]", spec["mountOptions"]))


def test_groups_write_where_their_folders_are() -> None:
    spec = volume(recorded(section())[0], "groups")
    assert spec["accessModes"] == ["ReadWriteMany"]
    assert {"nfsvers=4.2", "hard"} <= set(cast("list[str]", spec["mountOptions"]))


def test_no_groups_folders_make_no_volume() -> None:
    assert recorded(section(groupFolders=None))[1] == ["/srv/datasets", "/srv/climate"]


def test_groups_folders_have_a_name_and_a_place_of_their_own() -> None:
    shared: list[Value] = [{"name": "groups", "path": "/tank/x", "mountPath": "/srv/groups", "size": "1Ti"}]
    found = [str(problem).split(":")[0] for problem in check(nfs(shared=shared))]
    assert found == ["nfs.shared[0].name", "nfs.groupFolders.mountPath"]
