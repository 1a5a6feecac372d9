"""What the hub may see beyond its namespace: the nodes, to say how many GPUs are free.

Children of a `HubAccess`: ``<name>-nodes`` ClusterRole and ``<name>-nodes-binding`` ClusterRoleBinding, both with the
stack in their names, for several stacks may share a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    RoleRefArgs,
    SubjectArgs,
)

from components.hub.ids import HUB_ACCOUNT
from components.namespaces.plan import STACK_LABEL, scoped

__all__ = ["HubAccess", "HubAccessArgs"]

ROLE = "hub-nodes"


@dataclass(frozen=True, kw_only=True)
class HubAccessArgs:
    """Inputs of `HubAccess`."""

    stack: str
    namespace: pulumi.Input[str]
    """The hub's."""


class HubAccess(pulumi.ComponentResource):
    """The hub may get, list and watch nodes, and nothing else of the cluster.

    A node's labels, taints and resources are no secret to those who run servers on it. Pods of other namespaces stay
    unseen: what they hold of the GPUs is missing in the hub's figures.
    """

    def __init__(self, name: str, args: HubAccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lab:index:HubAccess", name, None, opts)
        metadata = ObjectMetaArgs(name=scoped(ROLE, args.stack), labels={STACK_LABEL: args.stack})
        role = ClusterRole(
            f"{name}-nodes",
            metadata=metadata,
            rules=[PolicyRuleArgs(api_groups=[""], resources=["nodes"], verbs=["get", "list", "watch"])],
            opts=pulumi.ResourceOptions(parent=self),
        )
        ClusterRoleBinding(
            f"{name}-nodes-binding",
            metadata=metadata,
            role_ref=RoleRefArgs(
                api_group="rbac.authorization.k8s.io",
                kind="ClusterRole",
                name=role.metadata.apply(lambda known: known.name or scoped(ROLE, args.stack)),
            ),
            subjects=[SubjectArgs(kind="ServiceAccount", name=HUB_ACCOUNT, namespace=args.namespace)],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
