"""In production: what users reach runs twice, and a drained host leaves one of it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from labctl.graph.values import Unknown

from .model import Finding, Rule, Severity
from .pods import REPLICATED
from .reading import Path, at, mapping, path_text, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.graph.values import Value

    from .model import RuledResource, Surroundings

__all__ = ["RULES"]

FEWEST: Final = 2
"""Pods of what users reach: one may be drained while the other answers."""
PROXIES: Final = ("spec", "provider", "kubernetes")
"""Where an EnvoyProxy says how the gateway's proxies run (Envoy Gateway 1.9)."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What of a chart users reach, and how its values say how often it runs."""

    what: str
    values: str
    """Key of its values, dots between the levels."""
    replicas: str = ""
    """Key of the number of its pods, below `values`; empty where the chart has none: it runs one."""
    budget: str = ""
    """Key of its disruption budget's switch, below `values`; empty where the chart always has or never has one."""


CHARTS: Final = MappingProxyType(
    {
        "jupyterhub": (
            Workload(what="the hub", values="hub", budget="pdb.enabled"),
            Workload(what="the proxy of the servers", values="proxy.chp", budget="pdb.enabled"),
        ),
        "csi-driver-nfs": (Workload(what="the controller that makes homes", values="controller", replicas="replicas"),),
    }
)
"""What a person's request or start waits for, by chart: values of JupyterHub's chart 4 and of csi-driver-nfs 4.13.
Operators are not here: users go on working while one of them is away."""


def _workloads(resource: RuledResource, around: Surroundings) -> Iterator[Finding]:
    """Yield what runs once though users reach it: our own workloads, the gateway's proxies, charts."""
    if not around.environment.is_production:
        return
    if resource.is_object and resource.kind in REPLICATED:
        yield from _count(("spec", "replicas"), at(resource.inputs, "spec", "replicas"), "this workload")
    elif resource.is_object and resource.kind == "EnvoyProxy":
        yield from _proxies(resource)
    elif resource.is_release:
        for workload in CHARTS.get(text(at(resource.inputs, "chart")).rpartition("/")[2], ()):
            yield from _chart(resource, workload)


def _count(path: Path, count: Value, what: str) -> Iterator[Finding]:
    if isinstance(count, Unknown) or (isinstance(count, int) and not isinstance(count, bool) and count >= FEWEST):
        return
    remedy = f"run {FEWEST}; or name an exception that says why it cannot"
    yield Finding(path=path_text(path), what=f"{what} runs once, and users wait for it", remedy=remedy)


def _proxies(resource: RuledResource) -> Iterator[Finding]:
    settings = at(resource.inputs, *PROXIES)
    fewest = at(settings, "envoyHpa", "minReplicas")
    count = at(settings, "envoyDeployment", "replicas") if fewest is None else fewest
    daemon = at(settings, "envoyDaemonSet") is not None
    if not daemon:
        yield from _count((*PROXIES, "envoyDeployment", "replicas"), count, "the gateway")
        if not mapping(at(settings, "envoyPDB")):
            yield _no_budget((*PROXIES, "envoyPDB"), "the gateway")


def _no_budget(path: Path, what: str) -> Finding:
    return Finding(
        path=path_text(path),
        what=f"{what} has no disruption budget: draining hosts may end all of it at once",
        remedy="give it a budget that leaves one; or name an exception that says why it cannot have one",
    )


def _chart(resource: RuledResource, workload: Workload) -> Iterator[Finding]:
    path = ("values", *workload.values.split("."))
    settings = at(resource.inputs, *path)
    count = at(settings, *workload.replicas.split(".")) if workload.replicas else None
    yield from _count((*path, *workload.replicas.split(".")) if workload.replicas else path, count, workload.what)
    if workload.budget:
        keys = workload.budget.split(".")
        enabled = at(settings, *keys)
        if enabled is not True and not isinstance(enabled, Unknown):
            yield _no_budget((*path, *keys), workload.what)


def _budgets(resource: RuledResource, around: Surroundings) -> Iterator[Finding]:
    """Yield a workload of ours that no disruption budget of its namespace selects."""
    if not around.environment.is_production or not resource.is_object or resource.kind not in REPLICATED:
        return
    labels = mapping(at(resource.inputs, "spec", "template", "metadata", "labels"))
    for budget in around.of_kind("PodDisruptionBudget"):
        selector = at(budget.inputs, "spec", "selector")
        wanted = mapping(at(selector, "matchLabels"))
        same_namespace = budget.namespace == resource.namespace
        if same_namespace and (wanted or at(selector, "matchExpressions") is None) and wanted.items() <= labels.items():
            return
    yield _no_budget((), "this workload")


RULES: Final = (
    Rule(
        name="replicas",
        description="In production, what users reach runs at least twice and keeps one while hosts are drained.",
        severity=Severity.MANDATORY,
        check=_workloads,
    ),
    Rule(
        name="disruption-budget",
        description="In production, every workload we write has a disruption budget.",
        severity=Severity.MANDATORY,
        check=_budgets,
        needs_stack=True,
    ),
)
