"""Objects on a real API server: applied, compared, taken over, refused, deleted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from provider_samples import CONFIG_MAP, SECRET, Lab, make_lab, manifest, recorded

from labctl.engine.providers.base import Operation, Replacement, Resource
from labctl.engine.providers.kubernetes.exceptions import (
    FieldConflictError,
    ObjectExistsError,
    RejectedError,
    StuckDeletionError,
    UnknownKindError,
)
from labctl.engine.providers.kubernetes.ownership import is_managed_by
from labctl.graph.differences import differences
from labctl.graph.values import UNKNOWN, Inputs, Secret, as_mapping

if TYPE_CHECKING:
    from cluster_api import Api

    from labctl.control_plane import ControlPlane


@pytest.fixture
def lab(control_plane: ControlPlane) -> Lab:
    """A provider under which contents are mutable, as the program sets it."""
    return make_lab(
        str(control_plane.kubeconfig),
        enableConfigMapMutable="true",
        enableSecretMutable="true",
        clusterIdentifier="tests",
    )


@pytest.fixture
def room(lab: Lab, namespace: str) -> str:
    """A namespace that the provider made."""
    lab.namespace(namespace)
    return namespace


def path(room: str, name: str = "settings") -> str:
    return f"/api/v1/namespaces/{room}/configmaps/{name}"


def test_what_is_recorded_of_an_object_is_what_the_official_provider_records(lab: Lab, room: str) -> None:
    made = lab.create(
        lab.wanted(SECRET, "token", manifest("Secret", "token", room, stringData={"token": Secret("hush")}))
    )

    live = made.outputs
    assert made.id == f"{room}/token"
    assert set(live) == {
        "apiVersion", "kind", "metadata", "data", "type", "__inputs", "__initialApiVersion", "__fieldManager",
    }  # fmt: skip
    assert live["data"] == Secret({"token": "aHVzaA=="})
    assert as_mapping(live["__inputs"])["data"] == Secret({"token": "aHVzaA=="})
    assert live["__initialApiVersion"] == "v1"
    assert is_managed_by(live, str(live["__fieldManager"]))
    assert as_mapping(live["metadata"])["uid"]


def test_a_removed_field_is_removed_and_others_fields_stay(lab: Lab, room: str, api: Api) -> None:
    made = lab.create(lab.config_map(room, a="1", b="2"))
    api.apply(path(room), "somebody", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"theirs": "x"}})

    changed = lab.update(made, manifest("ConfigMap", "settings", room, data={"a": "9"}))

    assert api.get(path(room))["data"] == {"a": "9", "theirs": "x"}
    assert not lab.diff(changed, changed.inputs).changes
    assert changed.outputs["__fieldManager"] == made.outputs["__fieldManager"]


def test_a_conflict_names_field_and_manager_and_can_be_forced_for_one_object(lab: Lab, room: str, api: Api) -> None:
    made = lab.create(lab.config_map(room, a="1"))
    api.merge(f"{path(room)}?fieldManager=intruder", {"data": {"a": "theirs"}})

    with pytest.raises(FieldConflictError, match=r"\.data\.a is held by intruder.*patchForce") as raised:
        lab.update(made, manifest("ConfigMap", "settings", room, data={"a": "2"}))
    forced = manifest(
        "ConfigMap", "settings", room, data={"a": "2"}, metadata={"annotations": {"pulumi.com/patchForce": "true"}}
    )
    lab.update(made, forced)

    assert raised.value.conflicts == ((".data.a", "intruder"),)
    assert api.get(path(room))["data"] == {"a": "2"}


def test_an_existing_object_is_refused_and_left_as_it_was(lab: Lab, room: str, api: Api) -> None:
    api.post(f"/api/v1/namespaces/{room}/configmaps", {"metadata": {"name": "settings"}, "data": {"a": "theirs"}})
    before = api.get(path(room))

    with pytest.raises(ObjectExistsError, match=f"ConfigMap {room}/settings exists"):
        lab.create(lab.config_map(room, b="ours"))

    assert api.get(path(room)) == before


def test_an_existing_object_is_refused_among_many_new_ones(lab: Lab, room: str, api: Api) -> None:
    api.post(f"/api/v1/namespaces/{room}/configmaps", {"metadata": {"name": "cm-25"}, "data": {"a": "theirs"}})
    refused: list[int] = []

    for number in range(30):
        try:
            lab.create(lab.config_map(room, f"cm-{number}", a="ours"))
        except ObjectExistsError:
            refused.append(number)

    assert refused == [25]
    assert api.get(path(room, "cm-25"))["data"] == {"a": "theirs"}


def test_a_create_that_was_cut_off_after_the_server_did_it_is_taken_up(lab: Lab, room: str) -> None:
    wanted = lab.config_map(room, a="1")
    first = lab.create(wanted)

    again = lab.create(wanted, lab.context(interrupted=Operation.CREATING))

    assert as_mapping(again.outputs["metadata"])["uid"] == as_mapping(first.outputs["metadata"])["uid"]
    with pytest.raises(ObjectExistsError):
        lab.create(wanted)


def test_an_object_that_the_official_provider_created_is_gone_on_with(lab: Lab, room: str, api: Api) -> None:
    """It creates by POST under its own name; a field dropped later must not stay behind."""
    body = {"metadata": {"name": "settings"}, "data": {"a": "1", "b": "2"}}
    live = api.post(f"/api/v1/namespaces/{room}/configmaps?fieldManager=pulumi-kubernetes", body)
    wanted = lab.config_map(room, a="1", b="2")
    outputs: Inputs = {**live, "__fieldManager": "pulumi-kubernetes-0000beef", "__inputs": wanted.inputs}
    old = Resource(urn=wanted.urn, type=wanted.type, id=f"{room}/settings", inputs=wanted.inputs, outputs=outputs)

    lab.provider.update(
        old, lab.checked(old, manifest("ConfigMap", "settings", room, data={"a": "2"})), lab.context(preview=True)
    )
    changed = lab.update(old, manifest("ConfigMap", "settings", room, data={"a": "2"}))

    assert api.get(path(room))["data"] == {"a": "2"}
    managers = [entry["manager"] for entry in api.get(path(room))["metadata"]["managedFields"]]
    assert managers == ["pulumi-kubernetes-0000beef"]
    assert changed.outputs["__fieldManager"] == "pulumi-kubernetes-0000beef"


def test_a_changed_manager_gives_the_old_ones_fields_up(lab: Lab, room: str, api: Api) -> None:
    made = lab.create(lab.config_map(room, a="1"))
    annotated: Inputs = {"annotations": {"pulumi.com/patchFieldManager": "mine"}}

    lab.update(made, manifest("ConfigMap", "settings", room, data={"a": "1"}, metadata=annotated))

    assert [entry["manager"] for entry in api.get(path(room))["metadata"]["managedFields"]] == ["mine"]


def test_unknown_fields_are_refused_by_name(lab: Lab, room: str) -> None:
    wanted = lab.wanted(CONFIG_MAP, "typo", manifest("ConfigMap", "typo", room, dat={"a": "1"}))

    made = lab.create(lab.config_map(room, a="1"))
    for context in (lab.context(), lab.context(preview=True)):
        with pytest.raises(RejectedError, match=r"\bdat\b"):
            lab.provider.create(wanted, context)
        with pytest.raises(RejectedError, match=r"\bdat\b"):
            lab.provider.update(made, {**made.inputs, "dat": {}}, context)
    assert not lab.said


def test_a_preview_stores_nothing_and_tells_what_the_server_would_refuse(lab: Lab, room: str, api: Api) -> None:
    preview = lab.context(preview=True)
    made = lab.create(lab.config_map(room, a="1"))
    bad = lab.wanted(CONFIG_MAP, "bad", manifest("ConfigMap", "Not_A_Name", room))

    created = lab.provider.create(lab.config_map(room, "later", a="1"), preview)
    updated = lab.provider.update(
        made, lab.checked(made, manifest("ConfigMap", "settings", room, data={"a": "2"})), preview
    )
    with pytest.raises(RejectedError, match="Not_A_Name"):
        lab.provider.create(bad, preview)
    with pytest.raises(RejectedError, match="data"):
        lab.provider.update(
            made, lab.checked(made, manifest("ConfigMap", "settings", room, data={"a b": "2"})), preview
        )

    assert created.outputs["data"] == {"a": "1"}
    assert updated.outputs["data"] == {"a": "2"}
    assert not api.exists(path(room, "later"))
    assert api.get(path(room))["data"] == {"a": "1"}


def test_a_preview_in_a_namespace_that_is_yet_to_come_is_no_error(lab: Lab, namespace: str) -> None:
    assert lab.provider.create(lab.config_map(namespace, a="1"), lab.context(preview=True)).id == ""


def test_a_preview_of_an_update_says_what_else_it_puts_back(lab: Lab, room: str, api: Api) -> None:
    made = lab.create(lab.config_map(room, a="1", b="1"))
    api.merge(path(room), {"data": {"b": "edited by hand"}})
    forced = manifest(
        "ConfigMap",
        "settings",
        room,
        data={"a": "2", "b": "1"},
        metadata={"annotations": {"pulumi.com/patchForce": "true"}},
    )

    lab.provider.update(made, lab.checked(made, forced), lab.context(preview=True))

    assert "also puts back what was changed on the server: data.b" in lab.said


def test_refresh_shows_edits_and_deletions(lab: Lab, room: str, api: Api) -> None:
    made = lab.create(lab.config_map(room, a="1", b="2"))
    assert (found := lab.read(made)) is not None
    assert found.inputs == made.inputs

    api.merge(path(room), {"data": {"b": "drifted", "theirs": "x"}})
    drifted = lab.read(made)
    api.delete(path(room))

    assert drifted is not None
    assert differences(made.inputs, drifted.inputs).keys() == {"data.b"}
    assert lab.diff(drifted, made.inputs).changes.keys() == {"data.b"}
    assert lab.read(made) is None


def test_an_update_of_an_object_that_is_gone_creates_it_again_and_says_so(lab: Lab, room: str, api: Api) -> None:
    made = lab.create(lab.config_map(room, a="1"))
    api.delete(path(room))

    lab.update(made, manifest("ConfigMap", "settings", room, data={"a": "2"}))

    assert api.get(path(room))["data"] == {"a": "2"}
    assert "was gone from the cluster: created again" in lab.said


KINDS: list[tuple[str, Inputs]] = [
    (
        "apps/v1:Deployment",
        {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {
                    "containers": [
                        {
                            "name": "c",
                            "image": "registry.example/c:1",
                            "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
                            "ports": [{"name": "http", "containerPort": 80}],
                            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": ""}],
                        }
                    ]
                },
            },
        },
    ),
    ("core/v1:Service", {"ports": [{"name": "http", "port": 80}], "type": "ClusterIP"}),
    (
        "core/v1:PersistentVolumeClaim",
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}},
    ),
    ("core/v1:ResourceQuota", {"hard": {"requests.cpu": "1000m", "pods": "5"}}),
    ("networking.k8s.io/v1:NetworkPolicy", {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []}),
    ("core/v1:LimitRange", {"limits": [{"type": "Container", "default": {"cpu": "0.5"}}]}),
]


@pytest.mark.parametrize(("token", "spec"), KINDS, ids=[token for token, _ in KINDS])
def test_what_was_just_applied_has_not_drifted(lab: Lab, room: str, token: str, spec: Inputs) -> None:
    api_version, kind = token.removeprefix("core/").split(":")
    skip: Inputs = {"annotations": {"pulumi.com/skipAwait": "true"}}
    wanted = lab.wanted(f"kubernetes:{token}", "x", manifest(kind, "x", room, api_version, spec=spec, metadata=skip))

    found = lab.read(lab.create(wanted))

    assert found is not None
    assert differences(wanted.inputs, found.inputs) == {}


def definition(group: str) -> Inputs:
    schema: Inputs = {"type": "object", "x_kubernetes_preserve_unknown_fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def test_custom_resources_wait_for_their_kind_and_their_namespace(lab: Lab, namespace: str, api: Api) -> None:
    group = f"{namespace}.example.com"
    token = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
    widget = manifest("Widget", "w", namespace, f"{group}/v1", spec={"size": 3})
    made: list[Resource] = []
    early = threading.Thread(
        target=lambda: made.append(lab.create(lab.wanted(f"kubernetes:{group}/v1:Widget", "w", widget)))
    )
    early.start()
    crd = lab.create(lab.wanted(token, "crd", definition(group)))
    lab.namespace(namespace)
    early.join(30)

    changed = lab.update(made[0], {**widget, "spec": {"size": 4}})

    widgets = f"/apis/{group}/v1/namespaces/{namespace}/widgets"
    assert api.get(f"{widgets}/w")["spec"] == {"size": 4}
    assert any("waiting for the kind Widget" in line for line in lab.said)
    found = lab.read(crd)
    assert found is not None
    assert differences(crd.inputs, found.inputs) == {}
    assert as_mapping(crd.outputs["__inputs"])["spec"] == definition(group)["spec"]
    lab.delete(crd)
    assert lab.read(changed) is None
    lab.delete(changed)


def test_a_kind_that_never_comes_is_named(lab: Lab, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.engine.providers.kubernetes.objects.NOT_THERE_YET_SECONDS", 0.3)
    wanted = lab.wanted("kubernetes:nobody.example/v1:Ghost", "g", manifest("Ghost", "g", room, "nobody.example/v1"))

    assert lab.provider.create(wanted, lab.context(preview=True)).id == ""
    with pytest.raises(UnknownKindError, match=r"no kind Ghost in nobody\.example/v1"):
        lab.create(wanted)


def test_deletion_waits_names_what_holds_and_ends_when_it_is_let_go(lab: Lab, room: str, api: Api) -> None:
    held = manifest("ConfigMap", "settings", room, metadata={"finalizers": ["lab.example/hold"]})
    made = lab.create(lab.wanted(CONFIG_MAP, "settings", held))

    with pytest.raises(StuckDeletionError, match=r"lab\.example/hold"):
        lab.delete(made, lab.context(timeout_seconds=0.3))
    release = threading.Timer(0.5, lambda: api.merge(path(room), {"metadata": {"finalizers": None}}))
    release.start()
    lab.delete(made)
    release.join()

    assert not api.exists(path(room))
    lab.delete(made)


def test_a_name_that_is_going_is_waited_for(lab: Lab, room: str, api: Api) -> None:
    held = manifest("ConfigMap", "settings", room, metadata={"finalizers": ["lab.example/hold"]})
    lab.create(lab.wanted(CONFIG_MAP, "settings", held))
    api.delete(path(room))
    release = threading.Timer(0.5, lambda: api.merge(path(room), {"metadata": {"finalizers": None}}))
    release.start()

    lab.create(lab.config_map(room, a="new"))

    release.join()
    assert api.get(path(room))["data"] == {"a": "new"}


def test_a_replacement_under_the_same_name_deletes_first(lab: Lab, room: str, api: Api) -> None:
    skip: Inputs = {"annotations": {"pulumi.com/skipAwait": "true"}}

    def deployment(app: str) -> Inputs:
        containers: Inputs = {"containers": [{"name": "c", "image": "r.example/c:1"}]}
        template: Inputs = {"metadata": {"labels": {"app": app}}, "spec": containers}
        spec: Inputs = {"replicas": 0, "selector": {"matchLabels": {"app": app}}, "template": template}
        return manifest("Deployment", "web", room, "apps/v1", spec=spec, metadata=skip)

    old = lab.create(lab.wanted("kubernetes:apps/v1:Deployment", "web", deployment("one")))
    diff = lab.diff(old, deployment("two"))
    lab.delete(old)
    new = lab.create(lab.wanted("kubernetes:apps/v1:Deployment", "web", deployment("two")))

    assert diff.replace_paths == {"spec.selector.matchLabels.app"}
    assert diff.order is Replacement.DELETE_FIRST
    assert as_mapping(new.outputs["metadata"])["uid"] != as_mapping(old.outputs["metadata"])["uid"]
    assert api.get(f"/apis/apps/v1/namespaces/{room}/deployments/web")["spec"]["selector"]["matchLabels"] == {
        "app": "two"
    }


def test_a_namespace_is_deleted_with_all_that_is_in_it(lab: Lab, namespace: str, api: Api) -> None:
    made = lab.namespace(namespace)
    lab.create(lab.config_map(namespace, a="1"))

    lab.delete(made)

    assert not api.exists(f"/api/v1/namespaces/{namespace}")


def test_a_context_that_names_no_cluster_scoped_namespace_is_no_trouble(lab: Lab, namespace: str, api: Api) -> None:
    token = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"
    role = manifest("ClusterRole", namespace, "not-for-cluster-roles", "rbac.authorization.k8s.io/v1", rules=[])

    made = lab.create(lab.wanted(token, "role", role))

    assert made.id == namespace
    assert api.exists(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{namespace}")
    lab.delete(made)


def test_unknown_inputs_preview_an_update_without_asking(lab: Lab, room: str) -> None:
    made = lab.create(lab.config_map(room, a="1"))
    inputs = lab.checked(made, manifest("ConfigMap", "settings", room, data={"a": UNKNOWN}))

    outputs = recorded(made, inputs, lab.provider.update(made, inputs, lab.context(preview=True))).outputs

    assert outputs["data"] == {"a": UNKNOWN}
    assert as_mapping(outputs["metadata"])["uid"] == as_mapping(made.outputs["metadata"])["uid"]
