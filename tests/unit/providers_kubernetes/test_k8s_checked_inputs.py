from __future__ import annotations

import pytest
from kubernetes_samples import checked, manifest, resource

from labctl.engine.providers.kubernetes.exceptions import (
    IncompleteObjectError,
    KubernetesError,
    MissingNameError,
    UnsupportedAnnotationError,
    UnsupportedTypeError,
)
from labctl.engine.providers.kubernetes.manifests import checked_inputs, checkpoint, scrubbed, server_form
from labctl.graph.values import UNKNOWN, Inputs, Secret, as_mapping

SECRET = "kubernetes:core/v1:Secret"


def test_string_data_becomes_sealed_base64_data() -> None:
    plain = manifest("Secret", stringData={"token": Secret("hush-canary")}, data={"other": "b2xk"})

    stored = checked_inputs(resource(SECRET, "token", plain), "default")

    assert stored == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "thing", "namespace": "lab"},
        "data": Secret({"other": "b2xk", "token": "aHVzaC1jYW5hcnk="}),
    }


def test_string_data_wins_over_data_of_the_same_key() -> None:
    stored = checked("Secret", stringData={"a": "new"}, data={"a": "b2xk"})

    assert stored["data"] == Secret({"a": "bmV3"})


@pytest.mark.parametrize(
    ("given", "stored"),
    [({"token": UNKNOWN}, Secret({"token": UNKNOWN})), (UNKNOWN, Secret(UNKNOWN)), (Secret(UNKNOWN), Secret(UNKNOWN))],
)
def test_unknown_string_data_stays_unknown_and_sealed(given: Inputs, stored: Secret) -> None:
    assert checked("Secret", stringData=given)["data"] == stored


def test_an_empty_secret_gets_no_data() -> None:
    assert "data" not in checked("Secret")


def test_a_secret_kind_of_another_group_is_left_alone() -> None:
    assert checked("Secret", api_version="vault.example/v1", stringData={"a": "b"})["stringData"] == {"a": "b"}


def test_server_written_metadata_is_dropped() -> None:
    metadata: Inputs = {"name": "a", "namespace": "b", "uid": "1", "resourceVersion": "2", "managedFields": []}

    stored = checked_inputs(
        resource("kubernetes:core/v1:ConfigMap", "a", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}),
        "default",
    )

    assert stored["metadata"] == {"name": "a", "namespace": "b"}


@pytest.mark.parametrize(
    ("api_version", "kind", "expected"),
    [
        ("v1", "ConfigMap", "lab-ns"),
        ("apps/v1", "Deployment", "lab-ns"),
        ("v1", "Namespace", None),
        ("storage.k8s.io/v1", "StorageClass", None),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", None),
        ("gateway.networking.k8s.io/v1", "GatewayClass", None),
        ("metallb.io/v1beta1", "IPAddressPool", None),
    ],
)
def test_default_namespace_goes_to_built_in_namespaced_kinds_only(
    api_version: str, kind: str, expected: str | None
) -> None:
    plain: Inputs = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}

    stored = checked_inputs(resource(f"kubernetes:{api_version}:{kind}", "x", plain), "lab-ns")

    assert as_mapping(stored["metadata"]).get("namespace") == expected


def test_a_list_with_a_secret_is_sealed_whole() -> None:
    env: Inputs = {"containers": [{"name": "c", "env": [{"name": "A", "value": Secret("hush")}]}]}

    stored = checked("Pod", spec=env)

    assert stored["spec"] == {"containers": Secret([{"name": "c", "env": [{"name": "A", "value": "hush"}]}])}


def test_nested_secrets_are_sealed_once() -> None:
    assert checked("ConfigMap", data=Secret({"a": Secret("b")}))["data"] == Secret({"a": "b"})


def test_unknown_metadata_passes() -> None:
    plain: Inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": UNKNOWN}

    assert checked_inputs(resource("kubernetes:core/v1:ConfigMap", "a", plain), "x")["metadata"] is UNKNOWN


@pytest.mark.parametrize("name", [UNKNOWN, Secret("a")])
def test_unknown_and_secret_names_pass(name: Secret) -> None:
    plain: Inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}

    assert (
        as_mapping(checked_inputs(resource("kubernetes:core/v1:ConfigMap", "a", plain), "x")["metadata"])["name"]
        == name
    )


@pytest.mark.parametrize(
    ("token", "kind", "metadata", "error", "words"),
    [
        ("core/v1:ConfigMap", "ConfigMap", {}, MissingNameError, 'write metadata.name = "settings"'),
        ("core/v1:ConfigMap", "ConfigMap", {"generateName": "a-"}, UnsupportedTypeError, "generateName"),
        ("core/v1:ConfigMapList", "ConfigMapList", {"name": "a"}, UnsupportedTypeError, "write its items"),
        ("apps/v1:DeploymentPatch", "Deployment", {"name": "a"}, UnsupportedTypeError, "only NodePatch"),
        ("core/v1:NodePatch", "Node", {}, MissingNameError, "metadata.name"),
        ("helm.sh/v3:Chart", "Chart", {"name": "a"}, UnsupportedTypeError, "helm.v3.Release"),
        ("helm.sh/v4:Chart", "Chart", {"name": "a"}, UnsupportedTypeError, "helm.v3.Release"),
        ("yaml/v2:ConfigGroup", "ConfigGroup", {"name": "a"}, UnsupportedTypeError, "write the objects"),
        ("kustomize/v2:Directory", "Directory", {"name": "a"}, UnsupportedTypeError, "write the objects"),
        (
            "core/v1:Pod",
            "Pod",
            {"name": "a", "annotations": {"pulumi.com/waitFor": "condition=Ready"}},
            UnsupportedAnnotationError,
            "pulumi.com/waitFor",
        ),
    ],
)
def test_refused_by_name(token: str, kind: str, metadata: Inputs, error: type[KubernetesError], words: str) -> None:
    plain: Inputs = {"apiVersion": "v1", "kind": kind, "metadata": metadata}

    with pytest.raises(error) as raised:
        checked_inputs(resource(f"kubernetes:{token}", "settings", plain), "default")

    assert words in str(raised.value)


@pytest.mark.parametrize("token", ["example.com/v1:WaitList", "core/v1:NodePatch"])
def test_a_custom_kind_may_be_called_list_and_a_node_may_be_patched(token: str) -> None:
    kind = "Node" if "Node" in token else "WaitList"
    plain: Inputs = {
        "apiVersion": token.rsplit(":", 1)[0].replace("core/", ""),
        "kind": kind,
        "metadata": {"name": "a"},
    }

    assert checked_inputs(resource(f"kubernetes:{token}", "a", plain), "default")["kind"] == kind


@pytest.mark.parametrize("field", ["apiVersion", "kind"])
def test_an_object_states_what_it_is(field: str) -> None:
    plain = manifest("ConfigMap")
    del plain[field]

    with pytest.raises(IncompleteObjectError, match=field):
        checked_inputs(resource("kubernetes:core/v1:ConfigMap", "a", plain), "default")


def test_schema_keys_that_python_cannot_spell_are_dashed_for_the_server_and_underscored_in_outputs() -> None:
    schema: Inputs = {"x_kubernetes_preserve_unknown_fields": True}
    plain: Inputs = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "a"},
        "spec": {"versions": [{"schema": schema}]},
    }
    token = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"

    stored = checked_inputs(resource(token, "a", plain), "default")
    outputs = checkpoint(stored, stored, "manager", "apiextensions.k8s.io/v1")

    dashed = {"versions": [{"schema": {"x-kubernetes-preserve-unknown-fields": True}}]}
    assert stored["spec"] == dashed
    assert server_form(stored)["spec"] == dashed
    assert outputs["spec"] == plain["spec"]
    assert as_mapping(outputs["__inputs"])["spec"] == plain["spec"]


def test_checkpoint_seals_what_the_inputs_seal_and_keeps_the_record() -> None:
    inputs = checked("Secret", stringData={"token": "hush"}, type="Opaque")
    live: Inputs = {**server_form(inputs), "metadata": {"name": "thing", "namespace": "lab", "uid": "u"}}

    outputs = checkpoint(live, inputs, "pulumi-kubernetes-01234567", "v1")

    assert outputs["data"] == Secret({"token": "aHVzaA=="})
    assert outputs["__inputs"] == inputs
    assert outputs["__fieldManager"] == "pulumi-kubernetes-01234567"
    assert outputs["__initialApiVersion"] == "v1"
    assert as_mapping(outputs["metadata"])["uid"] == "u"


def test_checkpoint_seals_an_annotation_that_was_secret() -> None:
    inputs = checked("ConfigMap", data={"a": Secret("hush"), "b": "open"})

    outputs = checkpoint({**server_form(inputs), "metadata": {}}, inputs, "m", "v1")

    assert outputs["data"] == {"a": Secret("hush"), "b": "open"}


def test_data_of_a_live_secret_is_sealed_even_if_the_inputs_have_none() -> None:
    outputs = checkpoint({"kind": "Secret", "data": {"token": "x"}}, checked("Secret"), "m", "v1")

    assert outputs["data"] == Secret({"token": "x"})


def test_no_secret_is_left_in_a_message_neither_in_clear_nor_in_base64() -> None:
    inputs = checked("Secret", stringData={"token": "hush-canary"})

    shown = scrubbed('data: Invalid value: "aHVzaC1jYW5hcnk=" (hush-canary)', inputs)

    assert shown == 'data: Invalid value: "[secret]" ([secret])'
