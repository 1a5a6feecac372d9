"""What the gate takes for destruction: data, and a machine's place in its cluster."""

from __future__ import annotations

import pytest

from labctl.engine.destruction import Gate, holds_data
from labctl.engine.errors import DestructionRefusedError
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
