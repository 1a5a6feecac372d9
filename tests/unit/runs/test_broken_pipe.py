"""A reader that goes away (``| head -1``) takes no run with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labctl import cli
from labctl.run_log import logged_runs
from labctl.verbs.session import error_console, output_console


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_run_goes_on_when_nobody_reads_it_any_more(
    project: Path, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done: list[str] = []

    def talkative(*_: object, **__: object) -> None:
        console = output_console() if stream == "stdout" else error_console()
        for number in range(3):
            console.print(f"step {number}")
            done.append(stream)

    monkeypatch.setattr("labctl.verbs.preview.preview", talkative)
    with os.fdopen(writing, "w") as gone:
        monkeypatch.setattr(f"sys.{stream}", gone)
        assert cli.run(["preview"]) == 0
    assert len(done) == 3
    assert logged_runs(project / ".lab" / "logs" / "dev")[0].exit_code == 0
