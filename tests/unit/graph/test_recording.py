"""The program runs in this process and its graph is what the official engine would be asked for."""

from __future__ import annotations

from collections.abc import Callable

import pulumi
import pytest
from pulumi import ResourceOptions as Options
from pulumi_command.local import Command
from pulumi_random import RandomId, RandomPassword

from labctl.graph.errors import DuplicateResourceError, InvalidAliasError, ProgramError, UnsupportedFeatureError
from labctl.graph.program import Program
from labctl.graph.record import Graph, record
from labctl.graph.values import UNKNOWN, Secret


def graph_of(entry: Callable[[], None]) -> Graph:
    return record(Program(project="p", stack="dev", entry=entry))


class Outer(pulumi.ComponentResource):
    def __init__(self, name: str, opts: Options | None = None) -> None:
        super().__init__("lab:index:Outer", name, {"given": 1}, opts)
        first = RandomId(f"{name}-id", byte_length=4, opts=Options(parent=self))
        inner = Inner(f"{name}-inner", Options(parent=self, depends_on=[first]))
        self.last = Command(f"{name}-last", create=first.hex, opts=Options(parent=self, depends_on=[inner]))
        self.register_outputs({"last": self.last.stdout})


class Inner(pulumi.ComponentResource):
    def __init__(self, name: str, opts: Options | None = None) -> None:
        super().__init__("lab:index:Inner", name, None, opts)
        Command(f"{name}-cmd", create="echo inner", opts=Options(parent=self))
        self.register_outputs({})


def test_urns_follow_the_chain_of_parents() -> None:
    graph = graph_of(lambda: Outer("lab") and None)
    assert {goal.urn.split("::", 2)[2] for goal in graph.goals} == {
        "pulumi:pulumi:Stack::p-dev",
        "lab:index:Outer::lab",
        "lab:index:Outer$random:index/randomId:RandomId::lab-id",
        "lab:index:Outer$lab:index:Inner::lab-inner",
        "lab:index:Outer$lab:index:Inner$command:local:Command::lab-inner-cmd",
        "lab:index:Outer$command:local:Command::lab-last",
    }


def test_what_is_needed_comes_first() -> None:
    graph = graph_of(lambda: Outer("lab") and None)
    place = {goal.urn: index for index, goal in enumerate(graph.goals)}
    for goal in graph.goals:
        for needed in {goal.parent, *goal.dependencies} - {""}:
            assert place[needed] < place[goal.urn]


def test_depending_on_a_component_means_its_children() -> None:
    graph = graph_of(lambda: Outer("lab") and None)
    last = next(goal for goal in graph.goals if goal.name == "lab-last")
    assert [urn.rsplit("::", 1)[1] for urn in last.dependencies] == ["lab-inner-cmd", "lab-id"]
    assert [urn.rsplit("::", 1)[1] for urn in last.property_dependencies["create"]] == ["lab-id"]
    assert last.inputs["create"] is UNKNOWN


def test_options_and_secrets_are_recorded() -> None:
    def entry() -> None:
        Command(
            "c",
            create=pulumi.Output.secret("hush"),
            opts=Options(
                protect=True,
                retain_on_delete=True,
                ignore_changes=["create"],
                replace_on_changes=["update"],
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(create="1h30m", delete="45s"),
            ),
        )
        RandomPassword("pw", length=20)

    graph = graph_of(entry)
    command = next(goal for goal in graph.goals if goal.name == "c")
    assert command.inputs["create"] == Secret("hush")
    assert (command.protect, command.retain_on_delete, command.delete_before_replace) == (True, True, True)
    assert command.ignore_changes == ("create",)
    assert command.replace_on_changes == ("update", "triggers[*]")
    assert (command.timeouts.create, command.timeouts.update, command.timeouts.delete) == (5400, None, 45)
    assert command.version == "1.2.1"
    password = next(goal for goal in graph.goals if goal.name == "pw")
    assert password.additional_secret_outputs == ("bcryptHash", "result")


def test_stack_outputs_are_recorded_and_a_generated_secret_stays_one() -> None:
    def entry() -> None:
        pulumi.export("plain", "x")
        pulumi.export("password", RandomPassword("pw", length=20).result)

    graph = graph_of(entry)
    outputs = graph.outputs["urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev"]
    assert outputs == {"plain": "x", "password": Secret(UNKNOWN)}


def test_configuration_reaches_the_program_with_its_secrets() -> None:
    seen: dict[str, object] = {}

    def entry() -> None:
        config = pulumi.Config("research-compute")
        seen["cluster"] = config.require_object("cluster")
        Command("c", create=config.require_secret("token"))

    program = Program(
        project="research-compute",
        stack="dev",
        entry=entry,
        config={"research-compute:cluster": '{"name": "jsi"}', "research-compute:token": "hush"},
        secret_keys=("research-compute:token",),
    )
    goal = next(goal for goal in record(program).goals if goal.name == "c")
    assert seen["cluster"] == {"name": "jsi"}
    assert goal.inputs["create"] == Secret("hush")


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "alias": (lambda: RandomId("x", byte_length=4, opts=Options(aliases=["old"])), "which is not a URN"),
    "import": (lambda: RandomId("x", byte_length=4, opts=Options(import_="id")), "import"),
    "get": (lambda: RandomId.get("x", "some-id"), "reading an existing resource"),
    "deleted_with": (
        lambda: RandomId("x", byte_length=4, opts=Options(deleted_with=RandomId("y", byte_length=4))),
        "deleted_with",
    ),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_engine_has_not_is_refused_by_name(make: Callable[[], object], words: str) -> None:
    def entry() -> None:
        make()

    with pytest.raises((UnsupportedFeatureError, InvalidAliasError, ProgramError), match=words):
        graph_of(entry)


def test_an_older_api_version_is_no_alias() -> None:
    def entry() -> None:
        from pulumi_kubernetes.apps.v1 import Deployment  # noqa: PLC0415 - 0.5 s that only this test needs

        Deployment("d", metadata={"name": "d"}, spec={"selector": {}, "template": {}})

    assert graph_of(entry).goals[-1].name == "d"


def test_two_resources_of_one_name_are_refused() -> None:
    def entry() -> None:
        RandomId("same", byte_length=4)
        RandomId("same", byte_length=4)

    with pytest.raises(DuplicateResourceError, match="same"):
        graph_of(entry)


def test_an_exception_of_the_program_names_its_line() -> None:
    def entry() -> None:
        message = "no such pool"
        raise ValueError(message)

    with pytest.raises(ProgramError, match=r"test_recording\.py:\d+: ValueError: no such pool"):
        graph_of(entry)


def test_one_run_leaves_nothing_behind_for_the_next() -> None:
    def failing() -> None:
        RandomId("left", byte_length=4)
        raise KeyError

    with pytest.raises(ProgramError):
        graph_of(failing)
    assert [goal.name for goal in graph_of(lambda: None).goals] == ["p-dev"]
