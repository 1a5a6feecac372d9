"""What the command is given: a group's nodes, what each is told, and what may happen meanwhile, on standard input."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from components.gpu.change_config import ChangeConfig
from components.gpu.plan import EXCLUSIVE, UNCUT
from components.model import Model

from .errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.gpu.plan import GpuPlan

__all__ = ["CONTEXT", "KUBECONFIG", "NodeGoal", "ReslicePlan", "parse", "plans", "render"]

KUBECONFIG = "RESLICE_KUBECONFIG"
"""Environment variable with the text of the kubeconfig: a secret, so never an argument and never in the plan."""
CONTEXT = "RESLICE_CONTEXT"
"""Environment variable with the name of the kubeconfig's context; unset or empty means its current one."""

DEFAULT_CONFIRM_SECONDS = 10.0
"""Seconds a node must go on offering what was planned: a kubelet reports once in 10 s (``nodeStatusUpdateFrequency``),
and a device plugin that is told to start anew offers its former slices until it does."""

DEFAULTS = frozenset({UNCUT, EXCLUSIVE})
"""Entries the operator falls back to: every group keeps them."""


class NodeGoal(Model):
    """What one node is told, and what it must offer afterwards."""

    labels: dict[str, str] = Field(description="Labels to declare; the GPU operator acts on them.")
    allocatable: dict[str, int] = Field(description="GPU resources the node must offer; every other one must be 0.")

    @property
    def digest(self) -> str:
        """A name for this goal, which another goal does not have."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:12]


class ReslicePlan(Model):
    """One group of nodes whose slices are to be as planned."""

    group: str = Field(description="Name of the group in the stack file.")
    manager: str = Field(description="Field manager that owns the labels: another group's is another.")
    namespace: str = Field(description="Namespace of the GPU operator and its two ConfigMaps.")
    change: ChangeConfig = Field(description="What may happen to a node meanwhile.")
    nodes: dict[str, NodeGoal] = Field(description="Goal of each node of the group.")
    elsewhere: tuple[str, ...] = Field(default=(), description="Nodes of the stack's other groups.")
    mig_layouts: dict[str, JsonValue] = Field(description="Entries of the MIG manager's configuration by name.")
    sharing: dict[str, tuple[str, ...]] = Field(
        description="Lines of the device plugin's files by name of entry: lines, so that a preview shows which changed."
    )
    confirm_seconds: float = Field(
        default=DEFAULT_CONFIRM_SECONDS, ge=0, description="How long a node must go on as planned; for tests."
    )


_LAYOUT = TypeAdapter[JsonValue](JsonValue)


def plans(planned: GpuPlan, change: ChangeConfig, *, stack: str, namespace: str) -> Mapping[str, ReslicePlan]:
    """Return the document of each group, by the group's name.

    Parameters
    ----------
    planned
        Everything the operator is told.
    change
        The stack's policy; each group gets what concerns its own hosts.
    stack
        Name of the stack: two stacks' groups of one name on one cluster must not release each other's labels.
    namespace
        Namespace of the operator.
    """
    groups = sorted({node.group for node in planned.nodes.values()})
    return {group: _group(planned, change, group, stack=stack, namespace=namespace) for group in groups}


def _group(planned: GpuPlan, change: ChangeConfig, group: str, *, stack: str, namespace: str) -> ReslicePlan:
    nodes = {
        host: NodeGoal(labels=dict(node.labels), allocatable=dict(node.allocatable))
        for host, node in planned.nodes.items()
        if node.group == group
    }
    others = {entry for node in planned.nodes.values() if node.group != group for entry in node.labels.values()}
    ours = {entry for goal in nodes.values() for entry in goal.labels.values()}
    foreign = others - ours - DEFAULTS
    return ReslicePlan(
        group=group,
        manager=f"reslice-{stack}-{group}",
        namespace=namespace,
        change=change,
        nodes=nodes,
        elsewhere=tuple(sorted(host for host, node in planned.nodes.items() if node.group != group)),
        mig_layouts={
            name: _LAYOUT.validate_python(entry) for name, entry in planned.mig_layouts.items() if name not in foreign
        },
        sharing={name: tuple(text.splitlines()) for name, text in planned.sharing.items() if name not in foreign},
    )


def render(plan: ReslicePlan) -> str:
    """Return a plan as the text of the command's standard input: the same plan is the same text, line by line."""
    return json.dumps(plan.model_dump(mode="json", by_alias=True), indent=2, sort_keys=True) + "\n"


def parse(text: str) -> ReslicePlan:
    """Return the plan that a text holds.

    Raises
    ------
    DocumentError
        If it is anything else.
    """
    try:
        return ReslicePlan.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise DocumentError(place, first["msg"]) from None
