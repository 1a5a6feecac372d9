"""``labctl drift``."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from components.nodes import plan as nodes_plan
from labctl.display.drift import print_drift
from labctl.drift.document import drift_document
from labctl.drift.errors import DriftFoundError, UnansweredError, UnknownHostError
from labctl.drift.findings import HostState
from labctl.drift.questions import Recorded, questions
from labctl.drift.survey import AskedHost, survey
from labctl.drift.targets import host_target
from labctl.engine.providers.command.veil import Veil
from labctl.engine.state import UpdateKind
from labctl.graph.values import Secret
from labctl.lab import Lab, open_lab
from labctl.secrets import opened_secrets
from labctl.ssh import Connector
from stacks.host_steps import host_steps
from stacks.pins import load_pins
from stacks.secrets import host_secrets

from .session import StoppedError, error_console, output_console, stoppable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    secrets = opened_secrets(lab.file, lab.stack, host_secrets(lab.cluster), lab.passphrases())
    asked = _asked_hosts(lab, names, secrets)
    veil = Veil({key: Secret(value) for key, value in secrets.items()})
    console, connector = error_console(), Connector()
    try:
        with stoppable(console) as cancelled, console.status(f"asking {len(asked)} hosts"):
            findings = survey(asked, connector, hide=veil.hide, cancelled=cancelled)
        if cancelled.is_set():
            message = ""
            raise StoppedError(message)
        return findings
    finally:
        connector.close()


def _asked_hosts(lab: Lab, names: Sequence[str], secrets: Mapping[str, str]) -> list[AskedHost]:
    """Return the hosts of a stack that can be asked, or those named."""
    config = lab.cluster.nodes
    targets = {target.host: target for target in nodes_plan.ssh_targets(config)}
    for name in names:
        if name not in targets:
            raise UnknownHostError(name=name, stack=lab.stack, known=list(targets))
    pins = load_pins(lab.environment.name).from_mirror(lab.cluster.charts.mirror)
    recorded = Recorded(lab.open(UpdateKind.PREVIEW).snapshot)
    asked = questions(host_steps(lab.cluster, pins, lab.stack), config, recorded, secrets)
    password = config.ssh.sudo_password
    return [
        AskedHost(
            name=name,
            ssh=target,
            reach=partial(host_target, config, target, secrets),
            questions=asked.get(name, ()),
            sudo_password=None if password is None else secrets[password.secret],
        )
        for name, target in targets.items()
        if not names or name in names
    ]
