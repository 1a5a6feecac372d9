"""A pod as a process: its variables, user, command, files and mounts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from labctl.control_plane.pods.environment import Person, command_of, expanded, field_of, person_of, variables
from labctl.control_plane.pods.errors import MissingContentError, RootUserError, UnknownSourceError
from labctl.control_plane.pods.model import Pod
from labctl.control_plane.pods.mounts import Mount, VolumeFile, Volumes, mounts_of, volume_files, write_files

POD: dict[str, object] = {
    "metadata": {
        "name": "jupyter-ada",
        "namespace": "hub-dev",
        "uid": "u-1",
        "annotations": {"lab.internal/passwd": "ada:x:5001:5001::/home/ada:/bin/bash\n", "say": 'a "b"\\\n'},
        "labels": {"lab.internal/run": "local"},
    },
    "spec": {
        "nodeName": "gpu-1",
        "securityContext": {"runAsUser": 5001, "runAsGroup": 5001, "supplementalGroups": [6002, 6001], "fsGroup": 100},
        "containers": [
            {
                "name": "notebook",
                "args": ["jupyterhub-singleuser", "--name=$(JUPYTERHUB_USER)"],
                "env": [
                    {"name": "JUPYTERHUB_USER", "value": "ada"},
                    {"name": "JUPYTERHUB_SERVICE_URL", "value": "http://0.0.0.0:8888/user/ada/"},
                    {"name": "GREETING", "value": "hello $(JUPYTERHUB_USER), $$(JUPYTERHUB_USER), $(UNKNOWN)"},
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "one"}}},
                    {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "none", "key": "x", "optional": True}}},
                ],
                "envFrom": [{"prefix": "C_", "configMapRef": {"name": "settings"}}],
                "volumeMounts": [
                    {"name": "lab-identity", "mountPath": "/etc/passwd", "subPath": "passwd"},
                    {"name": "shared", "mountPath": "/home/ada/shared", "readOnly": True},
                    {"name": "home", "mountPath": "/home/ada", "subPathExpr": "users/$(JUPYTERHUB_USER)"},
                    {"name": "absent", "mountPath": "/absent"},
                ],
            }
        ],
        "volumes": [
            {
                "name": "lab-identity",
                "downwardAPI": {
                    "items": [
                        {"path": "passwd", "fieldRef": {"fieldPath": "metadata.annotations['lab.internal/passwd']"}}
                    ]
                },
            }
        ],
    },
    "status": {"podIP": "127.70.1.2"},
}


def content(kind: str, name: str) -> Mapping[str, bytes] | None:
    return {("Secret", "keys"): {"one": b"1"}, ("ConfigMap", "settings"): {"MODE": b"fast"}}.get((kind, name))


def pod(**spec: object) -> Pod:
    changed = json.loads(json.dumps(POD))
    changed["spec"] |= spec
    return Pod.model_validate(changed)


def test_variables_come_from_everywhere_and_the_server_listens_at_the_pods_address_alone() -> None:
    found = variables(pod(), pod().spec.containers[0], content)
    assert found == {
        "C_MODE": "fast",
        "JUPYTERHUB_USER": "ada",
        "JUPYTERHUB_SERVICE_URL": "http://127.70.1.2:8888/user/ada/",
        "GREETING": "hello ada, $(JUPYTERHUB_USER), $(UNKNOWN)",
        "NODE": "gpu-1",
        "KEY": "1",
    }
    command = command_of(pod().spec.containers[0], found, ("default",))
    assert command == ("jupyterhub-singleuser", "--name=ada")


def test_a_missing_key_is_named() -> None:
    wanted = pod(
        containers=[
            {"name": "a", "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "two"}}}]}
        ]
    )
    with pytest.raises(MissingContentError, match='Secret "keys" has no key "two"'):
        variables(wanted, wanted.spec.containers[0], content)


def test_an_image_without_command_gets_the_default() -> None:
    assert command_of(pod(containers=[{"name": "a"}]).spec.containers[0], {}, ("server",)) == ("server",)
    assert expanded("$(A)$(B)", {"A": "1"}) == "1$(B)"


@pytest.mark.parametrize(
    ("of_pod", "own", "expected"),
    [
        ({}, {}, Person(uid=1000, gid=100, groups=())),
        ({"runAsUser": 7, "supplementalGroups": [3, 2], "fsGroup": 5}, {}, Person(uid=7, gid=100, groups=(2, 3, 5))),
        ({"runAsUser": 7, "runAsGroup": 8}, {"runAsUser": 9}, Person(uid=9, gid=8, groups=())),
        ({"runAsUser": 7}, {"runAsGroup": 0}, Person(uid=7, gid=0, groups=())),
    ],
)
def test_whose_process_it_is(of_pod: object, own: object, expected: Person) -> None:
    wanted = pod(securityContext=of_pod, containers=[{"name": "a", "securityContext": own}])
    assert person_of(wanted, wanted.spec.containers[0]) == expected


def test_nothing_runs_as_root() -> None:
    wanted = pod(securityContext={"runAsUser": 0})
    with pytest.raises(RootUserError, match="notebook"):
        person_of(wanted, wanted.spec.containers[0])


def test_fields_are_as_the_downward_api_gives_them() -> None:
    assert field_of(pod(), "metadata.annotations['lab.internal/passwd']").startswith("ada:x:5001")
    assert field_of(pod(), "metadata.annotations['none']") == ""
    assert field_of(pod(), "metadata.labels") == 'lab.internal/run="local"\n'
    assert 'say="a \\"b\\"\\\\\\n"\n' in field_of(pod(), "metadata.annotations")
    with pytest.raises(UnknownSourceError, match=r"status\.qosClass"):
        field_of(pod(), "status.qosClass")


def test_files_follow_the_pod(tmp_path: Path) -> None:
    (volume,) = pod().spec.volumes
    files = volume_files(volume, pod(), content)
    assert files == (VolumeFile(path="passwd", content=b"ada:x:5001:5001::/home/ada:/bin/bash\n", mode=0o644),)
    assert files is not None
    assert write_files(tmp_path, files, None)
    assert not write_files(tmp_path, files, None)
    before = (tmp_path / "passwd").stat().st_ino
    assert write_files(tmp_path, (VolumeFile(path="passwd", content=b"new", mode=0o600),), None)
    assert (tmp_path / "passwd").read_bytes() == b"new"
    # Another file: what is mounted by itself keeps its content, as in a container.
    assert (tmp_path / "passwd").stat().st_ino != before
    assert [each.name for each in tmp_path.iterdir()] == ["passwd"]


def test_projected_volumes_gather_their_sources() -> None:
    wanted = pod(
        volumes=[
            {
                "name": "all",
                "projected": {
                    "defaultMode": 0o400,
                    "sources": [
                        {"secret": {"name": "keys", "items": [{"key": "one", "path": "deep/one"}]}},
                        {"configMap": {"name": "settings"}},
                        {"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                        {"configMap": {"name": "gone", "optional": True}},
                    ],
                },
            }
        ]
    )
    files = volume_files(wanted.spec.volumes[0], wanted, content)
    assert files is not None
    assert {file.path: (file.content, file.mode) for file in files} == {
        "deep/one": (b"1", 0o400),
        "MODE": (b"fast", 0o400),
        "n": (b"jupyter-ada", 0o400),
    }


def test_mounts_stand_above_what_lies_below_them() -> None:
    folders = {name: Path("/volumes") / name for name in ("home", "shared", "lab-identity")}
    volumes = Volumes(folders=folders, read_only=frozenset({"lab-identity"}))
    container = pod().spec.containers[0]
    assert mounts_of(container, volumes, variables(pod(), container, content)) == (
        Mount(source="/volumes/lab-identity/passwd", target="/etc/passwd", read_only=True),
        Mount(source="/volumes/home/users/ada", target="/home/ada", read_only=False),
        Mount(source="/volumes/shared", target="/home/ada/shared", read_only=True),
    )
