"""All hosts asked at once, each over one connection and by one command; one that does not answer holds up no other."""

from __future__ import annotations

import secrets as randomness
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from components.nodes.shells import PASSWORD_END, shell
from labctl.hosts.text import shown
from labctl.ssh import Ending, HostKeyMismatchError, SshError, Stream

from .asking import ask_text, read_answer
from .facts import CLOCK, warnings
from .findings import HostFinding

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from components.nodes.plan import SshTarget
    from labctl.ssh import Connector, Finished, Target

    from .facts import HostFacts
    from .questions import Question

__all__ = ["AskedHost", "survey"]

PARALLEL: Final = 32
"""Hosts asked at once: the work is theirs, and here only encryption, which one core does for hundreds."""
ANSWER_SECONDS: Final = 120.0
"""For one host's whole answer. A healthy one takes a second or two; a stuck one is named instead of waited for."""
WORD_BYTES: Final = 8
"""Randomness of the word between the answers."""


@dataclass(frozen=True, kw_only=True)
class AskedHost:
    """One host, how it is reached, and what it is asked."""

    name: str
    ssh: SshTarget
    reach: Callable[[], Target]
    """Makes the target; an `SshError` of it is the host's own."""
    questions: tuple[Question, ...]
    sudo_password: str | None = None
    answer_seconds: float | None = None
    """For its whole answer; None: `ANSWER_SECONDS`."""


def survey(
    hosts: Sequence[AskedHost],
    connector: Connector,
    *,
    hide: Callable[[str], str],
    cancelled: threading.Event | None = None,
    on_finding: Callable[[HostFinding], None] | None = None,
) -> tuple[HostFinding, ...]:
    """Return what was found on each host, in the order given; nothing on any of them is changed.

    Parameters
    ----------
    hosts
        Those to ask.
    connector
        Runs the commands.
    hide
        Takes secrets out of what hosts say.
    cancelled
        When it is set, hosts under way are given up.
    on_finding
        Is told of each host as it has answered, from any thread.
    """

    def ask(host: AskedHost) -> HostFinding:
        finding = _ask(host, connector, hide, cancelled)
        if on_finding is not None:
            on_finding(finding)
        return finding

    with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="drift") as pool:
        return tuple(pool.map(ask, hosts))


def _ask(
    host: AskedHost,
    connector: Connector,
    hide: Callable[[str], str],
    cancelled: threading.Event | None,
) -> HostFinding:
    began = time.monotonic()
    seconds = ANSWER_SECONDS if host.answer_seconds is None else host.answer_seconds
    word = randomness.token_hex(WORD_BYTES)
    lines: list[str] = []
    said: list[str] = []
    reason: str | None = None
    is_other = False
    heard: datetime | None = None

    def keep(stream: Stream, line: str) -> None:
        nonlocal heard
        if heard is None and line.startswith(CLOCK):
            heard = datetime.now(UTC)
        (lines if stream is Stream.STDOUT else said).append(line)

    try:
        finished = connector.run(
            host.reach(),
            shell(host.ssh, "check", asks_password=host.sudo_password is not None),
            stdin=_stdin(host, word),
            on_line=keep,
            cancelled=cancelled,
            timeout_seconds=seconds,
        )
    except SshError as error:
        reason, is_other = str(error), isinstance(error, HostKeyMismatchError)
    else:
        reason = _unfinished(finished, seconds)
    answer = read_answer(lines, host.questions, word, hide, reason)
    if answer.is_complete:
        reason = None
    elif reason is None:
        words = [*(["its answer is cut off"] if lines or not said else []), *_last(said)]
        reason = ": ".join(words)
    return HostFinding(
        host=host.name,
        address=f"{host.ssh.user}@{host.ssh.address}",
        steps=answer.steps,
        seconds=round(time.monotonic() - began, 3),
        reason=None if reason is None else shown(hide(reason)),
        is_other=is_other,
        facts=answer.facts,
        clock_offset_seconds=_offset(answer.facts, heard),
        warnings=() if answer.facts is None else warnings(answer.facts, datetime.now(UTC)),
    )


def _stdin(host: AskedHost, word: str) -> bytes:
    """Return the text, with sudo's password before it where the shell reads one."""
    text = ask_text(host.questions, word)
    if host.sudo_password is None or host.ssh.user == "root":
        return text
    return f"{host.sudo_password}\n{PASSWORD_END}\n".encode() + text


def _offset(facts: HostFacts | None, heard: datetime | None) -> float | None:
    """Return how much a host's clock is ahead of ours; too little by what its line took to come."""
    if facts is None or facts.clock is None or heard is None:
        return None
    return round((facts.clock.time - heard).total_seconds(), 3)


def _unfinished(finished: Finished, seconds: float) -> str | None:
    """Return why a command did not end by itself."""
    if finished.ending is Ending.TIMED_OUT:
        return f"no complete answer within {seconds:g} s"
    return None if finished.ending is Ending.ITSELF else finished.ending.value


def _last(said: Sequence[str]) -> list[str]:
    """Return the last thing said on standard error: sudo's refusal, or what kept a shell from starting."""
    return [line for line in said if line.strip()][-1:]
