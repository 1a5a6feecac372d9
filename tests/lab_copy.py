"""A copy of the project in a folder of its own, and its labctl as a person runs it: from the command line."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster_api import POD_NETWORK, SERVICE_NETWORK, Api, Object

from labctl.control_plane import ControlPlane

PROJECT = Path(__file__).resolve().parents[1]
NOWHERE = "http://127.0.0.1:9"
"""A proxy that nobody runs (port 9 is `discard`): no chart is reachable, on a machine with a network either."""
PATIENCE_SECONDS = 400
"""For one command, on a machine that is busy with other tests."""
POLL_SECONDS = 0.002
"""Between two looks at a journal: an operation takes ten times as long."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def json(self) -> Object:
        return json.loads(self.out)


@dataclass(frozen=True)
class LabCopy:
    """A copy of the project and what its stack has become."""

    root: Path
    stack: str = "dev"
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def state(self) -> Path:
        return self.root / ".lab" / "state" / ".pulumi" / "stacks" / "research-compute" / f"{self.stack}.json"

    @property
    def journal(self) -> Path:
        return self.state.with_suffix(".journal.jsonl")

    @property
    def locks(self) -> list[Path]:
        return sorted((self.root / ".lab" / "state" / ".pulumi" / "locks").rglob(f"{self.stack}/*.json"))

    @property
    def file(self) -> Path:
        return self.root / f"Pulumi.{self.stack}.yaml"

    @property
    def plane(self) -> ControlPlane:
        return ControlPlane(
            self.root / ".lab" / self.stack / "control-plane",
            kubeconfig=self.root / ".lab" / self.stack / "kubeconfig",
            pod_network=POD_NETWORK,
            service_network=SERVICE_NETWORK,
        )

    @property
    def api(self) -> Api:
        return Api(self.plane)

    def variables(self) -> dict[str, str]:
        """Return the whole environment of its commands: nothing that leads to somebody's cluster, state or charts."""
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        proxies = {"HTTPS_PROXY": NOWHERE, "HTTP_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1,localhost"}
        home = self.root / ".lab" / "home"
        home.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in ("TMPDIR",) if name in os.environ}
        # As after `source .venv/bin/activate`: a copy has no environment of its own, and commands of its graph use one.
        kept["PATH"] = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        # Tests of a lab need no hub on this machine; those of the hub say LAB_HUB=1.
        usual = {"HOME": str(home), "XDG_CACHE_HOME": cache, "LANG": "C.UTF-8", "LAB_HUB": "0"}
        return {**kept, **proxies, **usual, **self.environment}

    def start(self, *arguments: str, largest_file: int | None = None) -> subprocess.Popen[str]:
        """Start labctl for this stack; `largest_file` is what the process may write to one file, in bytes."""
        return self.start_bare(*arguments, "--stack", self.stack, largest_file=largest_file)

    def start_bare(self, *arguments: str, largest_file: int | None = None) -> subprocess.Popen[str]:
        """Start labctl with these arguments."""
        command = [sys.executable, "-m", "labctl", *arguments]

        def limit() -> None:
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit,  # noqa: PLW1509 - the tests' process has one thread
        )

    def run(self, *arguments: str, largest_file: int | None = None) -> Ended:
        """Run labctl to its end."""
        return ended(self.start(*arguments, largest_file=largest_file))

    def run_bare(self, *arguments: str) -> Ended:
        """Run labctl with these arguments, no stack named."""
        return ended(self.start_bare(*arguments))

    def well(self, *arguments: str) -> Ended:
        """Run labctl, which must succeed."""
        result = self.run(*arguments)
        assert result.code == 0, f"labctl {' '.join(arguments)} ended with {result.code}:\n{result.text[-6000:]}"
        return result

    def edit(self, old: str, new: str) -> None:
        """Replace a text that is in the stack file once."""
        text = self.file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {self.file.name}"
        self.file.write_text(text.replace(old, new), encoding="utf-8")

    def sibling(self, stack: str, **environment: str) -> LabCopy:
        """Return another simulated stack of the same project: this one's file under another name."""
        other = LabCopy(self.root, stack, {**self.environment, **environment})
        text = self.file.read_text(encoding="utf-8")
        own, its = f".lab/{self.stack}/kubeconfig", f".lab/{stack}/kubeconfig"
        assert own in text
        other.file.write_text(text.replace(own, its), encoding="utf-8")
        return other

    def deployment(self) -> Object:
        """Return the deployment in its state file."""
        return json.loads(self.state.read_bytes())["checkpoint"]["latest"]

    def lines(self) -> int:
        """Return how many lines its journal has now."""
        try:
            return self.journal.read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0


def copy_project(target: Path) -> LabCopy:
    """Copy what belongs to the project, as a clone would have it plus what is not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],  # noqa: S607 - the person's own git
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = PROJECT / name
        if source.is_file() and not name.startswith("tests/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)
    return LabCopy(target)


def ended(process: subprocess.Popen[str], seconds: float = PATIENCE_SECONDS) -> Ended:
    """Wait for a command; one that takes too long is killed, which is a failure."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        message = f"{process.args} did not end within {seconds} s:\n{out[-3000:]}{err[-3000:]}"
        raise AssertionError(message) from None
    return Ended(process.returncode, out, err)


def interrupted(lab: LabCopy, lines: int, *arguments: str, by: signal.Signals = signal.SIGKILL) -> Ended:
    """Start labctl and send it `by` once its journal has so many lines; it must still be in the middle then."""
    process = lab.start(*arguments)
    await_lines(lab, lines, process)
    process.send_signal(by)
    return ended(process)


def await_lines(lab: LabCopy, lines: int, process: subprocess.Popen[str]) -> None:
    """Return when the journal of the run `process` has so many lines."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while lab.lines() < lines:
        if process.poll() is not None:
            result = ended(process)
            message = f"ended with {result.code} before its journal had {lines} lines:\n{result.text[-3000:]}"
            raise AssertionError(message)
        assert time.monotonic() < deadline, f"the journal has {lab.lines()} lines, not {lines}"
        time.sleep(POLL_SECONDS)
