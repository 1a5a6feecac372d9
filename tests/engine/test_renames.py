"""Aliases where they contradict each other, where data is at stake, and where a run is cut off among them."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from contract_engines import PROJECT, EmbeddedEngine, Object
from normal_form import steps_by_urn

from labctl.engine.destruction import Gate
from labctl.engine.errors import DestructionRefusedError
from labctl.engine.state import ResourceState

HERE: Final = Path(__file__).parent
BEFORE, AFTER = HERE / "killed" / "renamed1.py", HERE / "killed" / "renamed2.py"
HEAD: Final = """
from pulumi import Alias, ResourceOptions
from pulumi_random import RandomId

"""
BOX: Final = 'RandomId("box", byte_length=2)\n'
CRATE: Final = 'RandomId("crate", byte_length=2, opts=ResourceOptions(aliases=[Alias(name="box")]))\n'
CHEST: Final = 'RandomId("chest", byte_length=2, opts=ResourceOptions(aliases=[Alias(name="box")]))\n'
AFTER_CRATE: Final = 'RandomId("box", byte_length=2, keepers={"after": crate.hex})\n'
RUN_SECONDS: Final = 60.0


def program(folder: Path, body: str) -> Path:
    path = folder / "__main__.py"
    path.write_text(HEAD + body, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (CRATE + CHEST, "both .*::(crate|chest).* and .*::(crate|chest).* go on with .*::box"),
        (BOX + CRATE, "::box.*::crate|::crate.*::box"),
        (f"crate = {CRATE}{AFTER_CRATE}", '::box" exists, and by its alias resource .*::crate'),
        (f"box = {BOX}{CRATE}".replace("byte_length=2, opts", "byte_length=2, keepers={'a': box.hex}, opts"), "exists"),
    ],
)
def test_two_that_were_one_are_refused_with_both_names(body: str, says: str, tmp_path: Path) -> None:
    engine = EmbeddedEngine(folder=tmp_path)
    assert engine.up(program(tmp_path, BOX)).exit_status == 0
    held = ids(engine.export())
    seen = engine.preview(program(tmp_path, body))
    assert seen.exit_status == 1
    (said,) = [item["message"] for item in seen.plan["diagnostics"]]
    assert re.search(says, said), said
    assert "remove the alias, or the other resource" in said
    made = engine.up(program(tmp_path, body))
    assert made.exit_status == 1
    assert set(held.values()) <= set(ids(engine.export()).values())
    assert engine.up(program(tmp_path, CRATE)).exit_status == 0


def test_an_alias_that_is_no_urn_is_refused(tmp_path: Path) -> None:
    body = 'RandomId("crate", byte_length=2, opts=ResourceOptions(aliases=["box"]))\n'
    seen = EmbeddedEngine(folder=tmp_path).preview(program(tmp_path, body))
    (said,) = [item["message"] for item in seen.plan["diagnostics"]]
    assert "'crate' has the alias 'box', which is not a URN" in said


def test_an_alias_of_what_is_not_there_makes_a_new_one(tmp_path: Path) -> None:
    engine = EmbeddedEngine(folder=tmp_path)
    assert engine.preview(program(tmp_path, CRATE)).plan["changeSummary"] == {"create": 2}


def test_a_preview_says_what_it_was_called(tmp_path: Path) -> None:
    engine = EmbeddedEngine(folder=tmp_path)
    assert engine.up(program(tmp_path, BOX)).exit_status == 0
    changed = CRATE.replace("byte_length=2", "byte_length=3")
    (step,) = [step for step in engine.preview(program(tmp_path, changed)).plan["steps"] if step["op"] == "replace"]
    assert step["urn"].endswith("::crate")
    assert step["oldState"]["urn"].endswith("::box")
    assert step["newState"]["aliases"] == [step["oldState"]["urn"]]


def test_a_protected_one_is_protected_under_any_name(tmp_path: Path) -> None:
    engine = EmbeddedEngine(folder=tmp_path)
    assert engine.up(program(tmp_path, BOX.replace(")", ", opts=ResourceOptions(protect=True))"))).exit_status == 0
    made = engine.up(program(tmp_path, CRATE.replace("byte_length=2", "byte_length=3")))
    assert made.exit_status == 1
    assert re.search('resource ".*::crate" cannot be deleted because it is protected', made.text)


@pytest.mark.parametrize("allowed", ["*::space", "*::room"])
def test_the_gate_looks_at_either_name(allowed: str) -> None:
    type_ = "kubernetes:core/v1:Namespace"
    former = ResourceState(urn=f"urn:pulumi:dev::x::{type_}::space", type=type_, custom=True, id="lab")
    now = f"urn:pulumi:dev::x::{type_}::room"
    Gate((allowed,)).check(former, now)
    with pytest.raises(DestructionRefusedError, match=re.escape(f"--allow-destroy '{now}'")):
        Gate(("*::other",)).check(former, now)


def test_a_node_stays_one_when_its_command_moves() -> None:
    join = "lab:index:NodeBootstrap$command:remote:Command::lab-a-join"
    former = ResourceState(urn=f"urn:pulumi:dev::x::{join}", type="command:remote:Command", custom=True, id="a")
    for state, now in ((former, "urn:pulumi:dev::x::command:remote:Command::other"), (former, "")):
        with pytest.raises(DestructionRefusedError, match="a node of the cluster"):
            Gate().check(state, now)


KILLS: Final = [
    *((at, "before") for at in (6, 12)),
    *((at, how) for how in ("within", "after") for at in (5, 9, 13, 15)),
]


@pytest.mark.parametrize(("at", "when"), KILLS)
def test_a_run_killed_among_renames_is_finished_by_the_next(at: int, when: str, tmp_path: Path) -> None:
    engine = EmbeddedEngine(folder=tmp_path, config={f"{PROJECT}:namespace": ""})
    assert engine.up(BEFORE).exit_status == 0
    held = ids(engine.export())
    order = {"folder": str(tmp_path), "namespace": "", "program": str(AFTER), "kill": {"at": at, "when": when}}
    command = [sys.executable, str(HERE / "killable_run.py"), json.dumps(order)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert done.returncode == -signal.SIGKILL, f"{done.stdout}{done.stderr}"
    lock = engine.open_files().lock()
    for left in lock.others():
        lock.release_other(left.id)
    finished = engine.up(AFTER)
    assert finished.exit_status == 0, finished.text
    exported = engine.export()
    assert {name.replace("manor", "villa"): id_ for name, id_ in ids(exported).items()} == held
    assert not exported["deployment"].get("pending_operations")
    assert not any("villa" in resource["urn"] for resource in exported["deployment"]["resources"])
    assert (tmp_path / "log").read_text(encoding="utf-8") == "made\n" * 2
    seen = engine.preview(AFTER)
    assert (seen.exit_status, steps_by_urn(seen.plan)) == (0, {})
    assert engine.destroy().exit_status == 0


def ids(exported: Object) -> dict[str, str]:
    """Return the ids of what providers hold, by logical name."""
    return {
        item["urn"].split("::")[3]: item["id"]
        for item in exported["deployment"].get("resources", [])
        if item["custom"] and not item["type"].startswith("pulumi:providers:")
    }
