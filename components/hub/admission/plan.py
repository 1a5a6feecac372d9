"""All policies of one hub's namespace, by what they look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.namespaces.plan import scoped

from .identity import home_rules, identity_rules, identity_variables
from .objects import claim_rules, deletion_rules, object_rules, others_change_rules, others_pod_rules
from .pods import COMPONENT_LABEL, POD_VARIABLES, SERVER_COMPONENT, server_rules
from .policy import AdmissionPolicy, IdentityObject, Operation, Resource, hub_account

if TYPE_CHECKING:
    from components.hub.config import HomeKey

    from .policy import Ids, ServerPlan

__all__ = ["POLICIES", "admission_policies", "policy_name"]

POLICIES = ("identities", "servers", "homes", "objects", "deletions", "others", "changes")
"""Keys of all policies, in order: known before what they say is."""


def admission_policies(namespace: str, ids: Ids, homes: HomeKey, plan: ServerPlan) -> tuple[AdmissionPolicy, ...]:
    """Return the policies of the hub's namespace.

    Parameters
    ----------
    namespace
        The hub's.
    ids
        Whom servers run as, and who says so.
    homes
        How homes are named.
    plan
        What servers are made of.
    """
    account = hub_account(namespace)
    create, update, delete = (Operation.CREATE,), (Operation.UPDATE,), (Operation.DELETE,)
    labels = f"oldObject.metadata.?labels[?'{COMPONENT_LABEL}'].orValue('')"
    first = "object.spec.containers[0].?securityContext"
    running = {
        "is_server": f"{labels} == '{SERVER_COMPONENT}'",
        "debuggers": "variables.is_server ? object.spec.?ephemeralContainers.orValue([]) : []",
        "uid": f"{first}.?runAsUser.orValue(object.spec.?securityContext.?runAsUser.orValue(-2))",
        "gid": f"{first}.?runAsGroup.orValue(object.spec.?securityContext.?runAsGroup.orValue(-2))",
    }
    return (
        AdmissionPolicy(
            key="identities",
            reason="A server runs as its user and nobody else, and has its user's home and nobody else's.",
            resources=(Resource(names=("pods",), operations=create),),
            account=account,
            is_about_hub=True,
            variables={**POD_VARIABLES, **identity_variables(ids)},
            rules=(*identity_rules(ids), *home_rules(homes, plan)),
            identities=ids if isinstance(ids, IdentityObject) else None,
            # The next policy lets the hub make no pod without this label.
            labels={COMPONENT_LABEL: SERVER_COMPONENT},
        ),
        AdmissionPolicy(
            key="servers",
            reason="A server has no privilege, and is made of what is planned.",
            resources=(Resource(names=("pods",), operations=create),),
            account=account,
            is_about_hub=True,
            variables=POD_VARIABLES,
            rules=tuple(server_rules(plan)),
        ),
        AdmissionPolicy(
            key="homes",
            reason="A home the hub makes is empty, and as large as everybody's.",
            resources=(Resource(names=("persistentvolumeclaims",), operations=create),),
            account=account,
            is_about_hub=True,
            variables={},
            rules=tuple(claim_rules(homes, plan)),
        ),
        AdmissionPolicy(
            key="objects",
            reason="The hub makes no Services and no Secrets, although its chart's Role would let it.",
            resources=(Resource(names=("services", "secrets"), operations=create),),
            account=account,
            is_about_hub=True,
            variables={},
            rules=tuple(object_rules()),
        ),
        AdmissionPolicy(
            key="deletions",
            reason="The hub deletes servers, and neither homes nor what runs it.",
            resources=(Resource(names=("pods", "persistentvolumeclaims", "services", "secrets"), operations=delete),),
            account=account,
            is_about_hub=True,
            variables={},
            rules=tuple(deletion_rules()),
        ),
        AdmissionPolicy(
            key="others",
            reason="Who else makes pods in the namespace gets no home, and is taken for no server.",
            resources=(Resource(names=("pods",), operations=create),),
            account=account,
            is_about_hub=False,
            variables=POD_VARIABLES,
            rules=tuple(others_pod_rules()),
        ),
        AdmissionPolicy(
            key="changes",
            reason="A server stays whose it is while it runs, whoever looks into it.",
            resources=(Resource(names=("pods", "pods/ephemeralcontainers"), operations=update),),
            account=account,
            is_about_hub=False,
            variables=running,
            rules=tuple(others_change_rules()),
        ),
    )


def policy_name(key: str, stack: str) -> str:
    """Return the name of a policy and its binding, which no other stack on the cluster has."""
    return scoped(f"hub-{key}", stack)
