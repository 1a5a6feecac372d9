"""``labctl drift``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labctl import run_log
from labctl.display.drift import print_drift
from labctl.drift.asked import asked_hosts
from labctl.drift.document import drift_document
from labctl.drift.errors import DriftFoundError, UnansweredError
from labctl.drift.findings import HostState
from labctl.drift.survey import survey
from labctl.engine.state import UpdateKind
from labctl.hosts import lab_hosts
from labctl.lab import Lab, open_lab
from labctl.ssh import Connector

from .session import StoppedError, error_console, output_console, stoppable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.drift.findings import HostFinding

__all__ = ["drift"]


def drift(stack: str, *, hosts: tuple[str, ...], as_json: bool) -> None:
    """Print what differs between the hosts and their plan; nothing on them is changed.

    Raises
    ------
    UnansweredError, DriftFoundError
        After everything was shown.
    """
    lab = open_lab(stack)
    findings: tuple[HostFinding, ...] = ()
    if lab.cluster.nodes.adopt is None:
        findings = _findings(lab, hosts)
    for found in findings:
        run_log.current().line(f"{found.host}: {found.state}")
    console = output_console()
    if as_json:
        shape = drift_document(stack, findings).model_dump(mode="json", by_alias=True)
        console.print(json.dumps(shape, indent=2), markup=False)
    elif lab.cluster.nodes.adopt is not None:
        console.print(_nothing_to_ask(lab), markup=False)
    else:
        print_drift(console, stack, findings)
    states = {found.state for found in findings}
    message = ""
    if HostState.UNANSWERED in states:
        raise UnansweredError(message)
    if HostState.DIFFERS in states:
        raise DriftFoundError(message)


def _nothing_to_ask(lab: Lab) -> str:
    if lab.simulated:
        return f"the nodes of {lab.stack} are simulated: there are no hosts to ask"
    return f"{lab.stack} adopts a cluster (nodes.adopt): its hosts are somebody else's, so there are none to ask"


def _findings(lab: Lab, names: Sequence[str]) -> tuple[HostFinding, ...]:
    hosts = lab_hosts(lab, names)
    asked = asked_hosts(lab, hosts, lab.open(UpdateKind.PREVIEW).snapshot)
    console, connector = error_console(), Connector()
    try:
        with stoppable(console) as cancelled, console.status(f"asking {len(asked)} hosts"):
            findings = survey(asked, connector, hide=hosts.hider(), cancelled=cancelled)
        if cancelled.is_set():
            message = ""
            raise StoppedError(message)
        return findings
    finally:
        connector.close()
