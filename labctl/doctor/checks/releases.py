"""Helm releases: in the state, in Helm's own records, and their workloads. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from labctl.doctor.facts.fact import Inapplicable, MissingFactError, value_of
from labctl.doctor.facts.helm import DEPLOYED
from labctl.doctor.findings import Verdict, problem, warning
from labctl.engine.state import SIMULATED_KEY
from labctl.graph.values import as_text

from .cluster import cluster_of
from .lab import require_lab

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from labctl.doctor.declared import Declared
    from labctl.doctor.facts.everything import Facts
    from labctl.doctor.facts.helm import HelmRelease
    from labctl.doctor.facts.objects import WorkloadFacts
    from labctl.doctor.findings import Finding
    from labctl.engine.state import ResourceState

__all__ = ["RELEASE", "is_recorded", "releases"]

RELEASE: Final = "kubernetes:helm.sh/v3:Release"


def releases(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge whether every release is installed in the pinned version, and what it consists of is ready."""
    del now
    require_lab(facts)
    meant = sorted(facts.state.of_type(RELEASE), key=lambda state: state.name)
    if not meant:
        raise MissingFactError(Inapplicable("the stack installs no chart"))
    recorded = [state for state in meant if is_recorded(state)]
    installed = [state for state in meant if not is_recorded(state)]
    findings: list[Finding] = [] if declared.simulated else list(_only_recorded(recorded, declared))
    if installed:
        cluster = cluster_of(facts)
        known = {(found.namespace, found.name): found for found in value_of(cluster.releases)}
        parts: defaultdict[tuple[str, str], list[WorkloadFacts]] = defaultdict(list)
        for workload in value_of(cluster.workloads):
            if workload.release is not None:
                parts[workload.release].append(workload)
        for state in installed:
            findings += _installed(state, known, parts, declared)
    words = [f"{len(installed)} are deployed as pinned"] if installed else []
    words += [f"{len(recorded)} are recorded only, as on a simulated lab without charts"] if recorded else []
    return Verdict(said=", ".join(words), findings=tuple(findings))


def is_recorded(state: ResourceState) -> bool:
    """Tell whether a release was recorded and not installed."""
    return state.outputs.get(SIMULATED_KEY) is True


def _only_recorded(recorded: Sequence[ResourceState], declared: Declared) -> Iterator[Finding]:
    for state in recorded:
        what = "it was recorded and never installed, though the lab is no simulated one"
        yield problem(f"release {state.name}", what, declared.up)


def _installed(
    state: ResourceState,
    known: Mapping[tuple[str, str], HelmRelease],
    parts: Mapping[tuple[str, str], Sequence[WorkloadFacts]],
    declared: Declared,
) -> Iterator[Finding]:
    namespace, name = _field(state, "namespace"), _field(state, "name")
    subject = f"release {namespace}/{name}"
    found = known.get((namespace, name))
    if found is None:
        yield problem(subject, "Helm has no record of it in the cluster", declared.refresh)
        return
    if found.status != DEPLOYED:
        remedy = f"helm history -n {namespace} {name}, then {declared.refresh}"
        yield problem(subject, f"Helm calls revision {found.revision} {found.status or 'nothing'}", remedy)
    version = _field(state, "version")
    if found.version and _bare(found.version) != _bare(version):
        what = f"chart {found.version} is installed, {version} was applied: somebody else has changed it"
        yield problem(subject, what, declared.refresh)
    pinned = _pinned(state, declared)
    if pinned is not None and _bare(pinned) != _bare(version):
        yield warning(subject, f"chart {version} was applied, and {pinned} is pinned now", declared.up)
    for part in parts.get((namespace, name), ()):
        if part.ready < part.wanted:
            look = declared.kubectl(f"describe {part.kind.lower()} -n {part.namespace} {part.name}")
            what = f"{part.ready} of {part.wanted} pods of {part.kind} {part.name} are ready"
            yield problem(subject, what, look)


def _field(state: ResourceState, key: str) -> str:
    return as_text(state.outputs.get(key)) or as_text(state.inputs.get(key))


def _pinned(state: ResourceState, declared: Declared) -> str | None:
    """Return the pinned version of a release's chart: known by its chart's own name, the last part of a URL."""
    chart = as_text(state.inputs.get("chart")).rstrip("/").rpartition("/")[2]
    found = {pin.version for pin in declared.pins.charts.values() if pin.chart == chart}
    return next(iter(found)) if len(found) == 1 else None


def _bare(version: str) -> str:
    """Return a version without the v that some charts have in one place and not in the other."""
    return version.removeprefix("v")
