"""The process that runs one revision's program: ``python -m labctl.revisions.child``.

Its program, `components` and `stacks` are those of the revision's folder, `labctl` is the running tool's: so a revision
is judged by today's engine, and a revision before this verb existed can be judged at all. Talks in lines of JSON on its
standard streams: first the request, then one line in for each stack and one line out.
"""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from labctl.display.json_shape import preview_json, state_json
from labctl.engine.operations import deploy
from labctl.engine.run import Run
from labctl.engine.state import Codec, SecretsManager, Snapshot
from labctl.graph.errors import ProgramError
from labctl.graph.goal import PROVIDER_PREFIX, STACK_TYPE
from labctl.graph.program import Program, script
from labctl.graph.values import UNKNOWN_WIRE

from .rehearsal import rehearsed_providers, stand_in_config

if TYPE_CHECKING:
    from labctl.engine.report import Failure, Report
    from labctl.engine.state import ResourceState
    from labctl.graph.values import Plain

__all__ = ["main"]

PROGRAM_PACKAGES: Final = frozenset({"components", "policies", "stacks"})
"""Packages that a revision brings along."""
MADE: Final = "made"
"""Id of every provider of the base revision."""


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
    gc.disable()  # as `labctl.__main__` does, for the same reason
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # whatever the program prints is no answer
        request = json.loads(sys.stdin.readline())
        root, project = Path(request["root"]), str(request["project"])
        _import_from(root)
        for line in sys.stdin:
            asked = json.loads(line)
            answers.write(json.dumps(_answer(root, project, asked), separators=(",", ":")) + "\n")
            answers.flush()


def _import_from(root: Path) -> None:
    """Have the program import `components` and `stacks` of its own revision.

    What came in with the tool's own imports is forgotten: it is the tool's, and it stays in use there.
    """
    for name in [name for name in sys.modules if name.partition(".")[0] in PROGRAM_PACKAGES]:
        del sys.modules[name]
    sys.path.insert(0, str(root))


def _answer(root: Path, project: str, asked: dict[str, Plain]) -> dict[str, Plain]:
    """Return what a program makes of one stack: the plan from `before` to it, or else the state that it would leave."""
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
    run = Run(old=_unprotected(old), providers=rehearsed_providers(root))
    report = deploy(program, run)
    _protect_again(report, old)
    answer: dict[str, Plain] = {"stack": program.stack, "error": _error(report)}
    if answer["error"] is None:
        states = _states(report)
        answer["resources"] = [state_json(state) for state in states]
        if asked["plan"]:
            answer["preview"] = preview_json(report, config={}, seconds=time.monotonic() - began)
        else:
            answer["deployment"] = Snapshot(tuple(_made(state) for state in states)).to_json(codec)
    return answer


def _unprotected(old: Snapshot) -> Snapshot:
    """Return `old` without protection: a plan that ends at the first protected resource says nothing of the others."""
    return replace(old, resources=tuple(replace(state, protect=False) for state in old.resources))


def _protect_again(report: Report, old: Snapshot) -> None:
    """Have the steps in `report` say what is protected, so that who reads the plan knows what an engine will refuse."""
    protected = {state.urn for state in old.resources if state.protect}
    report.steps[:] = [
        replace(step, old=replace(step.old, protect=step.old.urn in protected)) if step.old else step
        for step in report.steps
    ]


def _states(report: Report) -> tuple[ResourceState, ...]:
    """Return what would exist, the outputs of the stack itself included."""
    return tuple(_finished(step.new, report) for step in report.steps if step.new is not None)


def _finished(state: ResourceState, report: Report) -> ResourceState:
    return replace(state, outputs=report.outputs) if state.type == STACK_TYPE else state


def _made(state: ResourceState) -> ResourceState:
    """Return `state` with the ids of providers as if they had been made.

    Two unknown ids would look like one provider that stays; a replaced one takes with it all that it holds.
    """
    if state.type.startswith(PROVIDER_PREFIX):
        return replace(state, id=MADE)
    return replace(state, provider=state.provider.replace(f"::{UNKNOWN_WIRE}", f"::{MADE}"))


def _error(report: Report) -> str | None:
    """Return what is wrong, in the program's own words where it is a wrong stack file; None when nothing is."""
    return "\n".join(_words(failure) for failure in report.failures) or None


def _words(failure: Failure) -> str:
    if isinstance(failure.error, ProgramError):
        return str(failure.error.cause)
    return f"{failure.urn} {failure.message}".strip()


if __name__ == "__main__":
    main()
