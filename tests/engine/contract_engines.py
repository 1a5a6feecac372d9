"""What runs a contract program: the embedded engine, or the official CLI, behind one small interface."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from labctl.display.json_shape import preview_json
from labctl.engine.destruction import Gate
from labctl.engine.operations import deploy, destroy
from labctl.engine.providers import command, random
from labctl.engine.providers.kubernetes import KubernetesFactory
from labctl.engine.registry import ProviderRegistry
from labctl.engine.report import Report
from labctl.engine.run import Run
from labctl.engine.state import (
    FileBackend,
    FileStackFiles,
    Passphrase,
    Stack,
    UpdateKind,
    export_deployment,
    open_stack,
)
from labctl.graph.program import Program, script

Object = dict[str, Any]
"""A JSON object: tests look into it freely."""

PROJECT: Final = "contract"
STACK: Final = "dev"
PASSPHRASE: Final = "contract"
CLI_SECONDS: Final = 300.0
"""Longest that one call of the official CLI may take, plugins downloaded included."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a preview said."""

    exit_status: int
    plan: Object
    """In the shape of ``pulumi preview --json``."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an update or a destruction ended."""

    exit_status: int
    changes: Mapping[str, int]
    """Steps that were finished, by operation."""
    text: str
    """Everything that was said about failures."""


class ContractEngine(Protocol):
    """One stack of one contract case, and what runs programs on it."""

    @property
    def official(self) -> bool:
        """Whether this is the engine that the others are held against."""
        ...

    @property
    def folder(self) -> Path:
        """The project's folder."""
        ...

    def preview(self, program: Path) -> Preview:
        """Preview `program` against the stack as it is."""
        ...

    def up(self, program: Path) -> Outcome:
        """Bring the stack to `program`, without a preview before it."""
        ...

    def destroy(self) -> Outcome:
        """Delete everything of the stack."""
        ...

    def export(self) -> Object:
        """Return what ``pulumi stack export`` prints."""
        ...


@dataclass(frozen=True, kw_only=True)
class EmbeddedEngine:
    """The engine in this process, put together as `labctl` does it."""

    folder: Path
    config: Mapping[str, str] = field(default_factory=dict[str, str])
    secret_keys: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ("*",)
    """What the destruction gate lets pass; the official engine has no such gate."""
    passphrase: str | None = PASSPHRASE
    simulated: bool = False
    official: bool = False

    def open_files(self) -> FileStackFiles:
        """Return where the state is."""
        return FileBackend(f"file://{self.folder / 'state'}").files(PROJECT, STACK)

    def open(self, kind: UpdateKind) -> Stack:
        """Return the state, locked unless `kind` is a preview."""
        known = () if self.passphrase is None else (Passphrase("the test", self.passphrase),)
        return open_stack(self.open_files(), kind, passphrases=known)

    def program(self, source: Path) -> Program:
        return Program(
            project=PROJECT,
            stack=STACK,
            entry=script(source),
            config=self.config,
            secret_keys=self.secret_keys,
            root=self.folder,
        )

    def registry(self) -> ProviderRegistry:
        kubernetes = KubernetesFactory(simulated=self.simulated, project=self.folder, work=self.folder / ".helm")
        commands = command.CommandFactory(project=self.folder)
        return ProviderRegistry({"command": commands, "kubernetes": kubernetes, "random": random.FACTORY})

    def preview(self, program: Path) -> Preview:
        run = Run(providers=self.registry(), old=self.open(UpdateKind.PREVIEW).snapshot)
        report = deploy(self.program(program), run)
        plan: Object = json.loads(json.dumps(preview_json(report, config={}, seconds=0)))
        return Preview(exit_status=_status(report), plan=plan)

    def up(self, program: Path) -> Outcome:
        with self.open(UpdateKind.UPDATE) as stack:
            report = deploy(self.program(program), self._run(stack))
            stack.close(succeeded=not report.failures, changes=report.summary())
        return _outcome(report)

    def destroy(self) -> Outcome:
        with self.open(UpdateKind.DESTROY) as stack:
            report = destroy(self._run(stack))
            stack.close(succeeded=not report.failures, changes=report.summary())
        return _outcome(report)

    def export(self) -> Object:
        stack = self.open(UpdateKind.PREVIEW)
        exported: Object = json.loads(json.dumps(export_deployment(stack.snapshot, stack.codec).deployment))
        return exported

    def _run(self, stack: Stack) -> Run:
        return Run(providers=self.registry(), old=stack.snapshot, record=stack, preview=False, gate=Gate(self.allowed))


def _status(report: Report) -> int:
    return 1 if report.failures else 0


def _outcome(report: Report) -> Outcome:
    text = "\n".join(f"{failure.urn}: {failure.message}" for failure in report.failures)
    return Outcome(exit_status=_status(report), changes=report.summary(), text=text)


class OfficialEngine:
    """The official CLI with a state of its own under the project's folder; nobody's login is touched."""

    official = True

    def __init__(
        self, folder: Path, *, config: Mapping[str, str] | None = None, secret_keys: tuple[str, ...] = ()
    ) -> None:
        self._folder = folder
        (folder / "state").mkdir()
        runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
        # JSON is YAML.
        (folder / "Pulumi.yaml").write_text(json.dumps({"name": PROJECT, "runtime": runtime}), encoding="utf-8")
        self._pulumi("stack", "init", STACK, "--secrets-provider", "passphrase")
        for key, value in (config or {}).items():
            sort = "--secret" if key in secret_keys else "--plaintext"
            self._pulumi("config", "set", sort, key, "--", value)

    @property
    def folder(self) -> Path:
        return self._folder

    def preview(self, program: Path) -> Preview:
        self._use(program)
        done = self._run("preview", "--json", "--diff", "--stack", STACK)
        return Preview(exit_status=done.returncode, plan=_first_object(done.stdout))

    def up(self, program: Path) -> Outcome:
        self._use(program)
        return self._outcome(self._run("up", "--yes", "--skip-preview", "--stack", STACK))

    def destroy(self) -> Outcome:
        return self._outcome(self._run("destroy", "--yes", "--skip-preview", "--stack", STACK))

    def export(self) -> Object:
        return _first_object(self._pulumi("stack", "export", "--stack", STACK))

    def _use(self, program: Path) -> None:
        shutil.copyfile(program, self._folder / "__main__.py")

    def _outcome(self, done: subprocess.CompletedProcess[str]) -> Outcome:
        history = self._pulumi("stack", "history", "--json", "--page-size", "1", "--page", "1", "--stack", STACK)
        latest: list[Object] = json.loads(history)
        changes = {op: count for op, count in latest[0].get("resourceChanges", {}).items() if count}
        return Outcome(exit_status=done.returncode, changes=changes, text=done.stdout + done.stderr)

    def _pulumi(self, *arguments: str) -> str:
        done = self._run(*arguments)
        assert done.returncode == 0, f"pulumi {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        executable = shutil.which("pulumi")
        assert executable is not None
        environment = os.environ | {
            "PULUMI_BACKEND_URL": f"file://{self._folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "NO_COLOR": "1",
        }
        return subprocess.run(
            [executable, "--non-interactive", "--color", "never", *arguments],
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=CLI_SECONDS,
            check=False,
        )


def _first_object(printed: str) -> Object:
    """Return the JSON object in what the CLI printed; a failed preview prints more after it."""
    found: Object
    found, _ = json.JSONDecoder().raw_decode(printed, printed.index("{"))
    return found
