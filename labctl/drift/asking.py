"""One text that asks a host everything, and its answer read back: pure, and in the face of any answer.

Every step's own text runs in a shell of its own, so one that fails stops no other. What each says is told apart by
lines with a word nobody else knows. The library that all steps carry is sent once, and the whole compressed.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from components.nodes.steps import COMMON, read_script
from labctl.hosts.text import shown

from .facts import HostFacts, parse_facts
from .findings import StepFinding, StepState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .questions import Question

__all__ = ["Answer", "ask_text", "read_answer"]

LOCK_WAIT_SECONDS: Final = 10
"""How long another run on the host is waited for: somebody sits there and wants to know. `up` itself waits longer."""
LONGEST_SAID_BYTES: Final = 2000
"""The end of what a step says is taken; its last line says why it failed."""
LONGEST_SHOWN: Final = 400
"""Characters of a reason, or of one thing that differs, that are shown."""
COMPRESSION: Final = 1
"""zlib's fastest: a third larger than its best, in a tenth of the time, and there may be a thousand hosts."""
FACTS: Final = "facts"
GPU_FACTS: Final = "gpu-facts"
HEALTH_FACTS: Final = "health-facts"
"""Scripts of what a host says beside its steps."""
_HEAD: Final = b'eval "$(gzip -dc)"\n'
"""A shell reads a pipe byte by byte, and so only this line; gzip reads the rest, and gives nothing that was cut off."""
_CALL_COMMON: Final = 'eval "$RESEARCH_COMPUTE_COMMON"'
_ASK: Final = """LOCK_WAIT_SECONDS={wait}
research_compute_ask() {{
    local said status
    printf '\\n%s begin %s\\n' {word} "$1"
    {{
        said=$( ("$2" check) 2>&1 1>&3 3>&- </dev/null)
        status=$?
    }} 3>&1
    if [[ $said == *'another run holds'* ]]; then LOCK_WAIT_SECONDS=0; fi
    printf '\\n%s end %s %s %s\\n' {word} "$1" "$status" "$(printf '%s' "$said" | tail -c {longest} | base64 -w 0)"
}}
"""
_FRAME: Final = re.compile(r"(?P<kind>begin|end|done)(?: (?P<index>\w+))?(?: (?P<status>\d{1,3}) (?P<said>[\w+/=]*))?")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a host has said."""

    steps: tuple[StepFinding, ...]
    """One for each question."""
    facts: HostFacts | None
    is_complete: bool
    """Whether it came to the end of the text."""


@dataclass(kw_only=True)
class _Block:
    lines: list[str]
    status: int | None = None
    said: str = ""


def ask_text(questions: Sequence[Question], word: str) -> bytes:
    """Return what a root shell is fed to answer all questions, and to tell its facts.

    Parameters
    ----------
    questions
        Those without a text are left out.
    word
        Letters and digits that begin the lines between the answers; another one for each host and run.
    """
    texts = {str(index): question.text for index, question in enumerate(questions) if question.text is not None}
    scripts = "\n".join(read_script(name) for name in (FACTS, GPU_FACTS, HEALTH_FACTS))
    texts[FACTS] = f"{scripts}\nfacts\ngpu_facts\nhealth_facts\nexit 0\n"
    common = "\n".join(read_script(name) for name in COMMON)
    asked = "".join(f"question_{index}() {{\n{text.replace(common, _CALL_COMMON)}}}\n" for index, text in texts.items())
    calls = "".join(f"research_compute_ask {index} question_{index}\n" for index in texts)
    body = (
        f"readonly RESEARCH_COMPUTE_COMMON={shlex.quote(common)}\n"
        f"{_ASK.format(wait=LOCK_WAIT_SECONDS, word=word, longest=LONGEST_SAID_BYTES)}{asked}"
        f"research_compute_main() {{\n{calls}printf '%s done\\n' {word}\n}}\nresearch_compute_main </dev/null\nexit 0\n"
    )
    return _HEAD + gzip.compress(body.encode(), COMPRESSION, mtime=0)


def read_answer(
    lines: Iterable[str], questions: Sequence[Question], word: str, hide: Callable[[str], str], why: str | None = None
) -> Answer:
    """Return what a host has answered, whatever it is that it has sent.

    Parameters
    ----------
    lines
        What came from its standard output.
    questions, word
        As in `ask_text`.
    hide
        Takes secrets out of a text.
    why
        Why nothing more came, where that is known.
    """
    blocks, is_complete = _blocks(lines, word)
    reason = why or "the host's answer ends before it"
    steps = tuple(
        _step_finding(question, blocks.get(str(index)), hide, reason) for index, question in enumerate(questions)
    )
    facts = blocks.get(FACTS)
    told = None if facts is None or facts.status is None else parse_facts("\n".join(map(shown, facts.lines)))
    return Answer(steps=steps, facts=told, is_complete=is_complete)


def _blocks(lines: Iterable[str], word: str) -> tuple[dict[str, _Block], bool]:
    """Return the lines between the frames by their index, and whether the end was reached."""
    blocks: dict[str, _Block] = {}
    current: _Block | None = None
    for line in lines:
        frame = _FRAME.fullmatch(line.removeprefix(f"{word} ")) if line.startswith(f"{word} ") else None
        if frame is None:
            if current is not None and line.strip():
                current.lines.append(line)
        elif frame["kind"] == "done":
            return blocks, True
        elif frame["kind"] == "begin":
            current = blocks[frame["index"]] = _Block(lines=[])
        elif current is not None and frame["status"] is not None:
            current.status, current.said = int(frame["status"]), _decoded(frame["said"])
            current = None
    return blocks, False


def _step_finding(question: Question, block: _Block | None, hide: Callable[[str], str], why: str) -> StepFinding:
    step = question.step
    differs: tuple[str, ...] = ()
    reason: str | None = None
    if question.text is None:
        state, reason = StepState.WAITING, f"waits for {', '.join(question.waits_for)}"
    elif block is None or block.status is None:
        state, reason = StepState.UNANSWERED, why
    elif block.status != 0:
        state, reason = StepState.FAILED, _reason(block)
    elif (changed := _changed(block.lines, step.name)) is None:
        state, reason = StepState.FAILED, f"its answer is no step's report: {_excerpt(block.lines)}"
    else:
        state = StepState.DIFFERS if changed else StepState.CONVERGED
        differs = tuple(_cut(shown(hide(item))) for item in changed)
    return StepFinding(
        step=step.name,
        subject=step.subject,
        state=state,
        standing=question.standing,
        differs=differs,
        reason=None if reason is None else _cut(shown(hide(reason))),
    )


def _changed(lines: Sequence[str], step: str) -> list[str] | None:
    """Return what differs by the one line a step reports; None where that is anything else."""
    if len(lines) != 1:
        return None
    try:
        report: object = json.loads(lines[0])
    except (ValueError, RecursionError):
        return None
    if not isinstance(report, dict):
        return None
    told = cast("dict[str, object]", report)
    changed = told.get("changed")
    if told.get("step") != step or told.get("mode") != "check" or not isinstance(changed, list):
        return None
    items = cast("list[object]", changed)
    return [item for item in items if isinstance(item, str)] if all(isinstance(item, str) for item in items) else None


def _reason(block: _Block) -> str:
    """Return the last thing a failed check said."""
    lines = [line for line in block.said.splitlines() if line.strip()]
    return lines[-1] if lines else f"its check ended with status {block.status} and without a word"


def _excerpt(lines: Sequence[str]) -> str:
    return repr("\n".join(lines)[:80]) if lines else "nothing"


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except binascii.Error:
        return ""


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
