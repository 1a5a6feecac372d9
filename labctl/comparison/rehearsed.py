"""What a stack would consist of, outputs that only a real run has filled in by stand-ins.

The recorder leaves a script unknown that holds one unknown address; here it is a script that can be compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.display.json_shape import state_json
from labctl.engine.operations import deploy
from labctl.engine.run import Run
from labctl.engine.state import Snapshot
from labctl.graph.errors import ProgramError
from labctl.graph.program import Program, script
from labctl.revisions.rehearsal import rehearsed_providers, stand_in_config
from stacks.loading import SealedValue
from stacks.project import PROJECT

from .errors import UnbuildableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.engine.report import Failure
    from labctl.graph.values import Plain
    from labctl.lab import Lab

__all__ = ["rehearsed_states"]


def rehearsed_states(lab: Lab) -> tuple[Mapping[str, Plain], ...]:
    """Return the resources of a stack as a state would have them, secrets as ``[secret]``; nothing is touched or asked.

    Raises
    ------
    UnbuildableError
        The program refuses the stack.
    """
    config, _ = lab.file.program_config(None)
    sealed = tuple(key for key, value in lab.file.config.items() if isinstance(value, SealedValue))
    stand_ins = stand_in_config(config, sealed)
    program = Program(
        project=PROJECT,
        stack=lab.stack,
        entry=script(lab.root / "__main__.py"),
        config=config | stand_ins,
        secret_keys=tuple(stand_ins),
        root=lab.root,
    )
    report = deploy(program, Run(old=Snapshot(), providers=rehearsed_providers(lab.root)))
    if report.failures:
        error = "\n".join(map(_words, report.failures))
        raise UnbuildableError(stack=lab.stack, revision="the working tree", error=error)
    return tuple(state_json(step.new) for step in report.steps if step.new is not None)


def _words(failure: Failure) -> str:
    return str(failure.error.cause) if isinstance(failure.error, ProgramError) else failure.message
