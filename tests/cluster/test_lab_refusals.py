"""What labctl will not do, with its exit code, and that nothing was touched; and what it does with nothing at all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from lab_copy import LabCopy
from lab_facts import objects_of_ours, versions


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below `folder`."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def started(lab: LabCopy) -> bool:
    """Tell whether there is anything of a control plane."""
    return (lab.root / ".lab" / lab.stack).exists()


# -- no cluster, no credentials ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", ["test", "next", "prod", "dev"])
def test_every_stack_previews_with_nothing_at_all(project_copy: LabCopy, stack: str) -> None:
    lab = LabCopy(project_copy.root, stack, {"HOME": str(project_copy.root / "nobody"), "USER": "nobody"})
    preview = lab.well("preview")
    assert "to create" in preview.out
    assert f"Preview of {stack}" in preview.out
    assert "Traceback" not in preview.text
    assert not (lab.root / ".lab" / stack).exists(), "no control plane, no folder"
    assert not lab.state.exists()
    steps = lab.well("preview", "--json").json["steps"]
    assert {step["op"] for step in steps} == {"create"}


def test_a_preview_of_production_is_quick(project_copy: LabCopy) -> None:
    lab = LabCopy(project_copy.root, "prod")
    lab.well("preview")
    began = time.monotonic()
    lab.well("preview")
    assert time.monotonic() - began < 60, "2 s on a machine of its own (docs/benchmarks.md); this one may be busy"


def test_two_stacks_are_compared_without_a_cluster(project_copy: LabCopy) -> None:
    lab = LabCopy(project_copy.root)
    compared = lab.run_bare("diff", "test", "prod")
    assert compared.code == 0, compared.text
    assert "hub" in compared.out
    assert not started(lab)


# -- refused before anything happens -----------------------------------------------------------------------------------


def test_an_unknown_stack_is_named_with_those_there_are(project_copy: LabCopy) -> None:
    refused = LabCopy(project_copy.root, "nope").run("up", "--yes")
    assert refused.code == 2
    for word in ("Pulumi.nope.yaml", "dev", "next", "prod", "test"):
        assert word in refused.err


@pytest.mark.parametrize("arguments", [["frobnicate"], ["up", "--no-such-option"], ["up", "--parallel", "0"]])
def test_a_command_line_that_is_not_understood(project_copy: LabCopy, arguments: list[str]) -> None:
    refused = project_copy.run_bare(*arguments)
    assert refused.code == 2
    assert "Traceback" not in refused.text
    assert refused.err.startswith("error: ")


def test_a_wrong_stack_file_is_refused_whole_and_nothing_is_started(project_copy: LabCopy) -> None:
    lab = project_copy.sibling("dev-wrong")
    lab.edit("address: 10.20.0.32", "address: 10.20.0.31")
    lab.edit("culling: {idle: 2h", "culing: {idle: 2h")
    lab.edit("homes: {key: uid, capacity: 100Gi", "homes: {key: uid, capacity: much")
    for verb in ("up", "preview", "destroy"):
        refused = lab.run(verb, *(["--yes"] if verb != "preview" else []))
        assert refused.code == 3
        for words in ("10.20.0.31", "hub.culing", "culling", "hub.homes.capacity", "Pulumi.dev-wrong.yaml"):
            assert words in refused.err
        assert "Traceback" not in refused.text
    assert not started(lab)
    assert not lab.state.exists()


def test_nobody_to_ask_is_no_yes(project_copy: LabCopy) -> None:
    lab = project_copy.sibling("dev-asked")
    refused = lab.run("up")
    assert refused.code == 1
    assert "--yes" in refused.err
    assert not lab.state.exists()
    assert not lab.locks
    assert objects_of_ours(lab.api) == {}
    lab.plane.wipe()


# -- destruction that was not named ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(project_copy: LabCopy) -> LabCopy:
    """A simulated lab in the environment `test`, which protects its data."""
    lab = project_copy.sibling("test-site")
    lab.well("up", "--yes")
    return lab


def test_a_guarded_lab_is_not_destroyed(guarded: LabCopy) -> None:
    before, state = versions(guarded.api), contents(guarded.root / ".lab" / "state")
    for allow in ([], ["--allow-destroy", "*"]):
        refused = guarded.run("destroy", "--yes", *allow)
        assert refused.code == 4
        assert "nothing was touched" in refused.err
        assert "PersistentVolumeClaim::hub-notebooks-claim" in refused.err
        assert "protected" in refused.err
    assert versions(guarded.api) == before
    assert contents(guarded.root / ".lab" / "state") == state


def test_a_change_that_deletes_data_is_refused_as_a_whole(guarded: LabCopy) -> None:
    text = guarded.file.read_text(encoding="utf-8")
    before, state = versions(guarded.api), contents(guarded.root / ".lab" / "state")
    guarded.edit("          - {name: notebooks, path: /tank/notebooks, mountPath: /srv/notebooks, size: 1Ti}\n", "")
    guarded.edit("name: GPU, 40 GB", "name: Renamed")
    try:
        for verb in (["up", "--yes"], ["preview"]):
            refused = guarded.run(*verb)
            assert refused.code == 4
            assert "hub-notebooks-claim" in refused.err
            assert "display_name" in refused.out, "the plan is shown"
    finally:
        guarded.file.write_text(text, encoding="utf-8")
    assert versions(guarded.api) == before, "not even the harmless half of it"
    assert contents(guarded.root / ".lab" / "state") == state


def test_a_namespace_is_deleted_when_it_is_named(guarded: LabCopy) -> None:
    text = guarded.file.read_text(encoding="utf-8")
    start = text.index("      loadBalancer:\n")
    end = text.index("      gateway:", start)
    guarded.file.write_text(text[:start] + text[end:], encoding="utf-8")
    refused = guarded.run("up", "--yes")
    assert refused.code == 4, refused.text
    named = [
        line.rpartition("--allow-destroy ")[2].strip("'") for line in refused.err.splitlines() if "--allow" in line
    ]
    assert any(urn.endswith("::network-metallb-namespace") for urn in named)
    allowed = [argument for urn in named for argument in ("--allow-destroy", urn)]
    guarded.well("up", "--yes", *allowed)
    assert not guarded.api.exists("/api/v1/namespaces/metallb-test-site")
    guarded.file.write_text(text, encoding="utf-8")
    guarded.well("up", "--yes")
    assert guarded.api.exists("/api/v1/namespaces/metallb-test-site")


# -- the passphrase ----------------------------------------------------------------------------------------------------


@pytest.fixture
def passphrase(guarded: LabCopy) -> Generator[Path]:
    """The file with the passphrase of the project's simulated labs, right again afterwards."""
    path = guarded.root / ".lab" / "passphrase"
    right = path.read_text(encoding="utf-8")
    yield path
    path.write_text(right, encoding="utf-8")


def test_a_wrong_passphrase_touches_nothing(guarded: LabCopy, passphrase: Path) -> None:
    before, state = versions(guarded.api), contents(guarded.root / ".lab" / "state")
    passphrase.write_text("correct horse", encoding="utf-8")
    for lab in (guarded, LabCopy(guarded.root, guarded.stack, {"PULUMI_CONFIG_PASSPHRASE": "battery staple"})):
        for verb in (["up", "--yes"], ["preview"], ["destroy", "--yes"], ["export"], ["outputs"]):
            refused = lab.run(*verb)
            assert refused.code == 6, (verb, refused.text)
            assert "passphrase" in refused.err
            assert "horse" not in refused.text
            assert "staple" not in refused.text
            assert "Traceback" not in refused.text
    assert versions(guarded.api) == before
    assert contents(guarded.root / ".lab" / "state") == state
    assert not guarded.locks


def test_a_lost_passphrase_is_said_and_nothing_made_up(guarded: LabCopy, passphrase: Path) -> None:
    state = guarded.state.read_bytes()
    passphrase.unlink()
    refused = guarded.run("up", "--yes")
    assert refused.code == 6, refused.text
    assert "passphrase" in refused.err
    assert guarded.state.read_bytes() == state


def test_a_project_that_is_not_one(project_copy: LabCopy, tmp_path: Path) -> None:
    for package in ("labctl", "components", "stacks"):
        shutil.copytree(project_copy.root / package, tmp_path / package)
    refused = LabCopy(tmp_path).run("preview")
    assert refused.code == 2
    assert "Pulumi.yaml" in refused.err
