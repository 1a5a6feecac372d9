"""Commands on hosts through the engine: as recorded of the official one, and run again after they were cut off."""

import json
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from contract_engines import EmbeddedEngine, Object, Outcome
from normal_form import state_by_urn, steps_by_urn
from ssh_server import LOOPBACK, SshHost, key_pair, serving

URN: Final = "urn:pulumi:dev::contract::command:remote:Command::step"
PROGRAM: Final = """
import json
import pulumi
import pulumi_command as command

connection = json.loads(open("connection.json").read())
connection["privateKey"] = pulumi.Output.secret(connection["privateKey"])
step = command.remote.Command(
    "step",
    connection=connection,
    create="cat >> %(folder)s/log; echo create",
    update="cat >> %(folder)s/log; echo update",
    delete="echo undo >> %(folder)s/log",
    stdin="%(stdin)s\\n",
    add_previous_output_in_env=False,
)
pulumi.export("said", step.stdout)
"""
EMPTY: Final = "import pulumi\n"

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file.*connection.json:ResourceWarning"),  # the program leaves it open
    pytest.mark.filterwarnings("ignore:This resource is deprecated.*CopyToRemote:DeprecationWarning"),  # the SDK itself
]


@dataclass
class Scene:
    """A stack with one step on one host."""

    engine: EmbeddedEngine
    host: SshHost

    @property
    def folder(self) -> Path:
        return self.engine.folder

    def program(self, text: str) -> Path:
        file = self.folder / "__main__.py"
        file.write_text(text, encoding="utf-8")
        return file

    def up(self, stdin: str | None) -> Outcome:
        text = EMPTY if stdin is None else PROGRAM % {"folder": self.folder, "stdin": stdin}
        return self.engine.up(self.program(text))

    def log(self) -> list[str]:
        """What commands on the host have done, in order."""
        file = self.folder / "log"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    def cut_off(self) -> None:
        """Lose the connection as the next command starts."""
        connections = self.host.connections

        def cut(_command: str) -> None:
            self.host.on_command = lambda _command: None
            connections[-1].abort()

        self.host.on_command = cut

    def exported(self) -> Object:
        exported: Object = self.engine.export()["deployment"]
        return exported

    def pending(self) -> list[str]:
        return [item["type"] for item in self.exported().get("pending_operations", [])]

    def settled(self) -> bool:
        """Whether nothing is pending, and another run would do nothing."""
        seen = self.engine.preview(self.folder / "__main__.py")
        return not self.pending() and seen.exit_status == 0 and not steps_by_urn(seen.plan)


@pytest.fixture
def scene(tmp_path: Path) -> Generator[Scene]:
    private, public = key_pair()
    with serving(SshHost(authorized=(public,))) as host:
        connection = {"host": LOOPBACK, "port": host.port, "hostKey": host.public_key, "privateKey": private}
        (tmp_path / "connection.json").write_text(json.dumps(connection), encoding="utf-8")
        yield Scene(EmbeddedEngine(folder=tmp_path), host)


def no_thread_is_left() -> bool:
    return "ssh" not in {thread.name for thread in threading.enumerate()}


def test_a_step_is_created_updated_and_undone(scene: Scene) -> None:
    for stdin in ("one", "one", "two"):
        assert scene.up(stdin).exit_status == 0
        assert scene.settled()
        assert no_thread_is_left()
    assert scene.log() == ["one", "two"]
    assert scene.engine.destroy().exit_status == 0
    assert scene.log() == ["one", "two", "undo"]
    assert len(scene.host.connections) == 3  # one per run that had something to do
    assert no_thread_is_left()


def test_a_creation_that_was_cut_off_is_run_again(scene: Scene) -> None:
    scene.cut_off()
    failed = scene.up("one")
    assert failed.exit_status == 1
    assert "what it did there is not known; the next run runs it again" in failed.text
    assert scene.pending() == ["creating"]
    again = scene.up("one")
    assert (again.exit_status, again.changes["create"]) == (0, 1), again.text
    assert scene.log()[-1] == "one"
    assert [command.split("; ")[-1] for command in scene.host.commands] == ["echo create"] * 2
    assert state_by_urn(scene.engine.export())[URN]["outputs"]["stdout"] == "create"
    assert scene.settled()


def test_a_creation_that_was_cut_off_and_is_no_longer_wanted_is_forgotten(scene: Scene) -> None:
    """As one that failed is: the official engine runs no delete for what was never created."""
    scene.cut_off()
    assert scene.up("one").exit_status == 1
    assert scene.up(None).exit_status == 0
    assert len(scene.host.commands) == 1
    assert scene.settled()


def test_an_update_that_was_cut_off_is_run_again_even_when_it_was_taken_back(scene: Scene) -> None:
    assert scene.up("one").exit_status == 0
    scene.cut_off()
    assert scene.up("two").exit_status == 1
    assert scene.pending() == ["updating"]
    taken_back = scene.up("one")
    assert (taken_back.exit_status, taken_back.changes["update"]) == (0, 1), taken_back.text
    assert scene.log()[-1] == "one"
    assert [command.split("; ")[-1] for command in scene.host.commands] == ["echo create", "echo update", "echo update"]
    assert scene.settled()


def test_a_deletion_that_was_cut_off_is_run_again(scene: Scene) -> None:
    assert scene.up("one").exit_status == 0
    scene.cut_off()
    assert scene.up(None).exit_status == 1
    assert scene.pending() == ["deleting"]
    assert URN in state_by_urn(scene.engine.export())
    assert scene.up(None).exit_status == 0
    assert (scene.log()[-1], len(scene.host.commands)) == ("undo", 3)
    assert URN not in state_by_urn(scene.engine.export())
    assert scene.settled()


def test_a_deletion_that_was_cut_off_and_taken_back_is_made_good(scene: Scene) -> None:
    assert scene.up("one").exit_status == 0
    scene.cut_off()
    assert scene.up(None).exit_status == 1
    back = scene.up("one")
    assert (back.exit_status, back.changes["update"]) == (0, 1), back.text
    assert scene.log()[-1] == "one"
    assert scene.settled()


def test_a_destruction_that_was_cut_off_is_finished_by_the_next(scene: Scene) -> None:
    assert scene.up("one").exit_status == 0
    scene.cut_off()
    assert scene.engine.destroy().exit_status == 1
    assert scene.engine.destroy().exit_status == 0
    assert scene.exported().get("resources", []) == []
    assert scene.log()[-1] == "undo"


def test_no_secret_of_the_connection_is_in_the_state_or_in_what_is_said(scene: Scene) -> None:
    scene.cut_off()
    said = scene.up("one").text
    said += json.dumps(scene.engine.preview(scene.folder / "__main__.py").plan)
    said += scene.up("one").text
    said += json.dumps(scene.engine.export())
    private = json.loads((scene.folder / "connection.json").read_text(encoding="utf-8"))["privateKey"]
    lines = [line for line in private.splitlines() if "KEY" not in line]
    assert lines
    assert not [line for line in lines if line in said]
    for file in (scene.folder / "state").rglob("*.json*"):
        text = file.read_text(encoding="utf-8")
        assert not [line for line in lines if line in text], file


def test_a_program_without_a_host_key_touches_nothing(scene: Scene) -> None:
    file = scene.folder / "connection.json"
    connection: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    del connection["hostKey"]
    file.write_text(json.dumps(connection), encoding="utf-8")
    refused = scene.up("one")
    assert refused.exit_status == 1
    assert "command:remote:Command needs connection.hostKey" in refused.text
    assert scene.engine.preview(scene.folder / "__main__.py").exit_status == 1
    assert scene.host.connections == []


def test_many_steps_on_one_host_share_a_connection(scene: Scene) -> None:
    steps = "\n".join(
        f'command.remote.Command("step{number}", connection=connection, create="echo {number}")' for number in range(30)
    )
    head = (PROGRAM % {"folder": scene.folder, "stdin": "one"}).split("step =", maxsplit=1)[0]
    assert scene.engine.up(scene.program(head + steps)).exit_status == 0
    assert (len(scene.host.commands), len(scene.host.connections)) == (30, 1)


def test_copying_is_refused_by_name(scene: Scene) -> None:
    text = (
        "import pulumi\nimport pulumi_command as command\n"
        'command.remote.CopyToRemote("c", connection={"host": "h"}, source=pulumi.FileAsset("x"), remote_path="/x")\n'
    )
    refused = scene.engine.up(scene.program(text))
    assert refused.exit_status == 1
    assert "CopyToRemote" in refused.text
