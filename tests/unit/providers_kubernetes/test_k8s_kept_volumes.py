"""A volume that was kept when its claim went: given to a claim of the same name, and to nobody else's."""

from __future__ import annotations

import copy

import pytest

from labctl.engine.providers.kubernetes.volumes import release_patch
from labctl.graph.values import Inputs, Value

CLAIM: Inputs = {
    "metadata": {"namespace": "hub", "name": "datasets", "uid": "new"},
    "spec": {"volumeName": "pv"},
}
VOLUME: Inputs = {
    "metadata": {"name": "pv"},
    "spec": {
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": "hub",
            "name": "datasets",
            "uid": "old",
            "resourceVersion": "17",
        },
    },
}


def changed(path: str, value: Value) -> Inputs:
    volume = copy.deepcopy(VOLUME)
    *parents, last = path.split(".")
    place = volume
    for key in parents:
        inner = place[key]
        assert isinstance(inner, dict)
        place = inner
    place[last] = value
    return volume


def test_it_is_given_to_the_claim_by_name_as_long_as_it_is_what_was_seen() -> None:
    assert release_patch(CLAIM, VOLUME) == [
        {"op": "test", "path": "/spec/claimRef/uid", "value": "old"},
        {
            "op": "replace",
            "path": "/spec/claimRef",
            "value": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "hub", "name": "datasets"},
        },
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.claimRef.namespace", "somebody-elses"),
        ("spec.claimRef.name", "another"),
        ("spec.claimRef.uid", "new"),
        ("spec.claimRef.uid", ""),
        ("spec.claimRef", None),
        ("spec.persistentVolumeReclaimPolicy", "Delete"),
        ("metadata.deletionTimestamp", "2026-01-02T03:04:05Z"),
    ],
    ids=["other namespace", "other name", "its own", "by name already", "free", "not to be kept", "going"],
)
def test_otherwise_it_is_left_alone(path: str, value: Value) -> None:
    assert release_patch(CLAIM, changed(path, value)) == []
