from __future__ import annotations

from labctl.engine.providers.kubernetes.ownership import (
    created_by_update,
    field_manager,
    is_managed_by,
    managers,
    takeover_patch,
)
from labctl.graph.values import Inputs, Value, as_mapping

URN = "urn:pulumi:dev::lab::kubernetes:core/v1:ConfigMap::settings"


def entry(manager: str, operation: str, fields: Inputs, **more: Value) -> Inputs:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


def live(*entries: Inputs) -> Inputs:
    return {"metadata": {"resourceVersion": "7", "managedFields": list[Value](entries)}}


def test_the_manager_comes_from_the_urn_in_the_official_form() -> None:
    name = field_manager(URN, {}, {})

    assert name == field_manager(URN, {}, {})
    assert name != field_manager(URN + "2", {}, {})
    prefix, digits = name.rsplit("-", 1)
    assert prefix == "pulumi-kubernetes"
    assert len(digits) == 8
    assert int(digits, 16) >= 0


def test_the_recorded_manager_is_used_on() -> None:
    assert field_manager(URN, {}, {"__fieldManager": "pulumi-kubernetes-0000beef"}) == "pulumi-kubernetes-0000beef"


def test_the_annotation_names_a_manager() -> None:
    inputs: Inputs = {"metadata": {"annotations": {"pulumi.com/patchFieldManager": "mine"}}}

    assert field_manager(URN, inputs, {"__fieldManager": "pulumi-kubernetes-0000beef"}) == "mine"


def test_only_an_apply_makes_an_object_ours() -> None:
    applied = live(entry("pulumi-kubernetes-1", "Apply", {}))
    updated = live(entry("pulumi-kubernetes-1", "Update", {}))

    assert is_managed_by(applied, "pulumi-kubernetes-1")
    assert not is_managed_by(applied, "pulumi-kubernetes-2")
    assert not is_managed_by(updated, "pulumi-kubernetes-1")
    assert managers(live(entry("a", "Apply", {}), entry("b", "Update", {}), entry("a", "Update", {}))) == ("a", "b")


def test_what_the_official_provider_created_becomes_one_entry_of_ours() -> None:
    created = live(
        entry("pulumi-kubernetes", "Update", {"f:data": {"f:a": {}, "f:b": {}}}),
        entry("kube-controller-manager", "Update", {"f:status": {}}, subresource="status"),
        entry("pulumi-kubernetes-1", "Apply", {"f:data": {"f:c": {}}}),
    )

    test, replace = takeover_patch(created, "pulumi-kubernetes-1")

    assert created_by_update(created)
    assert test == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    kept = replace["value"]
    assert isinstance(kept, list)
    assert [(as_mapping(item)["manager"], as_mapping(item)["operation"]) for item in kept] == [
        ("pulumi-kubernetes-1", "Apply"),
        ("kube-controller-manager", "Update"),
    ]
    assert as_mapping(kept[0])["fieldsV1"] == {"f:data": {"f:a": {}, "f:b": {}, "f:c": {}}}


def test_there_is_nothing_to_take_over_from_ourselves_or_from_controllers() -> None:
    ours = live(entry("pulumi-kubernetes-1", "Apply", {}), entry("kube-scheduler", "Update", {}))

    assert not created_by_update(ours)
    assert takeover_patch(ours, "pulumi-kubernetes-1") == []
