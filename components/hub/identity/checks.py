"""What is wrong with a hub section's identities that no single field shows."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from components.hub.config import HomeKey
from components.hub.files.lab_hub.identity import is_persons_gid, is_persons_uid
from components.problems import Problem

from .config import ClaimIdentity, LdapIdentity, StaticIdentity
from .directory_config import DirectoryTls
from .plan import MOST_TABLE_BYTES, SYNC_IMAGE, static_table, table_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from components.hub.config import HubConfig

    from .config import IdRange

__all__ = ["check_identity"]


CLAIMING = frozenset({"auth0", "oidc"})
"""Sign-ins whose provider can be told to say claims of the lab's own; GitHub's and Google's say what they say."""


def check_identity(config: HubConfig, *, images: Collection[str], is_simulated: bool) -> Iterator[Problem]:
    """Yield everything wrong with identities; paths within the hub section.

    Parameters
    ----------
    config
        The section.
    images
        Names of the environment's pinned images.
    is_simulated
        Whether the cluster is simulated: only there may a directory be asked in the clear.
    """
    identity = config.identity
    if identity is None:
        if config.homes.key is HomeKey.UID:
            yield Problem(
                path=("homes", "key"),
                what="homes belong to user ids, but nothing says them",
                remedy="add hub.identity, or set key: account",
            )
        return
    match identity:
        case StaticIdentity():
            yield from _uid_homes(config)
            yield from _static(identity)
        case LdapIdentity():
            yield from _uid_homes(config)
            yield from _ldap(identity, images, is_simulated=is_simulated)
        case ClaimIdentity():
            yield from _claims(config)


def _uid_homes(config: HubConfig) -> Iterator[Problem]:
    if config.homes.key is not HomeKey.UID:
        yield Problem(
            path=("homes", "key"),
            what=f"servers run with their users' own ids, but homes belong to {config.homes.key}s",
            remedy="set key: uid, or drop it",
        )


def _static(identity: StaticIdentity) -> Iterator[Problem]:
    holders: defaultdict[int, list[str]] = defaultdict(list)
    for name, user in identity.users.items():
        holders[user.uid].append(name)
        yield from _in_range(user.uid, identity.uids, "uids", ("identity", "users", name, "uid"))
        yield from _in_range(user.gid, identity.gids, "gids", ("identity", "users", name, "gid"))
    for uid, names in holders.items():
        if len(names) > 1:
            yield Problem(
                path=("identity", "users"),
                what=f"{' and '.join(names)} have the user id {uid}",
                remedy="give each person an id of their own",
            )
    known: defaultdict[int, list[str]] = defaultdict(list)
    for name, gid in identity.groups.items():
        known[gid].append(name)
        yield from _in_range(gid, identity.gids, "gids", ("identity", "groups", name))
    for gid, names in known.items():
        if len(names) > 1:
            yield Problem(
                path=("identity", "groups"),
                what=f"{' and '.join(names)} have the group id {gid}",
                remedy="give each group an id of its own",
            )
    if (size := table_bytes(static_table(identity))) > MOST_TABLE_BYTES:
        yield Problem(
            path=("identity", "users"),
            what=f"{len(identity.users)} users take {size} bytes, and one object holds {MOST_TABLE_BYTES}",
            remedy="name fewer groups of each user, or run a hub for each half of the lab",
        )


def _ldap(identity: LdapIdentity, images: Collection[str], *, is_simulated: bool) -> Iterator[Problem]:
    if SYNC_IMAGE not in images:
        yield Problem(
            path=("identity", "kind"),
            what=f"the directory is read by a program in the image {SYNC_IMAGE}, which is not pinned",
            remedy=f"pin {SYNC_IMAGE}, the chart's own image of the hub, in stacks/pins",
        )
    if identity.directory.tls is DirectoryTls.NONE and not is_simulated:
        yield Problem(
            path=("identity", "directory", "tls"),
            what="whoever is on the way to the directory could make anybody anybody",
            remedy="set tls: ldaps or startTls",
        )


def _claims(config: HubConfig) -> Iterator[Problem]:
    if config.authentication.kind not in CLAIMING:
        yield Problem(
            path=("identity", "kind"),
            what=f"the sign-in {config.authentication.kind} has no claims with ids",
            remedy="choose static or ldap",
        )
    if config.homes.key is HomeKey.UID:
        yield Problem(
            path=("homes", "key"),
            what="a user id that only a claim says names no home: nothing proves whose it is",
            remedy="set key: account",
        )


def _in_range(number: int, allowed: IdRange, key: str, path: tuple[str | int, ...]) -> Iterator[Problem]:
    is_persons = is_persons_uid if key == "uids" else is_persons_gid
    if is_persons(number, allowed.first, allowed.last):
        return
    if number in allowed:
        yield Problem(path=path, what=f"{number} is nobody's id everywhere", remedy="choose another")
    else:
        yield Problem(
            path=path,
            what=f"{number} is not among {allowed.first} to {allowed.last}",
            remedy=f"choose another, or widen hub.identity.{key}",
        )
