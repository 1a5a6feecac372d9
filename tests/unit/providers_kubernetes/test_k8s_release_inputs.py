from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from kubernetes_samples import resource

from labctl.engine.providers.base import Context
from labctl.engine.providers.kubernetes.exceptions import KubernetesError, MissingNameError
from labctl.engine.providers.kubernetes.releases.exceptions import (
    FloatingVersionError,
    UnknownChartSourceError,
    UnreadableChartError,
    UnsupportedReleaseInputError,
)
from labctl.engine.providers.kubernetes.releases.inputs import checked_release
from labctl.engine.providers.kubernetes.releases.lifecycle import upgrade_arguments
from labctl.engine.providers.kubernetes.releases.outputs import resource_names
from labctl.graph.values import UNKNOWN, Inputs, Secret, Value

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "kubernetes:helm.sh/v3:Release"
OFF = (
    "allowNullValues", "atomic", "cleanupOnFail", "createNamespace", "dependencyUpdate", "devel", "disableCRDHooks",
    "disableOpenapiValidation", "disableWebhooks", "forceUpdate", "lint", "recreatePods", "renderSubchartNotes",
    "replace", "resetValues", "reuseValues", "skipAwait", "skipCrds", "verify", "waitForJobs",
)  # fmt: skip


def check(project: Path, **inputs: Value) -> Inputs:
    plain: Inputs = {"name": "web", "chart": "web", "version": "1.0.0", "compat": "true", **inputs}
    given: Inputs = {key: value for key, value in plain.items() if value is not None}
    return checked_release(resource(TOKEN, "web", given), "lab", project)


def remote(project: Path, **inputs: Value) -> Inputs:
    return check(project, repositoryOpts={"repo": "https://charts.example/stable"}, **inputs)


def test_every_default_is_stored_as_the_official_provider_stores_it(tmp_path: Path) -> None:
    stored = remote(tmp_path)

    assert stored == {
        **dict.fromkeys(OFF, False),
        "chart": "web",
        "description": "",
        "keyring": "",
        "name": "web",
        "namespace": "lab",
        "postrender": "",
        "repositoryOpts": {
            "caFile": "",
            "certFile": "",
            "keyFile": "",
            "password": "",
            "repo": "https://charts.example/stable",
            "username": "",
        },
        "timeout": 300,
        "values": {},
        "version": "1.0.0",
    }


def test_nothing_is_waited_for_means_no_timeout(tmp_path: Path) -> None:
    assert remote(tmp_path, skipAwait=True)["timeout"] == 0
    assert remote(tmp_path, skipAwait=True, timeout=7)["timeout"] == 7


def test_a_local_chart_tells_its_version(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "Chart.yaml").write_text("name: web\nversion: 3.2.1\n", encoding="utf-8")
    with tarfile.open(tmp_path / "web.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("web/Chart.yaml")
        data = b"name: web\nversion: 4.0.0\n"
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))

    assert check(tmp_path, chart="./web", version=None)["version"] == "3.2.1"
    assert check(tmp_path, chart="web.tgz", version=None)["version"] == "4.0.0"


def test_unknowns_pass_and_secrets_stay(tmp_path: Path) -> None:
    stored = remote(tmp_path, values={"a": UNKNOWN, "b": Secret("x"), "c": [Secret("y")]}, version=UNKNOWN)

    assert stored["version"] is UNKNOWN
    assert stored["values"] == {"a": UNKNOWN, "b": Secret("x"), "c": Secret(["y"])}


def test_a_secret_password_stays_one(tmp_path: Path) -> None:
    login: Inputs = {"repo": "https://charts.example", "username": "u", "password": Secret("hush")}

    options = check(tmp_path, repositoryOpts=login)["repositoryOpts"]

    assert isinstance(options, dict)
    assert options["password"] == Secret("hush")
    assert options["caFile"] == ""


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        ({"name": None}, MissingNameError, 'write name = "web"'),
        ({"version": None}, FloatingVersionError, "has no version"),
        ({"version": "^1.0"}, FloatingVersionError, r"'\^1\.0' is a range"),
        ({"version": "1.x"}, FloatingVersionError, "range"),
        ({"devel": True}, UnsupportedReleaseInputError, "devel"),
        ({"postrender": "sh"}, UnsupportedReleaseInputError, "postrender"),
        ({"valueYamlFiles": ["a"]}, UnsupportedReleaseInputError, "valueYamlFiles"),
        ({"takeOwnership": True}, UnsupportedReleaseInputError, "takeOwnership"),
        ({"somethingNew": 1}, UnsupportedReleaseInputError, "somethingNew"),
    ],
)
def test_refused_by_name(tmp_path: Path, inputs: Inputs, error: type[KubernetesError], words: str) -> None:
    with pytest.raises(error, match=words):
        remote(tmp_path, **inputs)


def test_a_repository_that_only_one_person_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownChartSourceError, match="repository_opts"):
        check(tmp_path, chart="stable/web", version=None)


def test_a_folder_that_is_no_chart_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()

    with pytest.raises(UnreadableChartError, match=r"no Chart\.yaml"):
        check(tmp_path, chart="./web")


@pytest.mark.parametrize("version", ["1.0.0", "v1.2.3", "1.2.3-rc.1", "1.2.3+build"])
def test_exact_versions(tmp_path: Path, version: str) -> None:
    assert remote(tmp_path, version=version)["version"] == version


def test_inputs_are_helms_arguments_and_values_are_not_among_them(tmp_path: Path) -> None:
    stored = remote(
        tmp_path,
        values={"token": "hush-canary"},
        atomic=True,
        createNamespace=True,
        skipCrds=True,
        waitForJobs=True,
        maxHistory=3,
        timeout=42,
    )

    arguments = upgrade_arguments(stored, tmp_path / "web.tgz", Context())

    joined = " ".join(arguments)
    assert joined.startswith(f"upgrade web {tmp_path}/web.tgz --install --namespace lab --values - --output json")
    assert {"--atomic", "--create-namespace", "--skip-crds", "--wait", "--wait-for-jobs", "--reset-values"} <= set(
        arguments
    )
    assert "--timeout 42s" in joined
    assert "--history-max 3" in joined
    assert "hush-canary" not in joined


@pytest.mark.parametrize(
    ("inputs", "timeout", "there", "absent"),
    [
        ({"skipAwait": True}, None, "--timeout 300s", "--wait"),
        ({"timeout": 10}, 99.0, "--timeout 99s", "--atomic"),
        ({"reuseValues": True}, None, "--reuse-values", "--reset-values"),
        ({"disableWebhooks": True}, None, "--no-hooks", "--force"),
        ({"forceUpdate": True}, None, "--force", "--no-hooks"),
    ],
)
def test_single_flags(tmp_path: Path, inputs: Inputs, timeout: float | None, there: str, absent: str) -> None:
    arguments = upgrade_arguments(remote(tmp_path, **inputs), tmp_path, Context(timeout_seconds=timeout))

    assert there in " ".join(arguments)
    assert absent not in arguments


def test_the_objects_of_a_manifest_by_kind() -> None:
    manifest = """---
# Source: web/templates/a.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: b
data:
  text: |
    kind: NotThis
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: lab}
---
apiVersion: apps/v1
kind: Deployment
metadata:
    labels: {x: y}
    name: web
spec:
    template: {metadata: {name: inner}}
---
# nothing here
---
kind: Broken
metadata: [
"""

    assert resource_names(manifest) == {
        "ConfigMap/v1": ["b", "lab/a"],
        "Deployment.apps/apps/v1": ["web"],
    }
