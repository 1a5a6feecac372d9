"""``labctl doctor``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from components.nodes.plan import ssh_targets
from labctl import run_log
from labctl.display.doctor import print_examination
from labctl.doctor.asking import Patience
from labctl.doctor.errors import LabUnhealthyError, NoHostsError, UnansweredChecksError, UnknownCheckError
from labctl.doctor.examination import examine
from labctl.doctor.sources import Question
from labctl.doctor.vocabulary import CheckId, State
from labctl.hosts import UnknownHostError
from labctl.hub_check.errors import NoHubError, NoTestUserError
from labctl.lab import open_lab

from .session import StoppedError, error_console, output_console, stopped_in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.doctor.vocabulary import Source
    from labctl.lab import Lab

__all__ = ["doctor"]

_STOPPING: Final = "what came so far is shown"
_STOPPING_SPAWN: Final = "what came so far is shown, once the test user's server is stopped"


def doctor(stack: str, *, hosts: tuple[str, ...], only: tuple[str, ...], spawn: bool, as_json: bool) -> None:
    """Print what is wrong with a lab, and what to do about each thing; nothing is changed.

    Raises
    ------
    LabUnhealthyError, UnansweredChecksError, StoppedError
        After everything was shown.
    UnknownCheckError, UnknownHostError, NoHostsError, NoHubError, NoTestUserError
        The question makes no sense for this lab.
    """
    lab = open_lab(stack)
    checks = tuple(_check(name) for name in only)
    _require_sense(lab, hosts, spawn=spawn)
    errors = error_console()
    with (
        stopped_in_order(errors, _STOPPING_SPAWN if spawn else _STOPPING) as cancelled,
        errors.status(f"examining {stack}") as status,
    ):

        def tell(waiting: Sequence[Source]) -> None:
            status.update(f"examining {stack}: waiting for {', '.join(waiting)}")

        patience = Patience(cancelled=cancelled, on_progress=tell)
        found = examine(Question(lab=lab, hosts=hosts, spawn=spawn), checks, patience)
    for result in found.results:
        for finding in result.findings:
            run_log.current().line(f"{result.check}: {finding.state}: {finding.subject}: {finding.what}")
    console = output_console()
    if as_json:
        console.print(json.dumps(found.document(), indent=2), markup=False)
    else:
        print_examination(console, found)
    message = ""
    if found.is_interrupted:
        raise StoppedError(message)
    if found.state is State.PROBLEM:
        raise LabUnhealthyError(message)
    if found.state is State.UNKNOWN:
        raise UnansweredChecksError(message)


def _check(name: str) -> CheckId:
    try:
        return CheckId(name)
    except ValueError:
        raise UnknownCheckError(name=name, known=[check.value for check in CheckId]) from None


def _require_sense(lab: Lab, hosts: Sequence[str], *, spawn: bool) -> None:
    """Return if the lab has what is asked for by name."""
    if hosts and lab.cluster.nodes.adopt is not None:
        raise NoHostsError(lab.stack)
    known = [target.host for target in ssh_targets(lab.cluster.nodes)] if hosts else []
    for name in hosts:
        if name not in known:
            raise UnknownHostError(name=name, stack=lab.stack, known=known)
    if spawn and lab.cluster.hub is None:
        raise NoHubError(lab.stack)
    if spawn and lab.cluster.hub is not None and lab.cluster.hub.health_check is None:
        raise NoTestUserError(lab.stack)
