"""The API server and the nodes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.nodes.plan import node_labels, node_taints
from labctl.doctor.facts.fact import Inapplicable, MissingFactError, Unknown, value_of
from labctl.doctor.findings import Verdict, problem, warning

from .expiry import days, expiry
from .lab import require_lab

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from components.nodes.config import HostConfig
    from labctl.doctor.declared import Declared
    from labctl.doctor.facts.cluster import ClusterFacts
    from labctl.doctor.facts.everything import Facts
    from labctl.doctor.facts.objects import NodeFacts
    from labctl.doctor.findings import Finding

__all__ = ["api_certificate", "api_server", "cluster_of", "nodes"]

AUTOMATIC_TAINTS: Final = "node.kubernetes.io/"
"""Prefix of the taints that say what the conditions say, too (node controller)."""


def cluster_of(facts: Facts) -> ClusterFacts:
    """Return what the API server said.

    Raises
    ------
    MissingFactError
        There is no lab, or it does not answer.
    """
    require_lab(facts)
    if isinstance(facts.cluster, Unknown) and facts.cluster.is_down:
        why = "the API server does not answer"
        raise MissingFactError(Unknown(why, "see the check `api-server`"))
    return value_of(facts.cluster)


def api_server(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge whether the API server answers, in the version that is pinned."""
    del now
    require_lab(facts)
    if isinstance(facts.cluster, Unknown) and facts.cluster.is_down:
        remedy = facts.cluster.remedy
        return Verdict(said="", findings=(problem("API server", facts.cluster.why, remedy),))
    cluster = value_of(facts.cluster)
    pinned = declared.pins.kubernetes
    findings = () if cluster.version == pinned else (_other_version(cluster.version, declared),)
    return Verdict(said=f"{cluster.server} answers, {cluster.version}", findings=findings)


def api_certificate(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge how long the certificate still holds that the API server shows."""
    require_lab(facts)
    shown = value_of(facts.api_certificate)
    if declared.simulated:
        remedy = f"labctl down --stack {declared.stack}, then {declared.up}"
    elif declared.is_adopted:
        remedy = "tell those whose cluster it is"
    else:
        remedy = f"raise nodes.certificates.renewal by one and run {declared.up}"
    return Verdict(
        said=f"{shown.place}: {days(shown.not_after - now)} left",
        findings=tuple(expiry("API server", shown.not_after, now, remedy)),
    )


def nodes(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge whether the nodes are those of the stack file, Ready, and labelled and tainted as planned."""
    del now
    there = {node.name: node for node in value_of(cluster_of(facts).nodes)}
    meant = declared.nodes()
    findings: list[Finding] = []
    for name, host in meant.items():
        if name in there:
            findings += _as_declared(there[name], host, declared)
        else:
            findings.append(problem(name, "the cluster has no such node", _missing_remedy(declared, name)))
    for name, node in there.items():
        findings += _health(node, declared)
        if meant and name not in meant and not declared.is_adopted:
            remedy = f"add it to nodes.hosts, or {declared.kubectl(f'delete node {name}')}"
            findings.append(warning(name, "it is a node, and the stack file does not have it", remedy))
    if not there:
        raise MissingFactError(Inapplicable("the cluster has no nodes, and the stack file names none"))
    return Verdict(said=f"{len(there)} nodes are Ready and as declared", findings=tuple(findings))


def _other_version(version: str, declared: Declared) -> Finding:
    pinned = declared.pins.kubernetes
    what = f"it is {version}, and {pinned} is pinned"
    if declared.simulated:
        return warning("API server", what, f"labctl down --stack {declared.stack}, then {declared.up}")
    if declared.is_adopted:
        remedy = "check that what is pinned for this environment fits that cluster (stacks/pins)"
        return warning("API server", what, remedy)
    is_same_minor = version.rpartition(".")[0] == pinned.rpartition(".")[0]
    return (warning if is_same_minor else problem)("API server", what, declared.up)


def _missing_remedy(declared: Declared, name: str) -> str:
    if declared.is_adopted:
        return f"take {name} out of nodes.hosts, or have it joined by those whose cluster it is"
    return f"{declared.up}; if the host is gone for good, set nodes.hosts.{name}.lost"


def _health(node: NodeFacts, declared: Declared) -> Iterator[Finding]:
    """Yield what the node itself says is wrong."""
    look = declared.kubectl(f"describe node {node.name}")
    if node.ready != "True":
        yield problem(node.name, f"it is not Ready: {node.reason or 'nobody says why'}", look)
    for pressure in node.pressures:
        yield problem(node.name, f"it has {pressure}", look)
    if node.is_cordoned:
        remedy = f"when nobody works on it: {declared.kubectl(f'uncordon {node.name}')}"
        yield warning(node.name, "it is cordoned: no new pod is placed there", remedy)


def _as_declared(node: NodeFacts, host: HostConfig, declared: Declared) -> Iterator[Finding]:
    """Yield the labels and taints that are missing, and taints that nobody has planned."""
    planned: Mapping[str, str] = {**node_labels(host), **_slicing_labels(node.name, declared)}
    wrong = sorted(key for key, text in planned.items() if node.labels.get(key) != text)
    if wrong:
        words = ", ".join(
            f"{key} is {node.labels[key]!r}, planned {planned[key]!r}" if key in node.labels else f"{key} is missing"
            for key in wrong
        )
        # Not `up --refresh`: labels of slices belong to the command that cuts them, and the simulated kubelet's to it.
        told = " ".join(f"{key}={planned[key]}" for key in wrong)
        remedy = declared.kubectl(f"label node {node.name} --overwrite {told}")
        yield problem(node.name, f"its labels are not as planned: {words}", remedy)
    taints = {(taint.key, taint.value or "", taint.effect.value) for taint in node_taints(host)}
    for taint in sorted(taints - node.taints):
        remedy = declared.kubectl(f"taint node {node.name} {_taint(taint)}")
        yield problem(node.name, f"its taint {_taint(taint)} is missing", remedy)
    for taint in sorted(node.taints - taints):
        if not taint[0].startswith(AUTOMATIC_TAINTS):
            remedy = f"add it to nodes.hosts.{node.name}.taints, or {_untaint(node.name, taint, declared)}"
            yield warning(node.name, f"it has a taint that nobody has planned: {_taint(taint)}", remedy)


def _slicing_labels(name: str, declared: Declared) -> Mapping[str, str]:
    plan = declared.slices().get(name)
    return {} if plan is None else plan.labels


def _untaint(name: str, taint: tuple[str, str, str], declared: Declared) -> str:
    return declared.kubectl(f"taint node {name} {_taint(taint)}-")


def _taint(taint: tuple[str, str, str]) -> str:
    key, value, effect = taint
    return f"{key}={value}:{effect}" if value else f"{key}:{effect}"
