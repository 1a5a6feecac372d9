"""Policies of the API server for what the hub makes: nothing that the hub itself writes has to be believed.

The hub creates every server's pod, so who a server is for, whom it runs as and what it mounts is checked where the hub
has no say: by ValidatingAdmissionPolicies, against the identities the hub may read and not write and against what the
stack file plans. Pure data; `components.hub.admission.component` makes resources of it, docs/isolation.md shows it as a
table, and what it cannot do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from components.hub.ids import HUB_ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "USERNAME_ANNOTATION",
    "AdmissionPolicy",
    "ClaimedIds",
    "FixedIds",
    "IdentityObject",
    "Ids",
    "Operation",
    "Resource",
    "Rule",
    "ServerPlan",
    "hub_account",
]

USERNAME_ANNOTATION = "hub.jupyter.org/username"
"""Whom KubeSpawner says an object is for (``_build_common_annotations``)."""


class Operation(StrEnum):
    """What is asked of the API server."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """Requests a policy looks at: operations on resources of the core API."""

    names: tuple[str, ...]
    """Resources by plural, with a subresource as ``pods/ephemeralcontainers``."""
    operations: tuple[Operation, ...]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing that holds for every request that is let through."""

    name: str
    """What it is about, unique in its policy."""
    reason: str
    """What would go wrong without it, in one sentence."""
    expression: str
    """CEL; true lets the request through."""
    message: str
    """What is told where the message's own expression fails."""
    message_expression: str
    """CEL of the text that names what is wrong."""


@dataclass(frozen=True, kw_only=True)
class AdmissionPolicy:
    """One ValidatingAdmissionPolicy and its binding to the hub's namespace."""

    key: str
    """What it is about; names carry the stack beside it."""
    reason: str
    resources: tuple[Resource, ...]
    account: str
    """User name of the hub's ServiceAccount."""
    is_about_hub: bool
    """True for requests of the hub's account alone, False for everybody else's."""
    variables: Mapping[str, str]
    """CEL by name; a later one may use those before it."""
    rules: tuple[Rule, ...]
    identities: IdentityObject | None = None
    """The ConfigMap that `rules` know as ``params``; without it there, every request is refused."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Only objects with these labels, where there are any. That the ConfigMap is there is asked before who makes the
    request: without a selector nobody's pod would start without it, the hub's own neither."""


@dataclass(frozen=True, kw_only=True)
class FixedIds:
    """Everybody's servers run as one user: nobody has ids of their own."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class IdentityObject:
    """The ConfigMap in which every user's ids stand, which the hub cannot write."""

    namespace: str
    name: str


@dataclass(frozen=True, kw_only=True)
class ClaimedIds:
    """Ids that only the identity provider's claims say: no object to hold them against, but bounds."""

    uids: tuple[int, int]
    gids: tuple[int, int]
    """Smallest and largest id of people."""


Ids: TypeAlias = FixedIds | IdentityObject | ClaimedIds


@dataclass(frozen=True, kw_only=True)
class ServerPlan:
    """What servers of this stack are made of: the most a hub can ask for."""

    images: tuple[str, ...]
    """Of users' servers and the containers beside them, with digest."""
    claims: Mapping[str, bool]
    """Claims beside the home; whether each is read-only."""
    config_maps: tuple[str, ...]
    secrets: tuple[str, ...]
    pull_secrets: tuple[str, ...]
    tolerations: tuple[str, ...]
    """Each as ``key|operator|value|effect``."""
    labels: tuple[str, ...]
    """Keys of labels in this program's domain."""
    networks: tuple[str, ...]
    """Network classes; empty where there are none, and servers carry no such label."""
    annotations: tuple[str, ...]
    """Beginnings of annotations' keys."""
    scheduler: str
    priority: str
    """Empty for the cluster's default."""
    home_class: str
    home_capacity: str
    home_access_modes: tuple[str, ...]
    host_files: Mapping[str, str]
    """Host paths by where a server has them; empty without LXCFS."""


def hub_account(namespace: str) -> str:
    """Return the user name of the hub's account in a namespace."""
    return f"system:serviceaccount:{namespace}:{HUB_ACCOUNT}"
