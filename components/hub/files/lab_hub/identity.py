"""Who somebody is to the kernel: user id, group id, supplementary groups; and how that is written down.

Everybody's ids stand in one table, a ConfigMap that the hub may read and not write. It is written by the stack (users
in the stack file) or by the sync (``files/identity_sync``, from the directory), and read by the hub and by the
admission policy, each on its own. What a key and a row of it look like is decided here and nowhere else. The standard
library alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "GROUPS_KEY",
    "MOST_KEY_CHARACTERS",
    "MOST_TABLE_BYTES",
    "RESERVED_GROUPS",
    "RESERVED_NAMES",
    "USERS_GID",
    "Identity",
    "IdentityKeyError",
    "IdentityRowError",
    "group_file",
    "group_names",
    "identity_key",
    "identity_name",
    "is_persons_gid",
    "is_persons_uid",
    "passwd_file",
    "table_bytes",
    "table_groups",
]

GROUPS_KEY = "-groups"
"""Key of the row with the names of primary groups, ``name=gid,name=gid``. No user's key: a hyphen of theirs is followed
by two hexadecimal digits."""
MOST_KEY_CHARACTERS = 253
"""Of a ConfigMap's key (Kubernetes, ``IsConfigMapKey``: a DNS subdomain's length)."""
MOST_TABLE_BYTES = 1024 * 1024
"""Of a ConfigMap's data (Kubernetes, ``MaxSecretSize``)."""
_ROW_OVERHEAD_BYTES = 16
"""Of a row in etcd, beside its value and twice its key: once in the data, once among the fields its writer owns."""
USERS_GID = 100
"""Group ``users``, many directories' primary group: a system's id by its number, and nobody's privilege by its use
(Debian's base-passwd, Fedora's setup; ``NB_GID`` of Jupyter's images)."""
NOBODY = 65534
"""The overflow id, to which the kernel maps whomever it cannot name (``/proc/sys/kernel/overflowuid``)."""
NOBODY_IDS = frozenset({NOBODY, 65535})
"""Nobody's id, and -1 in 16 bits, which chown(2) takes for no change."""
_SYSTEM_USERS = (
    ("root", 0, 0, "/root", "/bin/sh"),
    ("daemon", 1, 1, "/usr/sbin", "/usr/sbin/nologin"),
    ("nobody", NOBODY, NOBODY, "/nonexistent", "/usr/sbin/nologin"),
)
"""Users that programs of any image look up (LSB 5, 23.2, requires root and daemon; nobody owns what is unmapped)."""
_SYSTEM_GROUPS = (("root", 0), ("daemon", 1), ("tty", 5), ("nogroup", NOBODY))
"""Groups likewise; ``tty`` owns terminals (Debian's base-passwd)."""
RESERVED_NAMES = frozenset(name for name, *_ in _SYSTEM_USERS)
"""User names that mean somebody else in every image."""
RESERVED_GROUPS = frozenset(name for name, _ in _SYSTEM_GROUPS)
"""Group names likewise."""

_PLAIN = re.compile(r"[A-Za-z0-9_.]")
_ESCAPE = re.compile(r"-([0-9a-f]{2})")
_FORBIDDEN_IN_NAME = re.compile(r"^[#+-]|[:\x00-\x20\x7f]")
"""What no user name may have: the separator of a row and of passwd(5), blanks, what controls a terminal; nor, in front,
what makes the C library pass a line over (a comment, or an entry of NIS: glibc, ``nss_files``)."""
_FORBIDDEN_IN_GROUP = re.compile(r"^[#+-]|[:=,\x00-\x1f\x7f]")
"""The same of a group's name, with the separators of a row and of group(5); blanks are common in domains."""
_ROW = re.compile(r"([^:]*):([^:]*):([^:]*):([^:]*)\Z")
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,9})\Z")


class IdentityKeyError(ValueError):
    """A user name that no key stands for."""

    def __init__(self, username: str, why: str) -> None:
        super().__init__(f"the user name {username[:64]!r} {why}")


class IdentityRowError(ValueError):
    """A row of the table that is none."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(f"not an identity: {text[:64]!r} is no {kind}")


def identity_key(username: str) -> str:
    """Return the table's key for a user name: a different one for each name.

    Letters, digits, dot and underscore stand for themselves, every other character for a hyphen and two hexadecimal
    digits per byte of UTF-8; so does a dot in front: Kubernetes takes no key ``.``, nor one that begins with ``..``.

    Raises
    ------
    IdentityKeyError
        If the name is empty, not Unicode, or its key too long.

    Examples
    --------
    >>> identity_key("Ana-Maria@lab.org")
    'Ana-2dMaria-40lab.org'
    """
    if not username:
        raise IdentityKeyError(username, "is empty")
    try:
        encoded = [
            each
            if _PLAIN.match(each) and not (each == "." and index == 0)
            else "".join(f"-{byte:02x}" for byte in each.encode())
            for index, each in enumerate(username)
        ]
    except UnicodeEncodeError as problem:
        raise IdentityKeyError(username, "is not Unicode") from problem
    key = "".join(encoded)
    if len(key) > MOST_KEY_CHARACTERS:
        raise IdentityKeyError(username, f"has a key of {len(key)} characters, more than {MOST_KEY_CHARACTERS}")
    return key


def identity_name(key: str) -> str:
    """Return the user name a key stands for.

    Raises
    ------
    UnicodeDecodeError
        If it stands for none.
    """
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), key).encode("latin-1").decode()


@dataclass(frozen=True)
class Identity:
    """One user's ids, as the directory has them.

    Raises
    ------
    IdentityRowError
        If a name has characters that a row, passwd(5) or group(5) separates by, or an id is negative.
    """

    username: str
    uid: int
    gid: int
    groups: tuple[tuple[str, int], ...] = ()
    """Supplementary groups by name and id, in the order of their ids; never the primary one."""

    def __post_init__(self) -> None:
        if not self.username or _FORBIDDEN_IN_NAME.search(self.username):
            raise IdentityRowError(self.username, "user name")
        for name, _ in self.groups:
            if not name or _FORBIDDEN_IN_GROUP.search(name):
                raise IdentityRowError(name, "group's name")
        for number in (self.uid, self.gid, *self.gids):
            if number < 0:
                raise IdentityRowError(str(number), "id")

    @classmethod
    def of(cls, username: str, uid: int, gid: int, groups: dict[str, int]) -> Identity:
        """Return an identity, its groups put in order: without the primary one, each id once."""
        by_id: dict[int, str] = {}
        for name, number in sorted(groups.items()):
            by_id.setdefault(number, name)
        by_id.pop(gid, None)
        return cls(username, uid, gid, tuple((by_id[number], number) for number in sorted(by_id)))

    @property
    def gids(self) -> tuple[int, ...]:
        """Ids of the supplementary groups, ascending."""
        return tuple(number for _, number in self.groups)

    @property
    def key(self) -> str:
        """Key of its row."""
        return identity_key(self.username)

    def row(self) -> str:
        """Return it as a row: ``username:uid:gid:name=gid,name=gid``."""
        groups = ",".join(f"{name}={number}" for name, number in self.groups)
        return f"{self.username}:{self.uid}:{self.gid}:{groups}"

    @classmethod
    def parse(cls, row: str) -> Identity:
        """Return the identity of a row.

        Raises
        ------
        IdentityRowError
            If it is no row.
        """
        found = _ROW.match(row)
        if found is None:
            raise IdentityRowError(row, "row")
        username, uid, gid, groups = found.groups()
        return cls(username, _number(uid), _number(gid), _groups(groups))


def is_persons_uid(uid: int, first: int, last: int) -> bool:
    """Return whether a user id may be a person's: within the stack's range, and not nobody's."""
    return first <= uid <= last and uid not in NOBODY_IDS


def is_persons_gid(gid: int, first: int, last: int) -> bool:
    """Return whether a group id may be people's: likewise, or `USERS_GID`."""
    return gid == USERS_GID or is_persons_uid(gid, first, last)


def table_bytes(table: Mapping[str, str]) -> int:
    """Return what a table takes of `MOST_TABLE_BYTES`.

    Two bounds hold: the API server counts values, up to 1 MiB; etcd takes 1.5 MiB in one request
    (``--max-request-bytes``), the fields' owner included, which tells with many short rows. The tighter one counts.
    """
    values = sum(len(value.encode()) for value in table.values())
    keys = sum(2 * len(key.encode()) + _ROW_OVERHEAD_BYTES for key in table)
    return max(values, (values + keys) * 2 // 3)


def table_groups(groups: dict[str, int]) -> str:
    """Return the row under `GROUPS_KEY`: names of groups by id, each id once."""
    by_id: dict[int, str] = {}
    for name, number in sorted(groups.items()):
        by_id.setdefault(number, name)
    return ",".join(f"{by_id[number]}={number}" for number in sorted(by_id))


def group_names(row: str) -> dict[int, str]:
    """Return the names of groups by id, out of the row under `GROUPS_KEY`.

    Raises
    ------
    IdentityRowError
        If it is no such row.
    """
    return {number: name for name, number in _groups(row)}


def passwd_file(identity: Identity, home: str, shell: str) -> str:
    """Return passwd(5) for a server: root, daemon, nobody and its user.

    Parameters
    ----------
    identity
        Its user.
    home, shell
        Home folder and login shell, absolute.
    """
    lines = [f"{name}:x:{uid}:{gid}:{name}:{folder}:{program}" for name, uid, gid, folder, program in _SYSTEM_USERS]
    lines.append(f"{identity.username}:x:{identity.uid}:{identity.gid}:{identity.username}:{home}:{shell}")
    return "".join(f"{line}\n" for line in lines)


def group_file(identity: Identity, primary: str | None = None) -> str:
    """Return group(5) for a server: the system's minimum and its user's groups by name.

    Parameters
    ----------
    identity
        Its user.
    primary
        Name of the primary group; without one, or with one that means another group here, the user's own.
    """
    taken = {name for name, _ in identity.groups} | RESERVED_GROUPS
    candidates = (primary or "", identity.username, f"group{identity.gid}")
    own = next((name for name in candidates if name and name not in taken), f"group{identity.gid}")
    lines = [f"{name}:x:{number}:" for name, number in _SYSTEM_GROUPS]
    lines.append(f"{own}:x:{identity.gid}:")
    lines += [f"{name}:x:{number}:{identity.username}" for name, number in identity.groups]
    return "".join(f"{line}\n" for line in lines)


def _number(text: str) -> int:
    if _NUMBER.match(text) is None:
        raise IdentityRowError(text, "id")
    return int(text)


def _groups(text: str) -> tuple[tuple[str, int], ...]:
    if not text:
        return ()
    pairs = [part.partition("=") for part in text.split(",")]
    return tuple((name, _number(number)) for name, _, number in pairs)
