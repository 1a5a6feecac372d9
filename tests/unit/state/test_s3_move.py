"""From a folder to a bucket, with the engine itself; and by the command line, with everything that it checks first."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bucket_server import BUCKET, never
from moto import mock_aws

from labctl import cli
from labctl.engine.operations import deploy
from labctl.engine.providers import random
from labctl.engine.providers.base import Operation
from labctl.engine.registry import ProviderRegistry
from labctl.engine.run import Run
from labctl.engine.state import (
    Backend,
    FileBackend,
    Passphrase,
    S3Backend,
    UpdateKind,
    export_deployment,
    import_deployment,
    known_passphrases,
    open_backend,
    open_stack,
    read_salt,
    reveal,
)
from labctl.exit_codes import ExitCode
from labctl.graph.program import Program, script
from labctl.lab import backend_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = dict[str, Any]
Spoiled = Callable[[Json], None] | str
ROOT = Path(__file__).parents[3]
PROGRAM = """
import pulumi, pulumi_random
word = pulumi_random.RandomPassword("word", length=12)
pulumi_random.RandomId("id", byte_length=4, keepers={"word": word.id})
pulumi.export("word", word.result)
"""
PASSPHRASE = (Passphrase("the test", "contract"),)
URL = f"s3://{BUCKET}/compute?region=us-east-1"


def up(backend: Backend, folder: Path) -> Mapping[str, int]:
    (folder / "program.py").write_text(PROGRAM)
    program = Program(project="small", stack="dev", entry=script(folder / "program.py"), config={}, root=folder)
    with open_stack(backend.files("small", "dev"), UpdateKind.UPDATE, passphrases=PASSPHRASE) as stack:
        registry = ProviderRegistry({"random": random.FACTORY})
        report = deploy(program, Run(providers=registry, old=stack.snapshot, record=stack, preview=False))
        assert not report.failures
        stack.close(changes=report.summary())
    return report.summary()


def latest(backend: Backend) -> Json:
    """Return the deployment in a checkpoint, without when it was written."""
    content = backend.files("small", "dev").read_checkpoint()
    assert content is not None
    assert content == json.dumps(json.loads(content), separators=(",", ":"), ensure_ascii=False).encode(), (
        "as Go writes"
    )
    found: Json = json.loads(content)["checkpoint"]["latest"]
    del found["manifest"]["time"]
    return found


def test_folder_to_bucket_and_on(bucket: S3Backend, backend: FileBackend, tmp_path: Path) -> None:
    assert up(backend, tmp_path)["create"] >= 3
    stack = open_stack(backend.files("small", "dev"), UpdateKind.PREVIEW, passphrases=PASSPHRASE)
    exported = json.loads(json.dumps(export_deployment(stack.snapshot, stack.codec).deployment))
    import_deployment(bucket.files("small", "dev"), exported, PASSPHRASE)
    assert latest(bucket) == latest(backend), "ciphertexts and salt, too"
    summary = up(bucket, tmp_path)
    assert set(summary) == {"same"}
    assert latest(bucket) == latest(backend)
    others = [key for key in bucket.bucket.tree(".pulumi") if not key.startswith(".pulumi/history/small/dev/dev-")]
    official = [".pulumi/meta.yaml", ".pulumi/stacks/small/dev.json", ".pulumi/stacks/small/dev.json.bak"]
    assert others in (official, official[:2])
    assert [entry["kind"] for entry in bucket.files("small", "dev").history()] == ["update", "import"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the project's own stack file of `prod`, its state in an empty bucket."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("Pulumi.yaml", "Pulumi.prod.yaml"):
        shutil.copy(ROOT / name, folder / name)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PULUMI_BACKEND_URL", URL)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "contract")
    monkeypatch.setattr("labctl.engine.state.locks.atexit.register", never)
    with mock_aws():
        open_bucket().client.create_bucket(Bucket=BUCKET)
        yield folder


def open_bucket() -> Any:  # noqa: ANN401 - the client's many types do not matter here
    return S3Backend(URL).bucket


def prod_state(official: Json) -> Json:
    """Return what the official CLI exported as if of this project's `prod`."""
    return json.loads(json.dumps(official).replace("urn:pulumi:dev::contract::", "urn:pulumi:prod::research-compute::"))


def given(folder: Path, state: Json | str) -> str:
    file = folder / "state.json"
    file.write_text(state if isinstance(state, str) else json.dumps(state))
    return str(file)


def held() -> Json | None:
    content = open_bucket().read(".pulumi/stacks/research-compute/prod.json")
    return None if content is None else json.loads(content)["checkpoint"]["latest"]


def imported(project: Path, state: Json | str, *options: str) -> int:
    return cli.run(["import", "--stack", "prod", "--file", given(project, state), "--yes", *options])


def test_import_and_export_by_the_command_line(
    project: Path, official: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    state = prod_state(official)
    before = (project / "Pulumi.prod.yaml").read_text()
    assert imported(project, state) == ExitCode.OK
    said = capsys.readouterr()
    assert f"imported: {len(state['deployment']['resources'])} resources" in said.out
    salt = official["deployment"]["secrets_providers"]["state"]["salt"]
    assert read_salt(project / "Pulumi.prod.yaml") == salt
    assert (project / "Pulumi.prod.yaml").read_text() == f"{before.rstrip()}\nencryptionsalt: {salt}\n"
    target = project / "exported.json"
    target.touch(mode=0o644)
    assert cli.run(["export", "--stack", "prod", "--file", str(target)]) == ExitCode.OK
    assert target.stat().st_mode & 0o777 == 0o600
    exported = json.loads(target.read_text())
    assert exported["deployment"]["resources"] == state["deployment"]["resources"]
    assert "hush-canary-1" not in target.read_text()
    assert imported(project, state) == ExitCode.OK
    assert open_bucket().read(".pulumi/stacks/research-compute/prod.json.bak")


def test_secrets_shown_are_sealed_again(project: Path, official: Json, capsys: pytest.CaptureFixture[str]) -> None:
    state = prod_state(official)
    assert imported(project, state) == ExitCode.OK
    assert cli.run(["export", "--stack", "prod", "--show-secrets"]) == ExitCode.OK
    shown = capsys.readouterr().out
    shown = shown[shown.index("{") :]
    assert "hush-canary-1" in shown
    del (bare := json.loads(shown))["deployment"]["secrets_providers"]
    open_bucket().delete(".pulumi/stacks/research-compute/prod.json")
    assert imported(project, bare) == ExitCode.OK
    assert "hush-canary-1" not in json.dumps(held())
    stack = open_stack(
        S3Backend(URL).files("research-compute", "prod"), UpdateKind.PREVIEW, passphrases=known_passphrases()
    )
    again = reveal(export_deployment(stack.snapshot, stack.codec).deployment, stack.codec)
    assert json.loads(json.dumps(again))["deployment"]["resources"] == json.loads(shown)["deployment"]["resources"]
    assert (held() or {})["secrets_providers"]["state"]["salt"] == read_salt(project / "Pulumi.prod.yaml")


def test_export_to_a_pipe_is_only_written_to(project: Path, official: Json, capsys: pytest.CaptureFixture[str]) -> None:
    assert imported(project, prod_state(official)) == ExitCode.OK
    capsys.readouterr()
    assert cli.run(["export", "--stack", "prod"]) == ExitCode.OK
    shown = capsys.readouterr().out
    os.mkfifo(pipe := project / "pipe", 0o644)
    mode = pipe.stat().st_mode
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        assert cli.run(["export", "--stack", "prod", "--file", str(pipe)]) == ExitCode.OK
        assert json.loads(read.result(10))["deployment"]["resources"] == json.loads(shown)["deployment"]["resources"]
    assert pipe.stat().st_mode == mode, "as /dev/null would be taken from everybody otherwise"


def drop_last(state: Json) -> None:
    state["deployment"]["resources"].pop()


def of_another_stack(state: Json) -> None:
    text = json.dumps(state["deployment"]["resources"]).replace("urn:pulumi:prod::", "urn:pulumi:test::")
    state["deployment"]["resources"] = json.loads(text)


def of_a_cloud(state: Json) -> None:
    state["deployment"]["secrets_providers"] = {"type": "cloud", "state": {"url": "awskms://alias/x"}}


def of_another_passphrase(state: Json) -> None:
    other = "v1:AAAAAAAAAAA=:v1:uRGUK4NRpug4xvkg:D4y6+w36AEP1fjM6i46DoZ9KQpzRDA=="
    state["deployment"]["secrets_providers"]["state"]["salt"] = other


def half_a_character(state: Json) -> None:
    state["deployment"]["resources"][-1]["inputs"]["said"] = "\ud83d"


def no_number(state: Json) -> None:
    state["deployment"]["resources"][-1]["inputs"]["said"] = float("nan")


def bottomless(state: Json) -> None:
    state["deployment"]["resources"][-1]["inputs"]["said"] = json.loads("[" * 900 + "]" * 900)


def upside_down(state: Json) -> None:
    state["deployment"]["resources"].reverse()


@pytest.mark.parametrize(
    "wrong",
    [
        (drop_last, ExitCode.REFUSED, "the given state lacks 1 thing(s) that the present one has"),
        (of_another_stack, ExitCode.STATE, "is not a resource of stack prod"),
        (of_a_cloud, ExitCode.STATE, "pulumi stack change-secrets-provider passphrase"),
        (of_another_passphrase, ExitCode.STATE, "incorrect passphrase"),
        (upside_down, ExitCode.STATE, "the state is inconsistent and was not used"),
        (half_a_character, ExitCode.STATE, "a text holds half a character"),
        (no_number, ExitCode.STATE, "state.json: not JSON (NaN is no number of JSON)"),
        (bottomless, ExitCode.STATE, "nested too deeply"),
        ("[" * 100_000, ExitCode.STATE, "state.json: not a state: it is nested too deeply"),
        ("{", ExitCode.STATE, "state.json: not JSON"),
        ("[]", ExitCode.STATE, 'give {"version": 3, "deployment": ...}'),
    ],
)
def test_what_is_not_right_changes_nothing(
    project: Path, official: Json, capsys: pytest.CaptureFixture[str], wrong: tuple[Spoiled, ExitCode, str]
) -> None:
    spoil, code, message = wrong
    assert imported(project, prod_state(official)) == ExitCode.OK
    before = {key: open_bucket().read(key) for key in open_bucket().tree(".pulumi")}
    file = (project / "Pulumi.prod.yaml").read_text()
    if isinstance(spoil, str):
        state: Json | str = spoil
    else:
        spoil(state := prod_state(official))
    assert imported(project, state) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert {key: open_bucket().read(key) for key in open_bucket().tree(".pulumi")} == before
    assert (project / "Pulumi.prod.yaml").read_text() == file


@pytest.mark.parametrize("options", [("--drop", "*::RandomId::*"), ("--drop", "*"), ("--replace",)])
def test_what_is_named_may_be_forgotten(project: Path, official: Json, options: tuple[str, ...]) -> None:
    assert imported(project, prod_state(official)) == ExitCode.OK
    dropped = (held() or {})["resources"][-1]["urn"]
    drop_last(state := prod_state(official))
    named = options if "RandomId" not in options[-1] else ("--drop", dropped)
    assert imported(project, state, *named) == ExitCode.OK
    assert dropped not in {item["urn"] for item in (held() or {})["resources"]}


def test_pending_operation_is_not_forgotten_either(
    project: Path, official: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(project, prod_state(official)) == ExitCode.OK
    files = S3Backend(URL).files("research-compute", "prod")
    lost = open_stack(files, UpdateKind.UPDATE, passphrases=known_passphrases())
    lost.begin(Operation.CREATING, lost.snapshot.resources[-1])
    lost.abandon()
    assert imported(project, prod_state(official)) == ExitCode.REFUSED
    assert "(creating, not known to have ended)" in capsys.readouterr().err
    assert imported(project, prod_state(official), "--replace") == ExitCode.OK
    assert "pending_operations" not in (held() or {})
    kept = json.loads(open_bucket().read(".pulumi/stacks/research-compute/prod.json.bak"))["checkpoint"]["latest"]
    assert len(kept["pending_operations"]) == 1


def test_damaged_state_is_replaced_only_on_request(project: Path, official: Json) -> None:
    key = ".pulumi/stacks/research-compute/prod.json"
    open_bucket().write(key, b"{")
    assert imported(project, prod_state(official)) == ExitCode.STATE
    assert open_bucket().read(key) == b"{"
    assert imported(project, prod_state(official), "--replace") == ExitCode.OK
    assert open_bucket().read(f"{key}.bak") == b"{"


def test_locks_by_the_command_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = S3Backend(URL).files("research-compute", "prod").lock()
    lock.acquire()
    assert cli.run(["locks", "--stack", "prod", "--json"]) == ExitCode.OK
    shape = json.loads(capsys.readouterr().out)
    (one,) = shape["locks"]
    assert (shape["stack"], one["id"], one["process"]) == ("prod", lock.id, "runs")
    assert one["ageSeconds"] < 60
    assert cli.run(["locks", "--stack", "prod"]) == ExitCode.OK
    assert lock.id in capsys.readouterr().out
    assert cli.run(["unlock", "another", "--stack", "prod"]) == ExitCode.STATE
    assert cli.run(["unlock", lock.id, "--stack", "prod"]) == ExitCode.OK
    assert "that process still runs" in capsys.readouterr().err
    assert cli.run(["locks", "--stack", "prod"]) == ExitCode.OK
    assert "nobody holds a lock on prod" in capsys.readouterr().out


def test_backend_by_the_command_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["backend", "check", "--json"]) == ExitCode.UNHEALTHY
    shape = json.loads(capsys.readouterr().out)
    assert (shape["backend"], shape["healthy"]) == (f"s3://{BUCKET}/compute", False)
    assert {finding["check"]: finding["verdict"] for finding in shape["findings"]}["versioning"] == "differs"
    folder = f"file://{project}/there"
    assert cli.run(["backend", "check", folder]) == ExitCode.STATE
    assert cli.run(["backend", "init", folder]) == ExitCode.OK
    assert cli.run(["backend", "check", folder]) == ExitCode.OK
    assert cli.run(["backend", "check", "s3://lab-state?regio=x"]) == ExitCode.STATE
    assert "unknown parameter 'regio'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "url"),
    [
        ("", "file://./.lab/state"),
        ("backend: {url: 's3://lab-state?region=eu-north-1'}", "s3://lab-state?region=eu-north-1"),
        ("# backend: nowhere", "file://./.lab/state"),
    ],
)
def test_url_of_the_project(project: Path, monkeypatch: pytest.MonkeyPatch, line: str, url: str) -> None:
    assert backend_url(project) == URL
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    with (project / "Pulumi.yaml").open("a") as file:
        file.write(f"\n{line}\n")
    assert backend_url(project) == url
    assert open_backend(url, project).url == url


def test_project_whose_backend_has_no_url(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    with (project / "Pulumi.yaml").open("a") as file:
        file.write("\nbackend: s3://lab-state\n")
    assert cli.run(["locks", "--stack", "prod"]) == ExitCode.INVALID
    assert "Pulumi.yaml: backend: give it a url" in capsys.readouterr().err


def test_a_folder_that_is_open_is_mended_by_the_command_that_is_told(
    tmp_path: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "with a space"
    url = f"file://{folder}"
    assert cli.run(["backend", "init", url]) == ExitCode.OK
    folder.chmod(0o777)
    assert cli.run(["backend", "check", url]) == ExitCode.UNHEALTHY
    told = capsys.readouterr().err.replace("\n", "").split("`")[1]
    assert cli.run(shlex.split(told)[1:]) == ExitCode.OK


def test_the_history_says_who_imported(project: Path, official: Json, capsys: pytest.CaptureFixture[str]) -> None:
    assert imported(project, prod_state(official)) == ExitCode.OK
    capsys.readouterr()
    assert cli.run(["history", "--stack", "prod", "--show", "1", "--json"]) == ExitCode.OK
    entry = json.loads(capsys.readouterr().out)
    assert entry["kind"] == "import"
    assert entry["environment"]["exec.kind"] == "labctl"
    assert entry["environment"]["labctl.user"]
