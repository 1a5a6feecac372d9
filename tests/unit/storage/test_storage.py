"""Storage: sections, checks, plan and resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.namespaces.component import LabNamespace, LabNamespaceArgs
from components.namespaces.plan import NamespacePlan
from components.pins import ChartPin, Pins
from components.storage.checks import check
from components.storage.claims import SharedVolumes, claim_shared
from components.storage.component import Storage, StorageArgs
from components.storage.config import NfsVersion, StorageConfig
from components.storage.errors import MissingServerError
from components.storage.plan import data_mount_options, storage_plan
from labctl.graph.errors import GraphError
from labctl.graph.program import Program
from labctl.graph.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value
    from components.storage.plan import SharedMount
    from labctl.graph.goal import Goal

NFS: dict[str, Value] = {
    "host": "store-1",
    "homes": {"path": "/tank/homes"},
    "scratch": {"path": "/tank/scratch", "onDelete": "delete"},
    "shared": [
        {"name": "datasets", "path": "/tank/datasets", "mountPath": "/srv/datasets", "size": "10Ti"},
        {"name": "cache", "path": "/tank/cache", "mountPath": "/srv/cache", "size": "1Ti", "writers": "everyone"},
    ],
}
USE: dict[str, Value] = {
    "homeClass": "homes-prod",
    "scratchClass": "scratch-prod",
    "shared": [{"name": "datasets", "claim": "shared-datasets", "mountPath": "/srv/datasets"}],
}
CHART = ChartPin(chart="csi-driver-nfs", version="4.13.4", repository="https://charts.example.org")
PINS = Pins.model_construct(charts={"csi-driver-nfs": CHART}, images={})


def nfs(**changes: Value) -> StorageConfig:
    section = {key: value for key, value in {**NFS, **changes}.items() if value is not None}
    return StorageConfig.model_validate({"nfs": section})


def test_the_lab_s_section_is_right() -> None:
    assert list(check(nfs(), ["store-1", "worker-1"], ["store-1"])) == []
    assert list(check(StorageConfig.model_validate({"use": USE}), [], [])) == []


@pytest.mark.parametrize("section", [{}, {"nfs": NFS, "use": USE}])
def test_storage_is_built_or_used(section: dict[str, Value]) -> None:
    with pytest.raises(ValidationError, match="write nfs to build it, or use to name classes"):
        StorageConfig.model_validate(section)


@pytest.mark.parametrize("path", ["tank", "/", "/tank/", "/tank//a", "/tank/../etc", "/tank/my homes", ""])
def test_paths_are_absolute_and_in_their_shortest_form(path: str) -> None:
    with pytest.raises(ValidationError, match="is not an absolute path"):
        nfs(homes={"path": path})


def shared(*paths: str, mounts: tuple[str, ...] = ("/srv/a", "/srv/b")) -> list[Value]:
    return [
        {"name": f"folder-{index}", "path": path, "mountPath": mount, "size": "1Ti"}
        for index, (path, mount) in enumerate(zip(paths, mounts, strict=True))
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"host": "stor-1"}, "nfs.host: there is no host stor-1 in nodes.hosts; did you mean store-1?"),
        ({"host": "worker-1"}, "nfs.host: host worker-1 has not the role storage; add storage to nodes.hosts.worker-1"),
        ({"homes": {"path": "/tank/homes", "onDelete": "delete"}}, "nfs.homes.onDelete: a person's files would go"),
        (
            {"shared": shared("/tank/homes/all", "/tank/x")},
            "nfs.shared[0].path: /tank/homes/all lies inside the folder /tank/homes of another volume",
        ),
        ({"scratch": {"path": "/tank"}, "shared": None}, "nfs.scratch.path: /tank holds the folder /tank/homes"),
        ({"shared": shared("/tank/x", "/tank/x")}, "nfs.shared[1].path: /tank/x is the folder /tank/x"),
        (
            {"shared": shared("/tank/x", "/tank/y", mounts=("/srv/a", "/srv/a"))},
            "nfs.shared[1].mountPath: two shared folders have mountPath /srv/a",
        ),
        (
            {"shared": shared("/tank/x", "/tank/y", mounts=("/srv/a", "/home/shared"))},
            "nfs.shared[1].mountPath: /home/shared would hide people's homes",
        ),
    ],
)
def test_what_is_wrong_and_where(changes: dict[str, Value], problem: str) -> None:
    found = [str(entry) for entry in check(nfs(**changes), ["store-1", "worker-1"], ["store-1"])]
    assert any(entry.startswith(problem) for entry in found), found


names = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(one=names, other=names)
def test_folders_are_right_exactly_if_neither_holds_the_other(one: str, other: str) -> None:
    section = nfs(homes={"path": one}, scratch={"path": other}, shared=None)
    nested = [entry for entry in check(section, ["store-1"], ["store-1"]) if entry.path[-1] == "path"]
    assert bool(nested) == (f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/"))


def test_what_is_written_blocks_and_what_is_read_gives_up() -> None:
    written = {option.text for option in data_mount_options(NfsVersion.V4_2, read_only=False)}
    read = {option.text for option in data_mount_options(NfsVersion.V4_2, read_only=True)}
    assert "hard" in written
    assert not {"soft", "softerr"} & written
    assert "softerr" in read
    assert "hard" not in read
    assert "nfsvers=4.2" in written & read
    assert all(len(option.reason) > 15 for option in data_mount_options(NfsVersion.V4_1, read_only=True))


def test_only_scratch_goes_with_its_claim() -> None:
    config = nfs()
    assert config.nfs is not None
    plan = storage_plan(config.nfs, "prod")
    assert {entry.name: (entry.reclaim_policy, str(entry.on_delete)) for entry in plan.classes} == {
        "homes-prod": ("Retain", "retain"),
        "scratch-prod": ("Delete", "delete"),
    }
    assert plan.homes.parameters()["subDir"] == "${pvc.metadata.namespace}/${pvc.metadata.name}"


def recorded(config: StorageConfig, *, protect: bool = False, server: str | None = "192.0.2.21") -> Mapping[str, Goal]:
    mounts: list[SharedMount] = []

    def entry() -> None:
        storage = Storage(
            "storage", StorageArgs(config=config, stack="prod", pins=PINS, server=server, protect=protect)
        )
        namespace = LabNamespace("hub", LabNamespaceArgs(plan=NamespacePlan(name="hub-prod", stack="prod")))
        mounts.extend(claim_shared("hub", storage.shared, namespace, parent=namespace))

    graph = record(Program(project="p", stack="prod", entry=entry))
    assert [(mount.name, mount.claim, mount.read_only) for mount in mounts] == (
        [("datasets", "shared-datasets", True), ("cache", "shared-cache", False)]
        if config.nfs is not None
        else [("datasets", "shared-datasets", True)]
    )
    return {goal.name: goal for goal in graph.goals if goal.custom}


def test_classes_name_the_server() -> None:
    homes = recorded(nfs())["storage-homes"].inputs
    assert homes["parameters"] == {
        "server": "192.0.2.21",
        "share": "/tank/homes",
        "subDir": "${pvc.metadata.namespace}/${pvc.metadata.name}",
        "onDelete": "retain",
    }
    assert (homes["provisioner"], homes["reclaimPolicy"]) == ("nfs.csi.k8s.io", "Retain")
    assert "hard" in cast("list[str]", homes["mountOptions"])


def test_a_shared_volume_and_its_claim_name_one_another() -> None:
    made = recorded(nfs())
    volume, claim = made["hub-datasets-pv"].inputs, made["hub-datasets-claim"].inputs
    spec = cast("Mapping[str, Mapping[str, object]]", volume["spec"])
    wanted = cast("Mapping[str, object]", claim["spec"])
    name = cast("Mapping[str, str]", volume["metadata"])["name"]
    assert name == wanted["volumeName"] == "hub-prod-shared-datasets"
    assert (spec["claimRef"]["namespace"], spec["claimRef"]["name"]) == ("hub-prod", "shared-datasets")
    assert spec["accessModes"] == wanted["accessModes"] == ["ReadOnlyMany"]
    assert spec["csi"]["readOnly"] is True
    assert spec["csi"]["volumeAttributes"] == {"server": "192.0.2.21", "share": "/tank/datasets"}
    assert spec["storageClassName"] == wanted["storageClassName"] == ""
    assert spec["persistentVolumeReclaimPolicy"] == cast("object", "Retain")
    cache = cast("Mapping[str, object]", made["hub-cache-pv"].inputs["spec"])
    assert cache["accessModes"] == ["ReadWriteMany"]


def test_volumes_wait_for_the_driver() -> None:
    volume = recorded(nfs())["hub-datasets-pv"]
    assert "storage-csi-driver-nfs" in {urn.rsplit("::", 1)[1] for urn in volume.dependencies}


@pytest.mark.parametrize("protect", [True, False])
def test_what_holds_data_is_protected_where_asked(protect: bool) -> None:  # noqa: FBT001 - a table's column
    kept = {name for name, goal in recorded(nfs(), protect=protect).items() if goal.protect}
    volumes = {f"hub-{name}-{kind}" for name in ("datasets", "cache") for kind in ("pv", "claim")}
    assert kept == (volumes if protect else set())


def test_used_storage_makes_nothing() -> None:
    made = recorded(StorageConfig.model_validate({"use": USE}), server=None)
    assert not [goal for goal in made.values() if goal.type.split(":")[-1] in {"StorageClass", "Release"}]
    assert not [name for name in made if name.endswith(("-pv", "-claim"))]


def test_storage_without_its_server_is_refused() -> None:
    with pytest.raises(GraphError, match="store-1") as caught:
        recorded(nfs(), server=None)
    assert isinstance(caught.value.__cause__, MissingServerError)


def test_no_shared_volumes_make_no_claims() -> None:
    assert SharedVolumes().plans == ()
