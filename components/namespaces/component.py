"""Resources of a namespace and of the priority classes.

Children of a `LabNamespace`: ``<name>`` Namespace, ``<name>-quota`` ResourceQuota, ``<name>-defaults`` LimitRange,
``<name>-<policy>`` one NetworkPolicy per declared flow and one that closes the namespace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import (
    LimitRange,
    LimitRangeItemArgs,
    LimitRangeSpecArgs,
    Namespace,
    ResourceQuota,
    ResourceQuotaSpecArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import (
    IPBlockArgs,
    NetworkPolicy,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)
from pulumi_kubernetes.scheduling.v1 import PriorityClass

from .flows import Direction, NetworkPeer, Peer, PolicyPlan, Port
from .plan import REASON_ANNOTATION, STACK_LABEL, NamespacePlan, namespace_labels, priority_classes

__all__ = ["LabNamespace", "LabNamespaceArgs", "PriorityClasses", "PriorityClassesArgs"]


@dataclass(frozen=True, kw_only=True)
class LabNamespaceArgs:
    """Inputs of `LabNamespace`."""

    plan: NamespacePlan
    protect: bool = False
    """True where the namespace holds claims with people's data: deleting it would take them along."""


class LabNamespace(pulumi.ComponentResource):
    """A namespace that enforces Pod Security, has its quota and defaults, and lets only declared flows through."""

    plan: NamespacePlan
    """What it was made from; ``plan.name`` is its name as plain text, for names that are built from it."""
    name: pulumi.Output[str]
    """Name of the namespace, known once it exists."""

    def __init__(self, name: str, args: LabNamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lab:index:Namespace", name, None, opts)
        self.plan = plan = args.plan
        child = pulumi.ResourceOptions(parent=self)
        namespace = Namespace(
            name,
            metadata=ObjectMetaArgs(name=plan.name, labels=namespace_labels(plan)),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.name = namespace.metadata.apply(lambda metadata: metadata.name or plan.name)
        if plan.quota:
            ResourceQuota(
                f"{name}-quota",
                metadata=self._metadata("quota"),
                spec=ResourceQuotaSpecArgs(hard=plan.quota),
                opts=child,
            )
        if plan.defaults is not None:
            item = LimitRangeItemArgs(
                type="Container", default_request=plan.defaults.requests, default=plan.defaults.limits or None
            )
            LimitRange(
                f"{name}-defaults",
                metadata=self._metadata("defaults"),
                spec=LimitRangeSpecArgs(limits=[item]),
                opts=child,
            )
        for policy in plan.policies:
            NetworkPolicy(
                f"{name}-{policy.name}",
                metadata=self._metadata(policy.name, {REASON_ANNOTATION: policy.reason}),
                spec=_policy_spec(policy),
                opts=child,
            )
        self.register_outputs({"name": self.name})

    def _metadata(self, name: str, annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
        return ObjectMetaArgs(name=name, namespace=self.name, annotations=annotations)


@dataclass(frozen=True, kw_only=True)
class PriorityClassesArgs:
    """Inputs of `PriorityClasses`."""

    stack: str


class PriorityClasses(pulumi.ComponentResource):
    """The stack's priority classes, there to be named by pods."""

    names: Mapping[str, pulumi.Output[str]]
    """Name of each class by its key: ``services``, ``interactive``, ``batch``, ``placeholder``."""

    def __init__(self, name: str, args: PriorityClassesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lab:index:PriorityClasses", name, None, opts)
        names: dict[str, pulumi.Output[str]] = {}
        for plan in priority_classes(args.stack):
            made = PriorityClass(
                f"{name}-{plan.key}",
                metadata=ObjectMetaArgs(name=plan.name, labels={STACK_LABEL: args.stack}),
                value=plan.value,
                global_default=False,
                preemption_policy="PreemptLowerPriority" if plan.preempts else "Never",
                description=plan.description,
                opts=pulumi.ResourceOptions(parent=self),
            )
            names[plan.key] = made.metadata.apply(lambda metadata, known=plan.name: metadata.name or known)
        self.names = names
        self.register_outputs({"names": names})


def _policy_spec(policy: PolicyPlan) -> NetworkPolicySpecArgs:
    selector = LabelSelectorArgs(match_labels=dict(policy.pods)) if policy.pods else LabelSelectorArgs()
    types = [str(direction) for direction in policy.directions]
    flow = policy.allows
    if flow is None:
        return NetworkPolicySpecArgs(pod_selector=selector, policy_types=types)
    if flow.direction is Direction.INGRESS:
        ingress = [
            NetworkPolicyIngressRuleArgs(from_=_peers(peers), ports=_ports(ports)) for peers, ports in flow.rules()
        ]
        return NetworkPolicySpecArgs(pod_selector=selector, policy_types=types, ingress=ingress)
    egress = [NetworkPolicyEgressRuleArgs(to=_peers(peers), ports=_ports(ports)) for peers, ports in flow.rules()]
    return NetworkPolicySpecArgs(pod_selector=selector, policy_types=types, egress=egress)


def _peers(peers: Sequence[Peer]) -> list[NetworkPolicyPeerArgs] | None:
    return [_peer(peer) for peer in peers] or None


def _ports(ports: Sequence[Port]) -> list[NetworkPolicyPortArgs] | None:
    return [NetworkPolicyPortArgs(port=port.number, protocol=str(port.protocol)) for port in ports] or None


def _peer(peer: Peer) -> NetworkPolicyPeerArgs:
    if isinstance(peer, NetworkPeer):
        exceptions = [str(network) for network in peer.but_not] or None
        return NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=str(peer.network), except_=exceptions))
    if peer.namespace is None:
        return NetworkPolicyPeerArgs(pod_selector=_selector(peer.labels))
    return NetworkPolicyPeerArgs(
        namespace_selector=_selector(peer.namespace), pod_selector=_selector(peer.labels) if peer.labels else None
    )


def _selector(labels: Mapping[str, str]) -> LabelSelectorArgs:
    return LabelSelectorArgs(match_labels=dict(labels)) if labels else LabelSelectorArgs()
