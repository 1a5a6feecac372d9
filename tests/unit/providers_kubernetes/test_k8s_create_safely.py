"""A create leaves alone what is not this stack's, and knows its own again, whatever goes wrong on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kubernetes_samples import Answer, Call, FakeServer, failure, kubeconfig, manifest, resource

from labctl.engine.providers.base import Context, Created, Operation, Resource
from labctl.engine.providers.kubernetes import KubernetesFactory, census, objects
from labctl.engine.providers.kubernetes.exceptions import ObjectExistsError
from labctl.engine.providers.kubernetes.ownership import field_manager
from labctl.graph.values import Inputs, Value, as_mapping

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "kubernetes:core/v1:ConfigMap"
KINDS: Value = {"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]}
ABSENT = failure(404, "NotFound", 'configmaps "thing" not found', kind="configmaps")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "FIRST_PAUSE_SECONDS", 0.001)


def stored(manager: str, uid: str = "u1") -> Inputs:
    fields: Inputs = {"manager": manager, "operation": "Apply", "fieldsV1": {}}
    metadata: Inputs = {"name": "thing", "namespace": "lab", "uid": uid, "managedFields": [fields]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


WANTED = resource(TOKEN, "settings", manifest("ConfigMap", data={"a": "1"}))
MANAGER = field_manager(WANTED.urn, {}, {})


def create(server: FakeServer, answers: Callable[[Call], Answer], context: Context | None = None) -> Created:
    server.answer = lambda call: Answer(200, KINDS) if call.path == "/api/v1" else answers(call)
    factory = KubernetesFactory()
    provider = factory.configure(factory.check_config({"kubeconfig": kubeconfig(server=server.url)}))
    checked = Resource(urn=WANTED.urn, type=TOKEN, inputs=provider.check(WANTED, None))
    return provider.create(checked, context or Context())


def test_an_object_that_is_there_is_not_touched(fake_server: FakeServer) -> None:
    with pytest.raises(ObjectExistsError, match="managed by kubectl"):
        create(fake_server, lambda _: Answer(200, stored("kubectl")))

    assert not fake_server.made("PATCH")


def test_an_object_of_an_interrupted_create_is_taken_up(fake_server: FakeServer) -> None:
    context = Context(interrupted=Operation.CREATING)

    created = create(fake_server, lambda _: Answer(200, stored(MANAGER)), context)

    assert created.id == "lab/thing"
    assert created.outputs["__fieldManager"] == MANAGER


def test_an_object_with_our_manager_is_not_taken_up_without_an_interruption(fake_server: FakeServer) -> None:
    with pytest.raises(ObjectExistsError):
        create(fake_server, lambda _: Answer(200, stored(MANAGER)))


def test_an_object_of_another_resource_is_not_taken_up_after_an_interruption(fake_server: FakeServer) -> None:
    with pytest.raises(ObjectExistsError):
        create(
            fake_server, lambda _: Answer(200, stored("pulumi-kubernetes-0")), Context(interrupted=Operation.CREATING)
        )


def test_an_object_that_comes_between_question_and_apply_is_given_back(fake_server: FakeServer) -> None:
    with pytest.raises(ObjectExistsError, match="managed by kubectl"):
        create(fake_server, lambda call: ABSENT if call.method == "GET" else Answer(200, stored("kubectl")))

    applied, withdrawn = fake_server.made("PATCH")
    assert as_mapping(applied.body)["data"] == {"a": "1"}
    assert withdrawn.body == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "thing", "namespace": "lab"},
    }
    assert f"fieldManager={MANAGER}" in withdrawn.path


def test_a_create_whose_answer_was_lost_is_recognised_as_done(fake_server: FakeServer) -> None:
    patches: list[Call] = []

    def answers(call: Call) -> Answer:
        if call.method == "PATCH":
            patches.append(call)
            return Answer(hangs_up=True) if len(patches) == 1 else Answer(200, stored(MANAGER))
        return Answer(200, stored(MANAGER)) if patches else ABSENT

    assert create(fake_server, answers).id == "lab/thing"
    assert len(patches) == 2


def test_a_conflict_means_that_somebody_else_made_it(fake_server: FakeServer) -> None:
    gets = iter([ABSENT, Answer(200, stored("kubectl"))])
    conflict = failure(409, "Conflict", "Apply failed with 1 conflict")

    with pytest.raises(ObjectExistsError):
        create(fake_server, lambda call: next(gets) if call.method == "GET" else conflict)


def test_a_namespace_that_is_just_coming_is_waited_for(fake_server: FakeServer) -> None:
    missing = failure(404, "NotFound", 'namespaces "lab" not found', kind="namespaces")
    patches = iter([missing, missing, Answer(201, stored(MANAGER))])
    said: list[str] = []

    created = create(
        fake_server,
        lambda call: next(patches) if call.method == "PATCH" else ABSENT,
        Context(report=said.append),
    )

    assert created.id == "lab/thing"
    assert "waiting for its namespace" in said


def test_names_are_listed_once_when_many_objects_are_created(fake_server: FakeServer) -> None:
    names = [f"cm-{number}" for number in range(40)]

    def answers(call: Call) -> Answer:
        if call.path == "/api/v1":
            return Answer(200, KINDS)
        if call.path.endswith("/configmaps"):
            return Answer(200, {"items": [{"metadata": {"name": "cm-30"}}]})
        if call.method == "GET":
            return Answer(200, stored("kubectl")) if call.path.endswith("/cm-30") else ABSENT
        return Answer(201, stored(MANAGER))

    fake_server.answer = answers
    factory = KubernetesFactory()
    provider = factory.configure(factory.check_config({"kubeconfig": kubeconfig(server=fake_server.url)}))
    refused: list[str] = []
    for name in names:
        plain = resource(TOKEN, name, manifest("ConfigMap", name=name))
        try:
            provider.create(Resource(urn=plain.urn, type=TOKEN, inputs=provider.check(plain, None)), Context())
        except ObjectExistsError:
            refused.append(name)

    questions = [call for call in fake_server.made("GET") if "/configmaps" in call.path]
    assert refused == ["cm-30"]
    assert len(questions) == census.SINGLE_QUESTIONS + 2
    assert len(fake_server.made("PATCH")) == len(names) - 1
