"""Single fields of Nodes, which belong to somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from provider_samples import Lab, make_lab

from labctl.engine.providers.kubernetes.exceptions import FieldConflictError, PatchTargetMissingError
from labctl.graph.values import Inputs

if TYPE_CHECKING:
    from collections.abc import Generator

    from cluster_api import Api

    from labctl.control_plane import ControlPlane

TOKEN = "kubernetes:core/v1:NodePatch"


@pytest.fixture
def lab(control_plane: ControlPlane) -> Lab:
    return make_lab(str(control_plane.kubeconfig))


@pytest.fixture
def node(api: Api, namespace: str) -> Generator[str]:
    """A node that nothing is scheduled on."""
    metadata = {"name": namespace, "labels": {"kubelet": "sets-this"}}
    api.post("/api/v1/nodes?fieldManager=kubelet", {"metadata": metadata, "spec": {"unschedulable": True}})
    yield namespace
    api.delete(f"/api/v1/nodes/{namespace}")


def labels(name: str, **values: str) -> Inputs:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {**values}}}


def test_labels_are_set_changed_and_given_back_and_the_node_stays(lab: Lab, node: str, api: Api) -> None:
    def shown() -> dict[str, str]:
        return api.get(f"/api/v1/nodes/{node}")["metadata"]["labels"]

    made = lab.create(lab.wanted(TOKEN, "gpu", labels(node, gpu="a100", pool="gpu")))
    assert made.id == node
    assert shown() == {"kubelet": "sets-this", "gpu": "a100", "pool": "gpu"}

    changed = lab.update(made, labels(node, gpu="h200"))
    assert shown() == {"kubelet": "sets-this", "gpu": "h200"}
    assert not lab.diff(changed, labels(node, gpu="h200")).replace_paths

    lab.delete(changed)
    assert shown() == {"kubelet": "sets-this"}
    lab.delete(changed)
    assert api.exists(f"/api/v1/nodes/{node}")


def test_two_patches_of_one_node_do_not_meet(lab: Lab, node: str, api: Api) -> None:
    first = lab.create(lab.wanted(TOKEN, "one", labels(node, one="1")))
    lab.create(lab.wanted(TOKEN, "two", labels(node, two="2")))

    lab.delete(first)

    assert api.get(f"/api/v1/nodes/{node}")["metadata"]["labels"] == {"kubelet": "sets-this", "two": "2"}


def test_a_label_of_the_kubelet_is_a_conflict_unless_forced(lab: Lab, node: str, api: Api) -> None:
    wanted = lab.wanted(TOKEN, "mine", labels(node, kubelet="not-this"))
    forced = labels(node, kubelet="this")
    forced["metadata"] = {"name": node, "labels": {"kubelet": "this"}, "annotations": {"pulumi.com/patchForce": "true"}}

    with pytest.raises(FieldConflictError, match="kubelet"):
        lab.create(wanted)
    with pytest.raises(FieldConflictError, match="kubelet"):
        lab.provider.create(wanted, lab.context(preview=True))
    lab.create(lab.wanted(TOKEN, "mine", forced))

    assert api.get(f"/api/v1/nodes/{node}")["metadata"]["labels"]["kubelet"] == "this"


def test_a_patch_never_creates_its_node(lab: Lab, namespace: str, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.engine.providers.kubernetes.patches.NOT_THERE_YET_SECONDS", 0.0)
    wanted = lab.wanted(TOKEN, "gpu", labels(namespace, gpu="a100"))

    assert lab.provider.create(wanted, lab.context(preview=True)).id == ""
    with pytest.raises(PatchTargetMissingError, match=namespace):
        lab.create(wanted)

    assert not api.exists(f"/api/v1/nodes/{namespace}")


def test_refresh_shows_a_label_that_was_changed_and_a_node_that_is_gone(lab: Lab, node: str, api: Api) -> None:
    made = lab.create(lab.wanted(TOKEN, "gpu", labels(node, gpu="a100")))
    api.merge(f"/api/v1/nodes/{node}", {"metadata": {"labels": {"gpu": "edited"}}})

    drifted = lab.read(made)
    api.delete(f"/api/v1/nodes/{node}")

    assert drifted is not None
    assert drifted.inputs == labels(node, gpu="edited")
    assert lab.read(made) is None
    lab.delete(made)
    assert not api.exists(f"/api/v1/nodes/{node}")
