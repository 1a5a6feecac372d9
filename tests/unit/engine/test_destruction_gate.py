"""What the gate takes for destruction: data, and a machine's place in its cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.engine.destruction import Gate, ended_memberships, holds_data
from labctl.engine.errors import DestructionRefusedError
from labctl.engine.plan import Op, Step
from labctl.engine.state import ResourceState

BOOTSTRAP = "urn:pulumi:prod::research-compute::lab:index:NodeBootstrap"


def state(urn: str, type_: str = "command:remote:Command", *, retained: bool = False) -> ResourceState:
    return ResourceState(urn=urn, type=type_, custom=True, id="x", retain_on_delete=retained)


JOIN = state(f"{BOOTSTRAP}$command:remote:Command::bootstrap-worker-1-join")


def test_a_machine_that_leaves_is_named() -> None:
    assert holds_data(JOIN) == "a node of the cluster (bootstrap-worker-1)"
    with pytest.raises(DestructionRefusedError, match="a node of the cluster"):
        Gate().check(JOIN)
    Gate(allowed=(JOIN.urn,)).check(JOIN)


def test_a_machine_that_is_lost_is_named_by_the_stack_file() -> None:
    Gate().check(state(JOIN.urn, retained=True))


@pytest.mark.parametrize(
    "urn",
    [
        f"{BOOTSTRAP}$command:remote:Command::bootstrap-worker-1-system",
        f"{BOOTSTRAP}$command:remote:Command::bootstrap-join-1-system",
        "urn:pulumi:prod::research-compute::command:remote:Command::somebodys-join",
    ],
)
def test_other_commands_destroy_nothing(urn: str) -> None:
    assert holds_data(state(urn)) is None


def command(name: str) -> str:
    return f"{BOOTSTRAP}$command:remote:Command::bootstrap-{name}"


def deletions(*names: str) -> list[Step]:
    return [Step(op=Op.DELETE, urn=command(name), old=state(command(name)), new=None) for name in names]


def test_a_machine_that_another_one_turns_out_is_named() -> None:
    steps = deletions("cp-1-member", "cp-2-control-plane", "cp-2-certificates", "worker-1-member", "worker-1-join")
    refused = {refusal.args[0].split(",")[0] for refusal in Gate().refusals(steps)}
    assert len(refused) == len(Gate().refusals(steps)) == 3
    named = (command("cp-1-member"), command("cp-2-control-plane"), command("worker-1-join"))
    assert Gate(allowed=named).refusals(steps) == []
    assert [str(each) for each in Gate(allowed=named[1:]).refusals(steps)] == [
        str(DestructionRefusedError(urn=named[0], what="a node of the cluster (bootstrap-cp-1)"))
    ]


def test_who_leaves_as_a_whole_is_named_once() -> None:
    gone = [command(name) for name in ("cp-1-member", "cp-1-control-plane", "cp-1-join", "cp-1-join-member")]
    assert ended_memberships(gone) == {gone[-1]: "a node of the cluster (bootstrap-cp-1-join)"}


def test_who_is_lost_is_named_by_the_stack_file() -> None:
    join = command("cp-1-join")
    lost = Step(op=Op.SAME, urn=join, old=state(join), new=state(join, retained=True))
    steps = deletions("cp-1-member", "cp-1-control-plane")
    assert Gate().refusals([*steps, lost]) == []
    assert len(Gate().refusals([*steps, replace(lost, new=state(join))])) == 2
