"""What each host is asked: the plan's steps with their values put in, and how they relate to the stack's state."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from components.nodes.plan import always_given
from components.nodes.steps import (
    COMMON,
    FOLDER,
    INSTALLATION,
    Lifecycle,
    StepOutput,
    compose,
    compose_whole,
    installation,
    read_script,
    script_file,
)
from components.secrets import SecretRef
from labctl.graph.values import as_text

from .findings import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from components.nodes.config import NodesConfig
    from components.nodes.steps import PlainValue, Step
    from labctl.engine.state import ResourceState, Snapshot

__all__ = ["Question", "Recorded", "installation_check", "questions"]

COMMAND_TYPE: Final = "command:remote:Command"
PARENT_TYPE: Final = "lab:index:NodeBootstrap"
"""Type tokens of a step's resource and of the component it belongs to."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One step that a host is asked about."""

    step: Step
    standing: Standing
    text: str | None
    """What a shell is fed; None while something it needs is not known."""
    waits_for: tuple[str, ...] = ()
    """Steps that were not applied yet and whose results it needs, as resources are named: ``cp-1-request``."""


class Recorded:
    """What the stack's state remembers of the steps.

    Parameters
    ----------
    snapshot
        The state.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._commands: dict[str, ResourceState] = {}
        for state in snapshot.live.values():
            parent = snapshot.get(state.parent)
            if state.type == COMMAND_TYPE and parent is not None and parent.type == PARENT_TYPE:
                self._commands[state.name.removeprefix(f"{parent.name}-")] = state

    def text(self, step: Step) -> str | None:
        """Return what the step's shell was fed last, None if it never was."""
        state = self._commands.get(step.resource)
        return None if state is None else as_text(state.inputs.get("stdin"))

    def result(self, step: Step, key: str) -> str | None:
        """Return a result of the step, empty where it has none of that name; None if it was not applied."""
        state = self._commands.get(step.resource)
        try:
            report: object = None if state is None else json.loads(as_text(state.outputs.get("stdout")))
        except ValueError:
            return None
        if not isinstance(report, dict):
            return None
        results = cast("dict[str, object]", report).get("result")
        return str(cast("dict[str, object]", results).get(key, "")) if isinstance(results, dict) else None


def questions(
    steps: Sequence[Step], config: NodesConfig, recorded: Recorded, secrets: Mapping[str, str]
) -> dict[str, tuple[Question, ...]]:
    """Return what each host is asked, by name; steps that are done once or only when a host leaves are not asked about.

    Parameters
    ----------
    steps
        Every step of the plan, in its order.
    config
        The nodes section.
    recorded
        The state, for the results that steps take over from others.
    secrets
        Secret values by their configuration key.
    """
    by_key = {step.key: step for step in steps}
    asked: dict[str, list[Question]] = {}
    for step in steps:
        if step.lifecycle is Lifecycle.CONVERGED:
            question = _question(step, by_key, config, recorded, secrets)
            asked.setdefault(step.host, []).append(question)
    return {host: tuple(found) for host, found in asked.items()}


def _question(
    step: Step,
    by_key: Mapping[tuple[str, str | None], Step],
    config: NodesConfig,
    recorded: Recorded,
    secrets: Mapping[str, str],
) -> Question:
    before = recorded.text(step)
    values = always_given(config, step)
    if step.name == INSTALLATION:
        applied = installation(step.libraries, values)
        text = installation_check(step.libraries, values)
        return Question(step=step, standing=_standing(before, applied), text=text)
    missing: list[str] = []
    for name, value in step.values.items():
        if isinstance(value, SecretRef):
            values[name] = secrets[value.secret]
        elif isinstance(value, StepOutput):
            source = by_key.get((value.step, value.host))
            result = "" if source is None else recorded.result(source, value.key)
            if result is None and source is not None:
                missing.append(source.resource)
            values.setdefault(name, result)
        else:
            values.setdefault(name, value)
    standing = _standing(before, None if missing else compose(step, values))
    text = None if missing else compose_whole(step, values)
    return Question(step=step, standing=standing, text=text, waits_for=tuple(sorted(set(missing))))


def _standing(before: str | None, now: str | None) -> Standing:
    """Return how the text relates to the recorded one, which may have sudo's password on lines before it."""
    if before is None:
        return Standing.NEW
    is_same = now is not None and (before == now or before.endswith(f"\n{now}"))
    return Standing.APPLIED if is_same else Standing.CHANGED


def installation_check(names: Iterable[str], values: Mapping[str, PlainValue]) -> str:
    """Return the text that checks the scripts on a host by their checksums, without carrying them there again."""
    common = "\n".join(read_script(name) for name in COMMON)
    files = "\n".join(_script_checks(sorted(names)))
    return (
        f"main() {{\nreadonly STEP_HOST={shlex.quote(str(values['STEP_HOST']))}\n{common}\n"
        'script_is() { if [[ -f $1 && ! -L $1 ]] && has_mode "$1" 0644 "$(id -un):$(id -gn)" && '
        'has_checksum "$1" "$2"; then return 0; fi; changed "file $1"; }\n'
        f'desired() {{\n{files}\n}}\nundo() {{ :; }}\nrun_step {INSTALLATION} "$@"\n}}\nmain "$@" </dev/null\nexit\n'
    )


def _script_checks(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        checksum = hashlib.sha256(read_script(name).encode()).hexdigest()
        yield f"script_is {shlex.quote(f'{FOLDER}/{script_file(name)}')} {checksum}"
