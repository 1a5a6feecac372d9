"""Several sources asked at once, each waited for so long and no longer."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from .facts.everything import NOT_ASKED
from .facts.fact import Known, Unknown
from .vocabulary import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .facts.everything import Facts

__all__ = ["Asked", "Patience", "ask"]

POLL_SECONDS: Final = 0.2
"""Between two looks at whether somebody has asked to stop, or a source has had its time."""
LEAVE_SECONDS: Final = 2.0
"""After somebody has asked to stop: what is nearly there still counts."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One source."""

    source: Source
    seconds: float | None
    """How long it is waited for; None: it has limits of its own."""
    ask: Callable[[Facts, threading.Event], None]
    """Fills in its fact; an exception makes that unknown."""
    fail: Callable[[Facts, Unknown], None]
    """Notes that it is not known."""
    must_end: bool = False
    """Whether it is waited for even when somebody has asked to stop: it cleans up."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How an examination is watched."""

    cancelled: threading.Event = field(default_factory=threading.Event)
    """When it is set, what came so far is judged."""
    on_progress: Callable[[Sequence[Source]], None] | None = None
    """Told of the sources that are still waited for, whenever one has answered."""


def ask(facts: Facts, sources: Sequence[Asked], patience: Patience) -> Facts:
    """Return the facts as they are when every source has answered, or has had its time; later answers change nothing.

    Parameters
    ----------
    facts
        The state; the rest is filled in.
    sources
        Whom to ask, each in a thread of its own that nobody waits for at the end of the process.
    patience
        Who may stop it.
    """
    answers: queue.SimpleQueue[Source] = queue.SimpleQueue()
    began = time.monotonic()

    def run(asked: Asked) -> None:
        start = time.monotonic()
        try:
            asked.ask(facts, patience.cancelled)
        except Exception as error:  # noqa: BLE001 - one source that fails in any way must not keep the others from being told
            asked.fail(facts, Unknown(str(error) or type(error).__name__, "see to that, then run labctl doctor again"))
        facts.seconds[asked.source] = time.monotonic() - start
        answers.put(asked.source)

    waiting = {asked.source: asked for asked in sources}
    for asked in sources:
        threading.Thread(target=run, args=(asked,), name=f"doctor-{asked.source}", daemon=True).start()
    while waiting:
        if patience.on_progress is not None:
            patience.on_progress(tuple(waiting))
        answered = _next(answers, waiting, began, patience.cancelled)
        if answered is None:
            break
        waiting.pop(answered, None)
    held = replace(facts, seconds=dict(facts.seconds))
    if isinstance(held.hosts, Known):
        held.hosts = Known(dict(held.hosts.value))
    for asked in waiting.values():
        if asked.source is not Source.HOSTS or held.hosts is NOT_ASKED:
            asked.fail(held, _late(asked, is_stopped=patience.cancelled.is_set()))
    return held


def _next(
    answers: queue.SimpleQueue[Source], waiting: Mapping[Source, Asked], began: float, cancelled: threading.Event
) -> Source | None:
    """Return a source that has answered, None when all that are left have had their time."""
    stopped_at: float | None = None
    while True:
        try:
            return answers.get(timeout=POLL_SECONDS)
        except queue.Empty:
            now = time.monotonic()
        if cancelled.is_set() and stopped_at is None:
            stopped_at = now
        if all(
            _is_over(asked, now - began, None if stopped_at is None else now - stopped_at) for asked in waiting.values()
        ):
            return None


def _is_over(asked: Asked, seconds: float, since_stop: float | None) -> bool:
    """Tell whether a source is waited for no more."""
    if asked.seconds is not None and seconds > asked.seconds:
        return True
    return since_stop is not None and since_stop > LEAVE_SECONDS and not asked.must_end


def _late(asked: Asked, *, is_stopped: bool) -> Unknown:
    why = "stopped before it answered" if is_stopped else f"no answer within {asked.seconds or 0:.0f} s"
    return Unknown(why, "run labctl doctor again")
