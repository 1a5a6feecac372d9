"""What was read -> the table, and who is left out of it. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..lab_hub.identity import (  # noqa: TID252 - the two packages lie beside each other in the pod as here
    GROUPS_KEY,
    MOST_TABLE_BYTES,
    RESERVED_NAMES,
    Identity,
    IdentityKeyError,
    IdentityRowError,
    identity_key,
    is_persons_gid,
    is_persons_uid,
    table_bytes,
    table_groups,
)
from .errors import (
    ForeignIdError,
    LeftOutError,
    NoIdError,
    NotOneError,
    TableTooLargeError,
    TooManyLostError,
    UnusableNameError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Decision", "DirectoryGroup", "Person", "Rules", "Snapshot", "decide"]

USER_ID, GROUP_ID = "user id", "group id"
SHOWN = 5
"""How many names a message shows of many."""
_ODD = re.compile(r"^[#+-]|[:=,\x00-\x1f\x7f]")
"""What a row's names of groups are without (`Identity`)."""


@dataclass(frozen=True)
class Person:
    """One entry of a person, as read: nothing of it is sure."""

    dn: str
    names: tuple[str, ...]
    uids: tuple[str, ...]
    gids: tuple[str, ...]


@dataclass(frozen=True)
class DirectoryGroup:
    """One entry of a group, as read."""

    dn: str
    names: tuple[str, ...]
    gids: tuple[str, ...]
    members: frozenset[str]
    """Names of its members, in lower case."""


@dataclass(frozen=True)
class Snapshot:
    """What a directory said, whole."""

    people: tuple[Person, ...]
    groups: tuple[DirectoryGroup, ...]


@dataclass(frozen=True)
class Rules:
    """What the stack file allows."""

    uids: tuple[int, int]
    gids: tuple[int, int]
    most_lost: int
    """Percent of the known users that one round may drop or renumber."""


@dataclass
class Decision:
    """The table as it should be, and what is not in it."""

    table: dict[str, str] = field(default_factory=dict[str, str])
    left_out: list[str] = field(default_factory=list[str])
    """A sentence for each entry that was passed over."""

    @property
    def users(self) -> int:
        """How many people are in it."""
        return len(self.table) - (GROUPS_KEY in self.table)


def decide(
    people: Sequence[Person], groups: Sequence[DirectoryGroup], before: Mapping[str, str], rules: Rules
) -> Decision:
    """Return the table that the directory's people and groups make.

    Parameters
    ----------
    people, groups
        All of them.
    before
        The table as it is now.
    rules
        What the stack file allows.

    Raises
    ------
    TooManyLostError
        If it would drop or renumber more of the known users than allowed.
    TableTooLargeError
        If it would not fit into one ConfigMap.
    """
    decision = Decision()
    known = _known(before)
    found = _only_one_each(_named(people, rules, decision), known, decision)
    by_member, gid_names = _memberships(groups, rules, decision)
    for name in sorted(found):
        uid, gid = found[name]
        identity = Identity.of(name, uid, gid, by_member.get(name, {}))
        decision.table[identity_key(name)] = identity.row()
    primary = {gid for _, gid in found.values()}
    if named := {name: gid for name, gid in gid_names.items() if gid in primary}:
        decision.table[GROUPS_KEY] = table_groups(named)
    _guard(known, found, rules)
    if (size := table_bytes(decision.table)) > MOST_TABLE_BYTES:
        raise TableTooLargeError(size, MOST_TABLE_BYTES, decision.users)
    return decision


def _known(before: Mapping[str, str]) -> dict[str, int]:
    """Return the user ids of a table by user name; rows that are none are as good as missing."""
    known: dict[str, int] = {}
    for key, row in before.items():
        if key == GROUPS_KEY:
            continue
        try:
            identity = Identity.parse(row)
        except IdentityRowError:
            continue
        known[identity.username] = identity.uid
    return known


def _named(people: Iterable[Person], rules: Rules, decision: Decision) -> dict[str, list[tuple[str, int, int]]]:
    """Return the entries that can be somebody by user name: distinguished name, user id, group id."""
    named: defaultdict[str, list[tuple[str, int, int]]] = defaultdict(list)
    for person in people:
        try:
            name = _name(person)
            uid, gid = _one_id(person.uids, USER_ID), _one_id(person.gids, GROUP_ID)
            _in_range(uid, rules.uids, USER_ID)
            _in_range(gid, rules.gids, GROUP_ID)
        except LeftOutError as reason:
            decision.left_out.append(f"{person.dn}: {reason}")
        else:
            named[name].append((person.dn, uid, gid))
    return named


def _name(person: Person) -> str:
    if len(person.names) != 1:
        raise NotOneError(len(person.names), "user name")
    # As the hub normalizes names (JupyterHub, ``Authenticator.normalize_username``).
    name = person.names[0].lower()
    try:
        identity_key(name)
        Identity(name, 0, 0)
    except (IdentityKeyError, IdentityRowError) as problem:
        raise UnusableNameError(name, problem) from problem
    if name in RESERVED_NAMES:
        raise UnusableNameError(name)
    return name


def _only_one_each(
    named: Mapping[str, Sequence[tuple[str, int, int]]], known: Mapping[str, int], decision: Decision
) -> dict[str, tuple[int, int]]:
    """Return user and group id by name, each name and each user id once.

    Of several with one user id, the one that has had it stays; where none or several have, nobody is to have it.
    """
    by_uid: defaultdict[int, list[str]] = defaultdict(list)
    single: dict[str, tuple[int, int]] = {}
    for name, entries in sorted(named.items()):
        if len(entries) > 1:
            entry_names = " and ".join(sorted(dn for dn, _, _ in entries))
            decision.left_out.append(f"{name}: is the user name of {entry_names}")
            continue
        _, uid, gid = entries[0]
        single[name] = (uid, gid)
        by_uid[uid].append(name)
    for uid, names in sorted(by_uid.items()):
        if len(names) == 1:
            continue
        holders = [name for name in names if known.get(name) == uid]
        keeps = holders[0] if len(holders) == 1 else None
        for name in names:
            if name != keeps:
                del single[name]
                others = " and ".join(other for other in names if other != name)
                decision.left_out.append(f"{name}: the user id {uid} is {others}'s too")
    return single


def _memberships(
    groups: Iterable[DirectoryGroup], rules: Rules, decision: Decision
) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Return each member's groups by name, and all groups by name."""
    by_member: defaultdict[str, dict[str, int]] = defaultdict(dict)
    every: dict[str, int] = {}
    for group in sorted(groups, key=lambda each: each.dn):
        try:
            gid = _one_id(group.gids, GROUP_ID)
            _in_range(gid, rules.gids, GROUP_ID)
        except LeftOutError as reason:
            decision.left_out.append(f"{group.dn}: {reason}")
            continue
        name = _ODD.sub("_", min(group.names, default="")) or f"group{gid}"
        if every.get(name, gid) != gid:
            # What counts are the ids; two groups of one name stay apart.
            name = f"{name}_{gid}"
        every[name] = gid
        for member in group.members:
            by_member[member][name] = gid
    return by_member, every


def _guard(known: Mapping[str, int], found: Mapping[str, tuple[int, int]], rules: Rules) -> None:
    lost = sorted(name for name, uid in known.items() if name not in found or found[name][0] != uid)
    if len(lost) * 100 > rules.most_lost * len(known):
        raise TooManyLostError(len(lost), len(known), rules.most_lost, ", ".join(lost[:SHOWN]))


def _one_id(values: Sequence[str], kind: str) -> int:
    if len(values) != 1:
        raise NotOneError(len(values), kind)
    text = values[0].strip()
    if not (text.isascii() and text.isdigit()):
        raise NoIdError(text, kind)
    return int(text)


def _in_range(number: int, allowed: tuple[int, int], kind: str) -> None:
    first, last = allowed
    is_persons = is_persons_uid if kind == USER_ID else is_persons_gid
    if not is_persons(number, first, last):
        raise ForeignIdError(number, kind, first, last)
