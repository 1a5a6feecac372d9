"""Gives a group's labels up: the group is gone from the stack file, or a host from the group.

A node whose GPUs are in use keeps its labels: without one the operator cuts it to its default, and the stack file has
named nobody whose work may be interrupted. A label that another group took over meanwhile is that group's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .facts import node_facts
from .maps import released, used_entries
from .runner import MAPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .cluster import Cluster
    from .document import ReslicePlan
    from .facts import NodeFacts
    from .objects import NodeObject

__all__ = ["releasable", "release_group", "release_left"]


def releasable(nodes: Iterable[NodeObject], plan: ReslicePlan, *, keeps: frozenset[str]) -> list[str]:
    """Return the nodes that still have labels or a record of a group's, by name.

    Parameters
    ----------
    nodes
        All nodes of the cluster.
    plan
        The group's plan.
    keeps
        Nodes to leave alone: those still in the group, and those that another group takes over by itself.
    """
    found: list[str] = []
    for node in nodes:
        facts = node_facts(node, (), manager=plan.manager, namespace=plan.namespace)
        is_recorded = facts.record is not None and facts.record.manager == plan.manager
        if facts.name not in keeps and (facts.owned or is_recorded):
            found.append(facts.name)
    return sorted(found)


def release_left(cluster: Cluster, plan: ReslicePlan, say: Callable[[str], None]) -> None:
    """Give up the labels of nodes that are in no group any more."""
    keeps = frozenset({*plan.nodes, *plan.elsewhere})
    for name in releasable(cluster.nodes(), plan, keeps=keeps):
        _release(cluster, plan, name, say)


def release_group(cluster: Cluster, plan: ReslicePlan, say: Callable[[str], None]) -> None:
    """Give up everything a group has on the cluster: labels, records with their cordons, entries of the ConfigMaps."""
    for name in releasable(cluster.nodes(), plan, keeps=frozenset()):
        _release(cluster, plan, name, say)
    for name in MAPS:
        found = cluster.config_map(name)
        if found is not None:
            cluster.write_config_map(name, found, released(name, found, plan, used_entries(cluster.nodes())))


def _release(cluster: Cluster, plan: ReslicePlan, name: str, say: Callable[[str], None]) -> None:
    node = cluster.node(name)
    if node is None:
        return
    facts = node_facts(node, cluster.pods(name), manager=plan.manager, namespace=plan.namespace)
    if facts.record is not None and facts.record.manager == plan.manager:
        uncordons = facts.record.cordoned
        cluster.remember(name, facts.version, None, unschedulable=False if uncordons else None)
        say(f"{name}: left in the middle of a change{', uncordoned' if uncordons else ''}")
    if not facts.owned:
        return
    if facts.holders:
        say(_kept(facts))
        return
    cluster.label(name, {})
    say(f"{name}: labels given up")


def _kept(facts: NodeFacts) -> str:
    labels = " ".join(f"{label}-" for label in sorted(facts.owned))
    pods = ", ".join(map(str, facts.holders[:3]))
    remedy = f"once they are free: kubectl label node {facts.name} {labels}"
    return f"{facts.name}: labels stay, GPUs are in use by {pods}; {remedy}"
