from __future__ import annotations

import pytest
from kubernetes_samples import checked, manifest

from labctl.engine.providers.base import Replacement
from labctl.engine.providers.kubernetes.immutable import Mutability, object_diff
from labctl.graph.differences import Change
from labctl.graph.values import UNKNOWN, Inputs, Secret, Value

STRICT = Mutability()
MUTABLE = Mutability(config_maps=True, secrets=True)


def selector(app: str) -> Inputs:
    return {"selector": {"matchLabels": {"app": app}}, "template": {"metadata": {"labels": {"app": app}}}}


def test_an_ordinary_change_is_in_place() -> None:
    diff = object_diff(
        checked("ConfigMap", data={"a": "1"}), checked("ConfigMap", data={"a": "2"}), MUTABLE, patch=False
    )

    assert dict(diff.changes) == {"data.a": Change.UPDATE}
    assert not diff.replace_paths


def test_nothing_changed() -> None:
    same = checked("ConfigMap", data={"a": "1"})

    assert not object_diff(same, same, STRICT, patch=False).changes


@pytest.mark.parametrize(
    ("kind", "field"),
    [("ConfigMap", "data"), ("ConfigMap", "binaryData"), ("Secret", "data")],
)
def test_contents_replace_unless_the_provider_says_mutable(kind: str, field: str) -> None:
    contents: list[Inputs] = [{"a": "MQ==", "b": "Mg=="}, {"a": "MQ==", "c": "Mw=="}]
    old, new = ({**manifest(kind), field: content} for content in contents)

    strict, mutable = (object_diff(old, new, option, patch=False) for option in (STRICT, MUTABLE))

    assert dict(strict.changes) == {f"{field}.b": Change.DELETE, f"{field}.c": Change.ADD}
    assert strict.replace_paths == {f"{field}.b", f"{field}.c"}
    assert strict.order is Replacement.DELETE_FIRST
    assert strict.changes == mutable.changes
    assert not mutable.replace_paths


def test_setting_immutable_is_in_place_and_undoing_it_replaces() -> None:
    free, fixed = checked("ConfigMap", data={"a": "1"}), checked("ConfigMap", data={"a": "1"}, immutable=True)

    assert dict(object_diff(free, fixed, STRICT, patch=False).changes) == {"immutable": Change.ADD}
    assert not object_diff(free, fixed, STRICT, patch=False).replace_paths
    assert object_diff(fixed, free, MUTABLE, patch=False).replace_paths == {"immutable"}


def test_contents_of_an_immutable_object_replace_whatever_the_provider_says() -> None:
    old, new = (checked("ConfigMap", data={"a": text}, immutable=True) for text in "12")

    assert object_diff(old, new, MUTABLE, patch=False).replace_paths == {"data.a"}


@pytest.mark.parametrize(
    ("api_version", "kind", "old", "new", "replaces"),
    [
        ("apps/v1", "Deployment", selector("a"), selector("b"), {"spec.selector.matchLabels.app"}),
        ("apps/v1", "Deployment", {"replicas": 1}, {"replicas": 2}, set[str]()),
        ("apps/v1", "StatefulSet", {"serviceName": "a"}, {"serviceName": "b"}, {"spec.serviceName"}),
        ("batch/v1", "Job", {"template": {"x": 1}}, {"template": {"x": 2}}, {"spec.template.x"}),
        ("v1", "Service", {"clusterIP": "None"}, {"clusterIP": "10.0.0.1"}, {"spec.clusterIP"}),
        ("v1", "Service", {"ports": [{"port": 80}]}, {"ports": [{"port": 81}]}, set[str]()),
        (
            "v1",
            "PersistentVolumeClaim",
            {"storageClassName": "a", "resources": {"requests": {"storage": "1Gi"}}},
            {"storageClassName": "b", "resources": {"requests": {"storage": "2Gi"}}},
            {"spec.storageClassName"},
        ),
        ("v1", "PersistentVolume", {"nfs": {"path": "/a"}}, {"nfs": {"path": "/b"}}, {"spec.nfs.path"}),
        (
            "v1",
            "Pod",
            {"containers": [{"name": "a", "image": "x"}]},
            {"containers": [{"name": "a", "image": "y"}]},
            {"spec.containers[0].image"},
        ),
        (
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            {"scope": "Cluster"},
            {"scope": "Namespaced"},
            {"spec.scope"},
        ),
        ("example.com/v1", "Widget", {"selector": 1}, {"selector": 2}, set[str]()),
    ],
)
def test_fields_of_the_spec_that_replace(
    api_version: str, kind: str, old: Inputs, new: Inputs, replaces: set[str]
) -> None:
    before, after = (manifest(kind, api_version=api_version, spec=spec) for spec in (old, new))

    assert object_diff(before, after, MUTABLE, patch=False).replace_paths == replaces


@pytest.mark.parametrize(
    ("api_version", "kind", "field", "old", "new"),
    [
        ("storage.k8s.io/v1", "StorageClass", "provisioner", "a", "b"),
        ("storage.k8s.io/v1", "StorageClass", "parameters", {"server": "a"}, {"server": "b"}),
        ("storage.k8s.io/v1", "StorageClass", "reclaimPolicy", "Delete", "Retain"),
        ("storage.k8s.io/v1", "StorageClass", "volumeBindingMode", "Immediate", "WaitForFirstConsumer"),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "roleRef", {"name": "a"}, {"name": "b"}),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", "roleRef", {"name": "a"}, {"name": "b"}),
        ("scheduling.k8s.io/v1", "PriorityClass", "value", 1, 2),
        ("v1", "Secret", "type", "Opaque", "kubernetes.io/tls"),
    ],
)
def test_top_level_fields_that_replace(api_version: str, kind: str, field: str, old: Value, new: Value) -> None:
    before, after = ({**manifest(kind, api_version=api_version), field: value} for value in (old, new))

    assert len(object_diff(before, after, MUTABLE, patch=False).replace_paths) == 1


def test_an_immutable_field_that_comes_with_its_parent_replaces() -> None:
    before: Inputs = manifest("Service")
    after = manifest("Service", spec={"clusterIP": "None"})

    assert object_diff(before, after, MUTABLE, patch=False).replace_paths == {"spec"}


def test_a_parent_without_immutable_fields_does_not_replace() -> None:
    after = manifest("Service", spec={"selector": {"app": "a"}})

    assert not object_diff(manifest("Service"), after, MUTABLE, patch=False).replace_paths


@pytest.mark.parametrize("field", ["name", "namespace"])
def test_another_identity_is_another_object_and_the_new_one_comes_first(field: str) -> None:
    old, new = manifest("ConfigMap"), manifest("ConfigMap")
    new["metadata"] = {"name": "thing", "namespace": "lab", field: "other"}

    diff = object_diff(old, new, MUTABLE, patch=False)

    assert diff.replace_paths == {f"metadata.{field}"}
    assert diff.order is Replacement.CREATE_FIRST


def test_an_unknown_namespace_replaces() -> None:
    new: Inputs = {**manifest("ConfigMap"), "metadata": {"name": "thing", "namespace": UNKNOWN}}

    assert object_diff(manifest("ConfigMap"), new, MUTABLE, patch=False).replace_paths == {"metadata.namespace"}


def test_no_namespace_is_the_namespace_default() -> None:
    old: Inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    new: Inputs = {**old, "metadata": {"name": "a", "namespace": "default"}}

    assert not object_diff(old, new, STRICT, patch=False).changes


def test_a_patch_changes_everything_in_place_but_its_target() -> None:
    old: Inputs = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"a": "1"}}}
    new: Inputs = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n2", "labels": {"a": "2"}}}

    diff = object_diff(old, new, STRICT, patch=True)

    assert set(diff.changes) == {"metadata.labels.a", "metadata.name"}
    assert diff.replace_paths == {"metadata.name"}


def test_a_changed_secret_is_named_without_its_value() -> None:
    old, new = (checked("Secret", stringData={"token": Secret(text)}) for text in ("one", "two"))

    assert dict(object_diff(old, new, MUTABLE, patch=False).changes) == {"data.token": Change.UPDATE}
