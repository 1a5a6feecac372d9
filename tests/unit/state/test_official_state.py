"""What the official CLI wrote is read, and written back as it was."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from labctl.engine.state import (
    FileBackend,
    ForeignSecretsError,
    ForeignStackError,
    MalformedStateError,
    SnapshotIntegrityError,
    StackLockedError,
    UpdateKind,
    WrongPassphraseError,
    export_deployment,
    import_deployment,
    open_stack,
)
from labctl.engine.state.passphrase import Passphrase
from labctl.graph.values import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_stack import Lab

Json = dict[str, Any]
Passphrases = tuple[Passphrase, ...]


def test_comes_back_as_it_was_with_the_same_ciphertexts(
    backend: FileBackend, official: Json, passphrases: Passphrases
) -> None:
    expected = copy.deepcopy(official)
    files = backend.files("contract", "dev")
    import_deployment(files, official, passphrases)
    stack = open_stack(files, UpdateKind.UPDATE, passphrases=passphrases)
    exported = json.loads(json.dumps(export_deployment(stack.snapshot, stack.codec).deployment))
    stack.close()
    for deployment in (expected["deployment"], exported["deployment"]):
        manifest = deployment.pop("manifest")
        assert manifest["magic"] == hashlib.sha256(manifest["version"].encode()).hexdigest()
    assert exported == expected


def test_secrets_are_opened(backend: FileBackend, official: Json, passphrases: Passphrases) -> None:
    snapshot = import_deployment(backend.files("contract", "dev"), official, passphrases).snapshot
    command = next(state for state in snapshot.resources if state.name == "cmd")
    assert command.inputs["stdin"] == Secret("hush-canary-1")
    assert command.inputs["environment"] == {"PLAIN": "x"}
    assert command.replace_on_changes == ("triggers[*]",)


def test_files_lie_where_the_official_cli_looks(backend: FileBackend, official: Json, passphrases: Passphrases) -> None:
    files = backend.files("contract", "dev")
    import_deployment(files, official, passphrases)
    root = backend.root / ".pulumi"
    assert (root / "meta.yaml").read_text() == "version: 1\n"
    checkpoint = json.loads((root / "stacks/contract/dev.json").read_text())
    assert checkpoint["version"] == 3
    assert checkpoint["checkpoint"]["stack"] == "organization/contract/dev"
    assert checkpoint["checkpoint"]["latest"]["secrets_providers"]["type"] == "passphrase"
    assert backend.stacks("contract") == ["dev"]
    assert files.history()[0]["kind"] == "import"
    assert not list((root / "locks").rglob("*.json"))


def test_wrong_passphrase_changes_nothing(backend: FileBackend, official: Json) -> None:
    files = backend.files("contract", "dev")
    with pytest.raises(WrongPassphraseError, match=r"incorrect passphrase.*of the wrong one"):
        import_deployment(files, official, (Passphrase("the wrong one", "nope"),))
    assert files.read_checkpoint() is None


def test_import_waits_for_nobody(backend: FileBackend, official: Json, passphrases: Passphrases) -> None:
    files = backend.files("contract", "dev")
    other = files.lock()
    other.acquire()
    with pytest.raises(StackLockedError):
        import_deployment(files, official, passphrases)
    other.release()
    assert files.read_checkpoint() is None


def drop_provider(deployment: Json) -> None:
    deployment["resources"] = [item for item in deployment["resources"] if "providers:random" not in item["type"]]


def turn_around(deployment: Json) -> None:
    deployment["resources"].reverse()


def double(deployment: Json) -> None:
    deployment["resources"].append(copy.deepcopy(deployment["resources"][-1]))


def tamper(deployment: Json) -> None:
    deployment["manifest"]["version"] = "v9"


def another_provider(deployment: Json) -> None:
    deployment["secrets_providers"] = {"type": "cloud", "state": {}}


def lose_urn(deployment: Json) -> None:
    del deployment["resources"][2]["urn"]


def wrong_kind(deployment: Json) -> None:
    deployment["resources"][2]["dependencies"] = "none"


def component_with_id(deployment: Json) -> None:
    deployment["resources"][2]["custom"] = False


def empty_secret(deployment: Json) -> None:
    deployment["resources"][2]["inputs"]["stdin"].pop("ciphertext")


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (drop_provider, SnapshotIntegrityError, "its provider .* is not among the earlier resources"),
        (turn_around, SnapshotIntegrityError, "provider|parent"),
        (double, SnapshotIntegrityError, "exists twice"),
        (tamper, MalformedStateError, "manifest.magic does not match"),
        (
            another_provider,
            ForeignSecretsError,
            "secrets provider 'cloud'.*pulumi stack change-secrets-provider passphrase",
        ),
        (lose_urn, MalformedStateError, r"resources\[2\]: urn must be a string"),
        (wrong_kind, MalformedStateError, "dependencies must be a list of strings"),
        (component_with_id, MalformedStateError, "a component has no id"),
        (empty_secret, MalformedStateError, "exactly one of ciphertext and plaintext"),
    ],
)
def test_refuses_what_is_inconsistent(
    lab: Lab, official: Json, spoil: Callable[[Json], None], error: type[Exception], message: str
) -> None:
    spoil(official["deployment"])
    with pytest.raises(error, match=message):
        import_deployment(lab.files, official, lab.passphrases)


def test_refuses_another_stacks_state(backend: FileBackend, official: Json, passphrases: Passphrases) -> None:
    with pytest.raises(ForeignStackError, match="is not a resource of stack prod"):
        import_deployment(backend.files("contract", "prod"), official, passphrases)


def test_refuses_another_version(backend: FileBackend, official: Json, passphrases: Passphrases) -> None:
    with pytest.raises(MalformedStateError, match=r'give \{"version": 3'):
        import_deployment(backend.files("contract", "dev"), official | {"version": 4}, passphrases)


def test_keeps_what_it_does_not_know(backend: FileBackend, official: Json, passphrases: Passphrases) -> None:
    foreign: Json = {"aliases": ["urn:old"], "importID": "x", "sourcePosition": "project:///a.py#1,2", "taint": True}
    official["deployment"]["resources"][2] |= foreign
    official["deployment"]["snippets"] = [{"uuid": "1"}]
    files = backend.files("contract", "dev")
    import_deployment(files, official, passphrases)
    stack = open_stack(files, UpdateKind.PREVIEW, passphrases=passphrases)
    exported = json.loads(json.dumps(export_deployment(stack.snapshot, stack.codec).deployment))["deployment"]
    assert exported["resources"][2].items() >= foreign.items()
    assert exported["snippets"] == [{"uuid": "1"}]


def test_reads_secrets_shown_in_plain(backend: FileBackend, official: Json, passphrases: Passphrases) -> None:
    sealed = official["deployment"]["resources"][2]["inputs"]["stdin"]
    del sealed["ciphertext"]
    sealed["plaintext"] = '"shown"'
    files = backend.files("contract", "dev")
    snapshot = import_deployment(files, official, passphrases).snapshot
    assert snapshot.resources[2].inputs["stdin"] == Secret("shown")
    assert b"shown" not in (files.read_checkpoint() or b"")
