"""A run killed with SIGKILL anywhere: the next one finishes it, nothing is lost and nothing is there twice."""

import base64
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from contract_api import Api
from contract_engines import PROJECT, EmbeddedEngine, Object
from normal_form import Opener, opened, steps_by_urn

HERE: Final = Path(__file__).parent
PROGRAMS: Final = [HERE / "killed" / "step1.py", HERE / "killed" / "step2.py"]
WANTED: Final[list[dict[str, Object]]] = [
    {name: {"v": "1"} for name in ("first", "second", "moving-a", "fixed", "leaving")},
    {"first": {"v": "1"}, "second": {"v": "2"}, "moving-b": {"v": "1"}, "fixed": {"v": "2"}, "coming": {"v": "2"}},
]
"""ConfigMaps after each program."""
RESOURCES: Final = [
    {"space", "drawn", "password", "first", "second", "moving", "fixed", "note", "leaving"},
    {"space", "drawn", "password", "first", "second", "moving", "fixed", "note", "coming"},
]
"""What is in the state after each program, beside the stack and the providers."""
LINES: Final = 24
"""Lines of the journal that a run may be killed at; the first program writes about 30."""
KILLS: Final = 2
"""Runs that are killed, one after the other, before one is let through."""
RUN_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Scene:
    """A stack that things happen to, and what may be seen of it."""

    folder: Path
    namespace: str
    api: Api

    @property
    def engine(self) -> EmbeddedEngine:
        return EmbeddedEngine(folder=self.folder, config={f"{PROJECT}:namespace": self.namespace})

    def command(self, program: Path | None, kill: Mapping[str, int | str] | None = None) -> list[str]:
        order: Object = {"folder": str(self.folder), "namespace": self.namespace}
        order |= {"program": str(program)} if program else {}
        order |= {"kill": dict(kill)} if kill else {}
        return [sys.executable, str(HERE / "killable_run.py"), json.dumps(order)]

    def killed(self, program: Path | None, at: int, when: str) -> bool:
        """Run until killed; False when it was over before."""
        command = self.command(program, {"at": at, "when": when})
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
        assert done.returncode in (0, -signal.SIGKILL), f"killed {when} line {at}: {done.stdout}{done.stderr}"
        if done.returncode != 0:
            self.unlock()
        return done.returncode != 0

    def unlock(self) -> None:
        """Free the lock that a killed run has left, if it still held it, as its owner would: it says it is dead."""
        lock = self.engine.open_files().lock()
        for left in lock.others():
            assert left.dead
            lock.release_other(left.id)

    def check(self, round_: int) -> None:
        """All is as the program of `round_` wants it, in the cluster and in the state."""
        inside = f"/api/v1/namespaces/{self.namespace}"
        maps = {item["metadata"]["name"]: item["data"] for item in self.api.items(f"{inside}/configmaps")}
        maps.pop("kube-root-ca.crt", None)
        assert maps == WANTED[round_]
        assert (self.folder / "note").read_text(encoding="utf-8") == f"{round_ + 1}\n"
        exported = self.engine.export()["deployment"]
        assert not exported.get("pending_operations")
        names = [item["urn"].split("::")[3] for item in exported["resources"] if not _is_provider(item)]
        assert sorted(names) == sorted([*RESOURCES[round_], "contract-dev"])
        assert len({item["urn"] for item in exported["resources"]}) == len(exported["resources"])
        self._check_password()
        seen = self.engine.preview(PROGRAMS[round_])
        assert (seen.exit_status, steps_by_urn(seen.plan)) == (0, {})

    def _check_password(self) -> None:
        exported = self.engine.export()
        resources: list[Object] = opened(exported, Opener(exported))["deployment"]["resources"]
        (drawn,) = (item for item in resources if item["urn"].endswith("::drawn"))
        secret = self.api.find(f"/api/v1/namespaces/{self.namespace}/secrets/password")
        assert secret is not None
        assert base64.b64decode(secret["data"]["word"]).decode() == json.loads(drawn["outputs"]["result"]["sealed"])

    def check_gone(self) -> None:
        """Nothing is left anywhere."""
        assert self.api.find(f"/api/v1/namespaces/{self.namespace}") is None
        assert not (self.folder / "note").exists()
        exported = self.engine.export()["deployment"]
        assert (exported.get("resources", []), exported.get("pending_operations", [])) == ([], [])


def _is_provider(resource: Object) -> bool:
    return str(resource["type"]).startswith("pulumi:providers:")


@pytest.fixture
def scene(tmp_path: Path, namespace: str, api: Api, kubeconfig: str) -> Scene:
    (tmp_path / "kubeconfig").write_text(kubeconfig, encoding="utf-8")
    return Scene(tmp_path, namespace, api)


@pytest.mark.cluster
@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_a_run_killed_at_a_line_of_its_journal_is_finished_by_the_next(scene: Scene, when: str) -> None:
    seed = random.randrange(1_000_000)  # noqa: S311 - where to die is no secret
    chance = random.Random(seed)  # noqa: S311 - where to die is no secret
    places: list[str] = []
    for round_, program in enumerate([*PROGRAMS, None]):
        for _ in range(KILLS):
            at = chance.randint(1, LINES)
            if scene.killed(program, at, when):
                places.append(f"run {round_ + 1} {when} line {at}")
        print(f"seed {seed}: killed in {places}")  # noqa: T201 - shown when the test fails
        outcome = scene.engine.up(program) if program else scene.engine.destroy()
        assert outcome.exit_status == 0, outcome.text
        scene.check(round_) if program else scene.check_gone()
    assert places


@pytest.mark.cluster
def test_a_run_killed_at_any_moment_is_finished_by_the_next(scene: Scene) -> None:
    kills = 0
    for round_, program in enumerate(PROGRAMS):
        journal = scene.engine.open_files().journal_path
        with subprocess.Popen(scene.command(program), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
            deadline = time.monotonic() + RUN_SECONDS
            while run.poll() is None and not journal.exists():
                assert time.monotonic() < deadline
                time.sleep(0.005)
            time.sleep(random.uniform(0, 0.3))  # noqa: S311 - any moment will do
            run.kill()
            if run.wait() == -signal.SIGKILL:
                kills += 1
                scene.unlock()
        assert scene.engine.up(program).exit_status == 0
        scene.check(round_)
    assert kills
    assert scene.engine.destroy().exit_status == 0
    scene.check_gone()
