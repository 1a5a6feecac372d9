"""GPU slices, as nodes offer them and as they are planned. Pure."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

from components.gpu.plan import MIG_CONFIG_LABEL
from labctl.doctor.facts.fact import Inapplicable, MissingFactError, value_of
from labctl.doctor.findings import Verdict, problem, warning

from .cluster import cluster_of
from .expiry import days

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from components.gpu.plan import NodeSlicingPlan
    from labctl.doctor.declared import Declared
    from labctl.doctor.facts.everything import Facts
    from labctl.doctor.facts.objects import NodeFacts
    from labctl.doctor.findings import Finding

__all__ = ["slices"]

STATE_LABEL: Final = f"{MIG_CONFIG_LABEL}.state"
FAILED: Final = "failed"
"""What the MIG manager answers where it could not cut (NVIDIA/mig-parted)."""


def slices(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge whether every GPU node offers what its group's layout says, and none is stuck in a change."""
    if declared.cluster.gpu is None:
        raise MissingFactError(Inapplicable("the stack has no gpu section"))
    if declared.cluster.gpu.use is not None:
        raise MissingFactError(Inapplicable("another stack cuts its GPUs (gpu.use)"))
    there = {node.name: node for node in value_of(cluster_of(facts).nodes)}
    planned = declared.slices()
    findings: list[Finding] = []
    for name, plan in planned.items():
        if name in there:
            findings += _change(there[name], declared, now) or _offer(there[name], plan, declared)
        else:
            findings.append(problem(name, "it has GPUs and is no node of the cluster", declared.up))
    total = sum(sum(plan.allocatable.values()) for plan in planned.values())
    return Verdict(said=f"{len(planned)} nodes offer {total} slices as planned", findings=tuple(findings))


def _offer(node: NodeFacts, plan: NodeSlicingPlan, declared: Declared) -> Iterator[Finding]:
    meant = {name: count for name, count in sorted(plan.allocatable.items()) if count}
    if node.labels.get(STATE_LABEL) == FAILED:
        remedy = f"{declared.kubectl(f'describe node {node.name}')}; the MIG manager's log there says why"
        yield problem(node.name, "the MIG manager could not cut its GPUs", remedy)
    if node.gpus != meant:
        remedy = f"see docs/gpu-changes.md; {declared.refresh}"
        yield problem(node.name, f"it offers {_counted(node.gpus)}, planned is {_counted(meant)}", remedy)


def _change(node: NodeFacts, declared: Declared, now: datetime) -> list[Finding]:
    """Return what is to be said of a node whose GPUs are being cut anew."""
    from components.gpu.reslice.errors import DamagedRecordError  # noqa: PLC0415 - few labs are in the middle of it
    from components.gpu.reslice.record import ANNOTATION, Phase, read  # noqa: PLC0415 - likewise

    if ANNOTATION not in node.annotations:
        return []
    try:
        record = read(node.name, node.annotations[ANNOTATION])
    except DamagedRecordError as error:
        return [problem(node.name, str(error), "see docs/gpu-changes.md")]
    if record is None:
        return []
    if record.phase is Phase.STUCK:
        why = f": {record.failure}" if record.failure else ""
        return [
            problem(node.name, f"a change of its slices is stuck{why}", "see docs/gpu-changes.md, then: " + declared.up)
        ]
    since = days(now - record.since.astimezone(UTC))
    what = f"its slices are being changed: {record.phase.value} since {since}"
    return [warning(node.name, what, f"{declared.up} goes on with it")]


def _counted(offered: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in offered.items()) or "nothing"
