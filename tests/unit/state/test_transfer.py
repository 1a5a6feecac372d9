"""What is handed over to the official CLI, and under which passphrase."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.engine.state import (
    Codec,
    PendingOperation,
    SecretsManager,
    Snapshot,
    UpdateKind,
    export_deployment,
    import_deployment,
    known_passphrases,
    open_stack,
    verify,
)
from labctl.graph.values import Secret

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from one_stack import Lab

    from labctl.engine.state import FileStackFiles


def deploy(lab: Lab) -> Snapshot:
    with lab.open() as stack:
        lab.start(stack)
    return lab.open(UpdateKind.PREVIEW).snapshot


def test_recorded_resources_are_left_out(lab: Lab, codec: Codec) -> None:
    root, provider = deploy(lab).resources
    chart = replace(lab.resource("chart"), outputs={"__labSimulated": True})
    installed = replace(lab.resource("installed"), outputs={"__labSimulated": False})
    user = replace(
        lab.resource("user"),
        parent=chart.urn,
        dependencies=(installed.urn, chart.urn),
        property_dependencies={"create": (chart.urn,)},
    )
    pending = PendingOperation(operation=lab.creating, resource=chart)
    exported = export_deployment(Snapshot((root, provider, installed, chart, user), (pending,)), codec)
    assert exported.left_out == (chart.urn,)
    assert exported.deployment["version"] == 3
    deployment = json.loads(json.dumps(exported.deployment))["deployment"]
    assert "pending_operations" not in deployment
    snapshot = Snapshot.from_json(deployment, codec, "export")
    verify(snapshot.resources)
    assert [state.name for state in snapshot.resources] == ["lab-dev", "default", "installed", "user"]
    kept = snapshot.resources[-1]
    assert kept.parent == root.urn
    assert kept.dependencies == (installed.urn,)
    assert kept.property_dependencies == {"create": ()}


def test_export_import_round_trip(lab: Lab, files: FileStackFiles) -> None:
    with lab.open() as stack:
        lab.start(stack)
        state = lab.resource("a", inputs={"stdin": Secret("hush"), "n": [1, 1.5, None, {"x": False}]})
        stack.done(stack.begin(lab.creating, state), state)
    before = lab.open(UpdateKind.PREVIEW)
    exported = json.loads(json.dumps(export_deployment(before.snapshot, before.codec).deployment))
    assert "hush" not in json.dumps(exported)
    assert import_deployment(files, exported, lab.passphrases).snapshot == before.snapshot
    assert lab.open(UpdateKind.PREVIEW).snapshot == before.snapshot


def test_import_ends_what_a_cut_off_run_had_left(lab: Lab, files: FileStackFiles) -> None:
    snapshot = deploy(lab)
    exported = export_deployment(snapshot, lab.open(UpdateKind.PREVIEW).codec).deployment
    stack = lab.open()
    stack.begin(lab.creating, lab.resource("a"))
    stack.abandon()
    import_deployment(files, exported, lab.passphrases)
    assert lab.open(UpdateKind.PREVIEW).snapshot == snapshot


def test_default_passphrase_gives_way_to_a_real_one(
    lab: Lab, files: FileStackFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = tmp_path / "passphrase"
    sealed = lab.resource("a", inputs={"stdin": Secret("hush")})
    with open_stack(files, UpdateKind.UPDATE, passphrases=known_passphrases(default)) as stack:
        lab.start(stack)
        stack.done(stack.begin(lab.creating, sealed), sealed)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "real")
    with open_stack(files, UpdateKind.UPDATE, passphrases=known_passphrases(default)) as stack:
        for state in stack.snapshot.resources:
            stack.register(replace(state, protect=True))
    default.unlink()
    found = open_stack(files, UpdateKind.PREVIEW, passphrases=known_passphrases())
    assert found.snapshot.resources[2].inputs["stdin"] == Secret("hush")
    assert found.codec.manager.source == "PULUMI_CONFIG_PASSPHRASE"


def test_stack_files_salt_is_what_is_sealed_with_from_then_on(lab: Lab, files: FileStackFiles) -> None:
    other = SecretsManager(None, lab.passphrases)
    other.encrypt("make a salt")
    sealed = lab.resource("a", inputs={"stdin": Secret("hush")})
    with open_stack(files, UpdateKind.UPDATE, passphrases=lab.passphrases, salt=other.salt) as stack:
        lab.start(stack)
        stack.done(stack.begin(lab.creating, sealed), sealed)
    stack = lab.open()
    stack.done(stack.begin(lab.creating, lab.resource("b")), lab.resource("b"))
    stack.abandon()
    with lab.open() as stack:
        assert len(stack.snapshot.resources) == 4
    latest = json.loads(files.read_checkpoint() or b"")["checkpoint"]["latest"]
    assert latest["secrets_providers"]["state"]["salt"] == lab.salt
    assert lab.open(UpdateKind.PREVIEW).snapshot.get(sealed.urn) is not None
