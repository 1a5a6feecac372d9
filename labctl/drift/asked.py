"""The hosts of a lab with what each is asked: its steps in the plan, held against the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks.host_steps import host_steps
from stacks.pins import load_pins

from .questions import Recorded, questions
from .survey import AskedHost

if TYPE_CHECKING:
    from labctl.engine.state import Snapshot
    from labctl.hosts import LabHosts
    from labctl.lab import Lab

__all__ = ["asked_hosts"]


def asked_hosts(lab: Lab, hosts: LabHosts, snapshot: Snapshot) -> list[AskedHost]:
    """Return `hosts` with their questions.

    Parameters
    ----------
    lab
        The lab, for its plan.
    hosts
        Those that are asked.
    snapshot
        Its state, for what was applied last.
    """
    pins = load_pins(lab.environment.name).from_mirror(lab.cluster.charts.mirror)
    steps = host_steps(lab.cluster, pins, lab.stack)
    asked = questions(steps, hosts.config, Recorded(snapshot), hosts.secrets)
    return [
        AskedHost(
            name=name,
            ssh=target,
            reach=hosts.reach(name),
            questions=asked.get(name, ()),
            sudo_password=hosts.sudo_password,
        )
        for name, target in hosts.targets.items()
    ]
