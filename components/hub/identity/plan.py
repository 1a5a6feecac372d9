"""Identities, planned: what the hub is told, the table of a stack file's users, and the program that reads a directory.

Pure. The table is a ConfigMap in a namespace of its own, ``identities-<stack>``, which the hub's account may read and
not write: what the hub writes into a pod is held against it by the API server (`components.hub.admission`), so it must
not be the hub's to say. See docs/identity.md.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

from components.hub.config import HomeKey
from components.hub.files.lab_hub.identity import GROUPS_KEY, MOST_TABLE_BYTES, Identity, table_bytes, table_groups
from components.hub.files.lab_hub.wear_identity import GROUP_ANNOTATION, PASSWD_ANNOTATION
from components.hub.homes.plan import account_settings
from components.hub.parts import HubPart
from components.hub.signin.plan import account_key
from components.namespaces.flows import Direction, Flow, NetworkPeer, Port
from components.namespaces.plan import NamespacePlan, PodSecurity, scoped
from components.network.flows import api_server, dns

from .config import ClaimIdentity, LdapIdentity, StaticIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.hub.config import HubConfig
    from components.hub.facts import HubFacts
    from components.model import Value
    from components.network.facts import NetworkFacts
    from components.secrets import SecretRef

    from .config import IdentityConfig

__all__ = [
    "BASE",
    "CONFIG_MAP",
    "MOST_TABLE_BYTES",
    "PROGRAM_FILES",
    "SYNC_IMAGE",
    "SYNC_LABELS",
    "bind_password",
    "identities_namespace",
    "identity_part",
    "static_table",
    "sync_settings",
    "table_bytes",
]

BASE = "identities"
"""Of the namespace's name."""
CONFIG_MAP = "identities"
"""Name of the table."""
VOLUME = "lab-identity"
"""A server's volume with its passwd and group."""
SYNC_IMAGE = "k8s-hub"
"""Name, among the pins, of the image the sync runs in: the chart's own of the hub. It has Python and ldap3
(``images/hub/requirements.txt``: of jupyterhub-ldapauthenticator), and is on the hub's node anyway."""
SYNC_LABELS = {"app.kubernetes.io/name": "identity-sync"}
"""Of its pod."""
_SYNC, _HUB = "identity_sync", "lab_hub"
_SHARED = ("__init__.py", "identity.py")
"""What of the hub's package the sync uses: how a row is written."""


def _program_files() -> Mapping[str, str]:
    folder = files("components.hub.files")
    own = sorted(found.name for found in folder.joinpath(_SYNC).iterdir() if found.name.endswith(".py"))
    paths = [*(f"{_SYNC}/{name}" for name in own), *(f"{_HUB}/{name}" for name in _SHARED)]
    return {path: folder.joinpath(path).read_text(encoding="utf-8") for path in paths}


PROGRAM_FILES = _program_files()
"""The sync's program: text by path below its package ``lab``."""


def identities_namespace(identity: IdentityConfig, network: NetworkFacts, stack: str) -> NamespacePlan:
    """Return the namespace of the table: restricted, and closed but for what the sync needs.

    Parameters
    ----------
    identity
        Where ids come from; static or ldap.
    network
        The stack's network.
    stack
        Name of the stack.
    """
    flows: tuple[Flow, ...] = ()
    if isinstance(identity, LdapIdentity):
        directory = identity.directory
        flows = (
            dns(SYNC_LABELS),
            api_server(network, "The sync writes the table of identities.", SYNC_LABELS),
            Flow(
                name="sync-to-directory",
                reason="The sync reads people and groups of the lab's directory.",
                direction=Direction.EGRESS,
                pods=SYNC_LABELS,
                peers=tuple(NetworkPeer(network=each) for each in directory.networks),
                ports=(Port(directory.tcp_port),),
            ),
        )
    return NamespacePlan(name=scoped(BASE, stack), stack=stack, pod_security=PodSecurity.RESTRICTED, flows=flows)


def identity_part(config: HubConfig, facts: HubFacts) -> HubPart:
    """Return what has every server run as its user (``files/lab_hub/wear_identity.py``); nothing without identities.

    Parameters
    ----------
    config
        Hub section; checked.
    facts
        What is around the hub.
    """
    identity = config.identity
    if identity is None:
        return HubPart()
    settings: dict[str, Value] = {"identity": _settings(config, identity, facts)}
    if config.homes.key is HomeKey.UID:
        settings["uidHomes"] = {"account": account_settings(config.authentication)}
    files_of = {"passwd": PASSWD_ANNOTATION, "group": GROUP_ANNOTATION}
    items: list[Value] = [
        {"path": name, "fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}
        for name, annotation in files_of.items()
    ]
    return HubPart(
        settings=settings,
        server_volumes={VOLUME: {"downwardAPI": {"defaultMode": 0o444, "items": items}}},
        server_mounts={
            f"{VOLUME}-{name}": {"name": VOLUME, "mountPath": f"/etc/{name}", "subPath": name, "readOnly": True}
            for name in files_of
        },
    )


def _settings(config: HubConfig, identity: IdentityConfig, facts: HubFacts) -> Mapping[str, Value]:
    """Return the `IdentitySettings` of ``files/lab_hub/identities.py``."""
    is_claimed = isinstance(identity, ClaimIdentity)
    return {
        "namespace": None if is_claimed else facts.identities,
        "configMap": CONFIG_MAP,
        "claims": _claims(config, identity) if is_claimed else None,
        "uids": [identity.uids.first, identity.uids.last],
        "gids": [identity.gids.first, identity.gids.last],
        "home": config.homes.mount_path,
        "shell": identity.shell,
        "required": identity.required,
    }


def _claims(config: HubConfig, identity: ClaimIdentity) -> Value:
    key = account_key(config.authentication)
    return {
        # Without an account key there is no provider, which the checks report.
        "userInfo": "" if key is None else key.user_info,
        "uid": identity.uid_claim,
        "gid": identity.gid_claim,
        "groups": identity.groups_claim,
    }


def bind_password(config: HubConfig) -> SecretRef | None:
    """Return the reference to the password of the directory's entry that looks people up; None without one."""
    identity = config.identity
    return identity.directory.bind_password if isinstance(identity, LdapIdentity) else None


def static_table(identity: StaticIdentity) -> Mapping[str, str]:
    """Return the table of a stack file's users: rows by key, and names of groups.

    Examples
    --------
    >>> static_table(StaticIdentity.model_validate({"kind": "static", "users": {"ada": {"uid": 5001, "gid": 5001}}}))
    {'ada': 'ada:5001:5001:'}
    """
    table: dict[str, str] = {}
    for name, user in sorted(identity.users.items()):
        groups = {group: identity.groups[group] for group in user.groups}
        known = Identity.of(name, user.uid, user.gid, groups)
        table[known.key] = known.row()
    primary = {user.gid for user in identity.users.values()}
    if named := {name: gid for name, gid in identity.groups.items() if gid in primary}:
        table[GROUPS_KEY] = table_groups(named)
    return table


def sync_settings(identity: LdapIdentity, namespace: str) -> str:
    """Return what the sync reads, as JSON: the `SyncSettings` of ``files/identity_sync/settings.py``. No password.

    Parameters
    ----------
    identity
        The directory.
    namespace
        Of the table.
    """
    directory = identity.directory
    users, groups = directory.users, directory.groups
    settings: dict[str, Value] = {
        "directory": {
            "server": str(directory.server),
            "port": directory.tcp_port,
            "tls": str(directory.tls),
            "authority": directory.authority,
            "bindDn": directory.bind_dn,
            "users": {
                "base": users.base,
                "filter": users.filter,
                "name": users.name,
                "uid": identity.uid_attribute,
                "gid": identity.gid_attribute,
            },
            "groups": None
            if groups is None
            else {
                "base": groups.base,
                "filter": groups.filter,
                "name": groups.name,
                "gid": identity.group_gid_attribute,
                "member": groups.member,
                "membersBy": str(groups.members_by),
            },
        },
        "namespace": namespace,
        "configMap": CONFIG_MAP,
        "uids": [identity.uids.first, identity.uids.last],
        "gids": [identity.gids.first, identity.gids.last],
        "everySeconds": identity.every.seconds,
        "mostLost": identity.most_lost,
    }
    return json.dumps(settings, indent=1)
