"""A folder that stands for a host, and a real bash that runs scripts in it."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from components.nodes import steps
from components.nodes.steps import COMMON, FILES, Step, compose_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

    from components.nodes.steps import PlainValue

__all__ = ["FAILED", "REFUSED", "Run", "Workshop"]

SECONDS = 60
"""For one run, on a busy machine."""
REFUSED, FAILED = 65, 70
"""Exit codes of `refuse` and `fail` (sysexits(3): EX_DATAERR, EX_SOFTWARE)."""


@dataclass(frozen=True)
class Run:
    """What one run of a script said."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Mapping[str, object]:
        """Return the one line of JSON."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    @property
    def changed(self) -> list[str]:
        found = self.report["changed"]
        assert isinstance(found, list)
        return [str(item) for item in found]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


@dataclass
class Workshop:
    """A folder that stands for a host."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    stubs: Path = field(init=False)

    def __post_init__(self) -> None:
        self.stubs = self.folder / "bin"
        self.stubs.mkdir()
        self.root.mkdir()

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def stub(self, name: str, body: str) -> None:
        """Put a program of this name before the machine's own."""
        path = self.stubs / name
        path.write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        path.chmod(0o755)

    def text(self, body: str, **values: PlainValue) -> str:
        """Return the text a host would be fed: `body` is what the step desires."""
        scripts = self.folder / "scripts"
        scripts.mkdir(exist_ok=True)
        for name in COMMON:
            (scripts / f"{name}.sh").write_bytes((FILES / f"{name}.sh").read_bytes())
        name = f"try-{uuid.uuid4().hex}"
        (scripts / f"{name}.sh").write_text(f"desired() {{\n{body}\n}}\nundo() {{ :; }}\n", encoding="utf-8")

        def read_script(script: str) -> str:
            return (scripts / f"{script}.sh").read_text(encoding="utf-8")

        self.monkeypatch.setattr(steps, "read_script", read_script)
        own: dict[str, PlainValue] = {
            "ROOT": str(self.root),
            "STATE_FOLDER": str(self.folder / "state"),
            "CACHE_FOLDER": str(self.folder / "cache"),
            "LOCK_FILE": str(self.folder / "lock"),
            "LOCK_WAIT_SECONDS": 5,
            "RETRY_DELAY_SECONDS": 0,
            "STEP_HOST": "cp-1",
            "RECONVERGE": 0,
        }
        return compose_whole(Step(name="try", subject="cp-1", host="cp-1", values={}, script=name), {**own, **values})

    def feed(self, text: str, mode: str = "apply") -> Run:
        """Feed a shell a text, as a host's is fed."""
        environment = {**os.environ, "PATH": f"{self.stubs}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-s", mode],  # noqa: S607 - the machine's own bash, with stubs before it
            input=text.encode(),
            capture_output=True,
            check=False,
            timeout=SECONDS,
            env=environment,
        )
        return Run(done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"))

    def run(self, body: str, mode: str = "apply", **values: PlainValue) -> Run:
        return self.feed(self.text(body, **values), mode)

    def tree(self) -> dict[str, tuple[str, object]]:
        """Return all there is but the lock, with content, modes and times."""
        found: dict[str, tuple[str, object]] = {}
        for path in sorted(self.folder.rglob("*")):
            if path.name == "lock" or self.folder / "scripts" in (path, *path.parents):
                continue
            status = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            times = (oct(status.st_mode), status.st_mtime_ns, status.st_ctime_ns, content)
            found[str(path.relative_to(self.folder))] = (str(path.readlink()) if path.is_symlink() else "", times)
        return found
