"""The process that runs one revision's program: ``python -m labctl.revisions.child``.

Its program, `components` and `stacks` are those of the revision's folder, `labctl` is the running tool's: so a revision
is judged by today's engine, and a revision before this verb existed can be judged at all. Talks in lines of JSON on its
standard streams: first the request, then one line in for each stack and one line out.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from labctl.display.json_shape import preview_json, state_json
from labctl.engine.operations import deploy
from labctl.engine.run import Run
from labctl.engine.state import Codec, SecretsManager, Snapshot
from labctl.graph.errors import ProgramError
from labctl.graph.goal import STACK_TYPE
from labctl.graph.program import Program, script

from .rehearsal import rehearsed_providers, stand_in_config

if TYPE_CHECKING:
    from labctl.engine.report import Failure, Report
    from labctl.engine.state import ResourceState
    from labctl.graph.values import Plain

__all__ = ["main"]


class _Unsealed(SecretsManager):
    """Keeps every value as it is: what is secret here is a stand-in (`rehearsal`), for no passphrase is ever used."""

    def __init__(self) -> None:
        super().__init__(None, ())

    def encrypt(self, plaintext: str) -> str:
        return plaintext

    def decrypt(self, ciphertext: str) -> str:
        return ciphertext


def main() -> None:
    """Answer requests until there are no more."""
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # whatever the program prints is no answer
        request = json.loads(sys.stdin.readline())
        root, project = Path(request["root"]), str(request["project"])
        sys.path.insert(0, str(root))
        for line in sys.stdin:
            asked = json.loads(line)
            answers.write(json.dumps(_answer(root, project, asked), separators=(",", ":")) + "\n")
            answers.flush()


def _answer(root: Path, project: str, asked: dict[str, Plain]) -> dict[str, Plain]:
    """Return what a program makes of one stack: the state it would leave, and the plan from `before` to it."""
    began = time.monotonic()
    codec = Codec(_Unsealed())
    before = asked.get("before")
    old = Snapshot.from_json(before, codec, "the base revision") if isinstance(before, dict) else Snapshot()
    config = {str(key): str(value) for key, value in cast("dict[str, str]", asked["config"]).items()}
    stand_ins = stand_in_config(config, tuple(cast("list[str]", asked["sealed"])))
    program = Program(
        project=project,
        stack=str(asked["stack"]),
        entry=script(root / "__main__.py"),
        config=config | stand_ins,
        secret_keys=tuple(stand_ins),
        root=root,
    )
    run = Run(old=old, providers=rehearsed_providers(root))
    report = deploy(program, run)
    answer: dict[str, Plain] = {"stack": program.stack, "error": _error(report)}
    if answer["error"] is None:
        states = _states(report)
        answer["deployment"] = Snapshot(states).to_json(codec)
        answer["resources"] = [state_json(state) for state in states]
        answer["preview"] = preview_json(report, config={}, seconds=time.monotonic() - began)
    return answer


def _states(report: Report) -> tuple[ResourceState, ...]:
    """Return what would exist, the outputs of the stack itself included."""
    return tuple(_finished(step.new, report) for step in report.steps if step.new is not None)


def _finished(state: ResourceState, report: Report) -> ResourceState:
    return replace(state, outputs=report.outputs) if state.type == STACK_TYPE else state


def _error(report: Report) -> str | None:
    """Return what is wrong, in the program's own words where it is a wrong stack file; None when nothing is."""
    return "\n".join(_words(failure) for failure in report.failures) or None


def _words(failure: Failure) -> str:
    if isinstance(failure.error, ProgramError):
        return str(failure.error.cause)
    return f"{failure.urn} {failure.message}".strip()


if __name__ == "__main__":
    main()
