"""A preview needs no cluster: none named, none known yet, none answering."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from kubernetes_samples import Answer, FakeServer, failure, kubeconfig, manifest, resource

from labctl.engine.providers.base import Context, Resource
from labctl.engine.providers.kubernetes import KubernetesFactory
from labctl.engine.providers.kubernetes.exceptions import KubernetesError, NoKubeconfigError, RejectedError
from labctl.engine.providers.kubernetes.provider import KubernetesProvider
from labctl.graph.values import UNKNOWN, Inputs, Value, as_mapping

TOKEN = "kubernetes:core/v1:ConfigMap"
PREVIEW = Context(preview=True)


def provider(config: Inputs) -> KubernetesProvider:
    factory = KubernetesFactory(project=Path("/nonexistent"))
    return factory.configure(factory.check_config(config))


def checked_by(one: KubernetesProvider, inputs: Inputs) -> Resource:
    plain = resource(TOKEN, "settings", inputs)
    return Resource(urn=plain.urn, type=TOKEN, inputs=one.check(plain, None))


@pytest.mark.parametrize("config", [{}, {"kubeconfig": UNKNOWN}, {"kubeconfig": "no/such/file"}])
def test_without_a_usable_kubeconfig_a_preview_shows_the_inputs(config: Inputs) -> None:
    one = provider(config)
    wanted = checked_by(one, manifest("ConfigMap", data={"a": "1"}))

    created = one.create(wanted, PREVIEW)

    assert created.id == ""
    assert created.outputs == wanted.inputs
    assert "uid" not in as_mapping(created.outputs["metadata"])


def test_and_nothing_is_applied_without_one() -> None:
    one = provider({})

    with pytest.raises(NoKubeconfigError):
        one.create(checked_by(one, manifest("ConfigMap")), Context())


def test_a_server_that_does_not_answer_is_asked_once_and_costs_little() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        one = provider({"kubeconfig": kubeconfig(server=f"http://127.0.0.1:{held.getsockname()[1]}")})
        wanted = checked_by(one, manifest("ConfigMap"))
        started = time.monotonic()

        for _ in range(200):
            one.create(wanted, PREVIEW)

        assert time.monotonic() - started < 3


def test_an_offline_update_keeps_what_the_server_had_added() -> None:
    one = provider({})
    old = checked_by(one, manifest("ConfigMap", data={"a": "1", "b": "2"}))
    live: Inputs = {**old.inputs, "metadata": {"name": "thing", "namespace": "lab", "uid": "u"}}
    stored = Resource(urn=old.urn, type=TOKEN, id="lab/thing", inputs=old.inputs, outputs=live)
    new = checked_by(one, manifest("ConfigMap", data={"a": "9"})).inputs

    updated = one.update(stored, new, PREVIEW)

    assert updated.id == "lab/thing"
    assert updated.outputs["data"] == {"a": "9"}
    assert as_mapping(updated.outputs["metadata"])["uid"] == "u"


KINDS: Value = {"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]}


def served(fake_server: FakeServer, dry_run: Answer) -> KubernetesProvider:
    fake_server.answer = lambda call: dry_run if call.method == "POST" else Answer(200, KINDS)
    return provider({"kubeconfig": kubeconfig(server=fake_server.url)})


def test_a_reachable_server_checks_a_create_without_storing_it(fake_server: FakeServer) -> None:
    one = served(fake_server, Answer(201, {"metadata": {"uid": "made-up"}}))

    created = one.create(checked_by(one, manifest("ConfigMap", data={"a": "1"})), PREVIEW)

    (call,) = fake_server.made("POST")
    assert "dryRun=All" in call.path
    assert "fieldValidation=Strict" in call.path
    assert "uid" not in as_mapping(created.outputs["metadata"])


def test_what_the_server_would_refuse_is_an_error_of_the_preview(fake_server: FakeServer) -> None:
    one = served(fake_server, failure(422, "Invalid", 'ConfigMap "thing" is invalid: data: too long'))

    with pytest.raises(RejectedError, match="data: too long"):
        one.create(checked_by(one, manifest("ConfigMap")), PREVIEW)


@pytest.mark.parametrize(
    "answer",
    [
        failure(409, "AlreadyExists", "exists"),
        failure(403, "Forbidden", "no"),
        failure(404, "NotFound", "namespaces lab not found", kind="namespaces"),
        failure(400, "BadRequest", "admission webhook x does not support dry run"),
        failure(500, "InternalError", "failed calling webhook"),
    ],
)
def test_what_a_dry_run_cannot_tell_is_no_error(fake_server: FakeServer, answer: Answer) -> None:
    one = served(fake_server, answer)

    assert one.create(checked_by(one, manifest("ConfigMap")), PREVIEW).id == ""


def test_unknown_inputs_and_unknown_kinds_are_not_asked_about(fake_server: FakeServer) -> None:
    one = served(fake_server, failure(422, "Invalid", "asked"))
    unknown = checked_by(one, manifest("ConfigMap", data={"a": UNKNOWN}))
    custom = resource("kubernetes:example.com/v1:Widget", "w", manifest("Widget", api_version="example.com/v1"))

    one.create(unknown, PREVIEW)
    one.create(Resource(urn=custom.urn, type=custom.type, inputs=one.check(custom, None)), PREVIEW)

    assert not fake_server.made("POST")


def test_no_message_of_a_preview_holds_a_secret(fake_server: FakeServer) -> None:
    fake_server.answer = lambda call: (
        failure(422, "Invalid", 'data[token]: Invalid value: "hush-canary"')
        if call.method == "POST"
        else Answer(200, {"resources": [{"name": "secrets", "kind": "Secret", "namespaced": True}]})
    )
    one = provider({"kubeconfig": kubeconfig(server=fake_server.url)})
    plain = resource("kubernetes:core/v1:Secret", "s", manifest("Secret", stringData={"token": "hush-canary"}))

    with pytest.raises(KubernetesError) as raised:
        one.create(Resource(urn=plain.urn, type=plain.type, inputs=one.check(plain, None)), PREVIEW)

    assert "hush-canary" not in str(raised.value)
