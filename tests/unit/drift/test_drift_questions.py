"""What hosts are asked: which steps, with which values, and how they stand to what was applied last."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from components.nodes import steps
from components.nodes.config import NodesConfig
from components.nodes.steps import INSTALLATION, Lifecycle, Step, StepOutput, compose, installation
from components.secrets import SecretRef
from labctl.drift import questions as asked
from labctl.drift.asking import ask_text
from labctl.drift.findings import Standing
from labctl.drift.questions import Question, Recorded, installation_check, questions
from labctl.engine.state import ResourceState, Snapshot
from labctl.graph.values import Secret, Value

PARENT = "urn:pulumi:prod::research-compute::lab:index:NodeBootstrap::nodes"
HARDWARE = {"cpus": 8, "memory": "32Gi", "ephemeralStorage": "100G"}


def nodes(reconverge: int = 0) -> NodesConfig:
    return NodesConfig.model_validate(
        {
            "hosts": {
                "cp-1": {"address": "192.0.2.11", "roles": ["control-plane"], "hardware": HARDWARE},
                "worker-1": {
                    "address": "192.0.2.12",
                    "roles": ["worker"],
                    "hardware": HARDWARE,
                    "reconverge": reconverge,
                },
            }
        }
    )


def state_of(*applied: tuple[str, Value, Value]) -> Recorded:
    """Return a state with commands: the resource's name, what its shell was fed, what it printed."""
    component = ResourceState(urn=PARENT, type="lab:index:NodeBootstrap", custom=False)
    commands = [
        ResourceState(
            urn=f"{PARENT.replace('::nodes', '$command:remote:Command')}::nodes-{name}",
            type="command:remote:Command",
            custom=True,
            parent=PARENT,
            inputs={"stdin": stdin},
            outputs={"stdout": stdout},
        )
        for name, stdin, stdout in applied
    ]
    return Recorded(Snapshot((component, *commands)))


def ask(plan: Sequence[Step], recorded: Recorded | None = None, config: NodesConfig | None = None) -> Question:
    (question,) = questions(plan, config or nodes(), recorded or state_of(), {"token": "canary"})["worker-1"]
    return question


SYSTEM = Step(name="file", subject="worker-1", host="worker-1", values={"WANTED_PATH": "/x", "WANTED_TEXT": "y"})
ADMIT = Step(name="admit", subject="worker-1", host="cp-1", values={}, lifecycle=Lifecycle.ONCE, generation=2)
JOIN = Step(
    name="file",
    subject="worker-1",
    host="worker-1",
    values={"CERTIFICATE": StepOutput(step="admit", host="worker-1", key="certificate")},
)


@pytest.mark.usefixtures("scripts")
class TestQuestions:
    def test_only_steps_that_converge(self) -> None:
        leaving = Step(name="member", subject="worker-1", host="cp-1", values={}, lifecycle=Lifecycle.LEAVING)
        assert list(questions([ADMIT, leaving, SYSTEM], nodes(), state_of(), {})) == ["worker-1"]

    def test_values_of_every_step(self) -> None:
        text = ask([SYSTEM], config=nodes(reconverge=3)).text or ""
        assert "readonly RECONVERGE=3\n" in text
        assert "readonly STEP_HOST=worker-1\n" in text

    def test_a_secret_is_put_in(self) -> None:
        step = Step(name="file", subject="worker-1", host="worker-1", values={"TOKEN": SecretRef(secret="token")})
        assert "readonly TOKEN=canary\n" in (ask([step]).text or "")

    def test_a_result_that_is_not_known_yet(self) -> None:
        question = ask([ADMIT, JOIN])
        assert (question.text, question.waits_for) == (None, ("worker-1-admit-2",))

    @pytest.mark.parametrize("stdout", ["", "no JSON", "[]", '{"result": 4}'])
    def test_a_result_nobody_can_read_is_not_known(self, stdout: str) -> None:
        assert ask([ADMIT, JOIN], state_of(("worker-1-admit-2", "", stdout))).waits_for == ("worker-1-admit-2",)

    def test_a_result_from_the_state_opened(self) -> None:
        printed = Secret(json.dumps({"result": {"certificate": "PEM"}}))
        assert "readonly CERTIFICATE=PEM\n" in (
            ask([ADMIT, JOIN], state_of(("worker-1-admit-2", "", printed))).text or ""
        )

    def test_a_result_of_another_generation_is_not_taken(self) -> None:
        printed = json.dumps({"result": {"certificate": "old"}})
        assert ask([ADMIT, JOIN], state_of(("worker-1-admit-1", "", printed))).text is None

    def test_a_result_of_a_step_that_the_plan_does_not_have(self) -> None:
        assert "readonly CERTIFICATE=''\n" in (ask([JOIN]).text or "")

    def test_standing(self) -> None:
        applied = compose(SYSTEM, {**_plain(SYSTEM), "RECONVERGE": 0, "STEP_HOST": "worker-1"})
        with_password = f"hunter2\n# research-compute\n{applied}"
        for stdin, standing in (
            (applied, Standing.APPLIED),
            (Secret(applied), Standing.APPLIED),
            (Secret(with_password), Standing.APPLIED),
            (applied.replace("/x", "/z"), Standing.CHANGED),
            (applied + "\n", Standing.CHANGED),
        ):
            assert ask([SYSTEM], state_of(("worker-1-file", stdin, ""))).standing is standing
        assert ask([SYSTEM]).standing is Standing.NEW
        raised = ask([SYSTEM], state_of(("worker-1-file", applied, "")), nodes(reconverge=1))
        assert raised.standing is Standing.CHANGED, "reconverge was raised and not applied yet"

    def test_the_scripts_are_asked_about_by_checksum(self) -> None:
        step = Step(name=INSTALLATION, subject="worker-1", host="worker-1", values={}, libraries=("lib",))
        applied = installation(("lib",), {"RECONVERGE": 0, "STEP_HOST": "worker-1"})
        question = ask([step], state_of(("worker-1-scripts", applied, "")))
        assert question.standing is Standing.APPLIED
        raised = ask([step], state_of(("worker-1-scripts", applied, "")), nodes(reconverge=1))
        assert raised.standing is Standing.CHANGED, "reconverge brings deleted scripts back"
        assert len(question.text or "") < sum(len(steps.read_script(name)) for name in steps.COMMON) + 5_000

    def test_the_library_goes_once(self) -> None:
        question = ask([SYSTEM])
        library = steps.read_script("lib")
        head, _, packed = ask_text([question] * 5, "word").partition(b"\n")
        body = gzip.decompress(packed).decode()
        assert head == b'eval "$(gzip -dc)"'
        assert library in (question.text or "")
        assert body.count("want_service()") == 1
        assert body.count('eval "$RESEARCH_COMPUTE_COMMON"') == 5


def _plain(step: Step) -> dict[str, steps.PlainValue]:
    return {name: value for name, value in step.values.items() if not isinstance(value, (SecretRef, StepOutput))}


def test_scripts_missing_changed_and_right(scripts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "there"
    for module in (steps, asked):
        monkeypatch.setattr(module, "FOLDER", str(folder))

    def shell(text: str, mode: str) -> list[str]:
        places = (
            f"STATE_FOLDER={tmp_path / 'state'}; CACHE_FOLDER={tmp_path / 'cache'}; LOCK_FILE={tmp_path / 'lock'}\n"
        )
        done = subprocess.run(
            ["/bin/bash", "-s", mode], input=places + text, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)["changed"]

    names = [path.stem for path in scripts.glob("*.sh")]
    names = [path.stem for path in scripts.glob("*.sh")]
    everything = sorted(f"file {folder / steps.script_file(name)}" for name in names)
    assert sorted(shell(installation_check(names, {"STEP_HOST": "worker-1"}), "check")) == everything
    assert not folder.exists()
    assert sorted(shell(installation(names), "apply")) == everything
    assert shell(installation_check(names, {"STEP_HOST": "worker-1"}), "check") == []
    library = folder / steps.script_file("lib")
    library.write_text(library.read_text(encoding="utf-8") + "# by hand\n", encoding="utf-8")
    (folder / steps.script_file("file")).chmod(0o755)
    assert shell(installation_check(names, {"STEP_HOST": "worker-1"}), "check") == [
        f"file {folder / steps.script_file('file')}",
        f"file {library}",
    ]
