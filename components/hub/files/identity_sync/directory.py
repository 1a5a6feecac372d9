"""People and groups of the directory, read whole, over LDAP."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Protocol, TypedDict, cast

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.utils import dn as distinguished

from .errors import DirectoryError
from .table import DirectoryGroup, Person, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .settings import DirectorySettings

__all__ = ["read_directory"]

CONNECT_SECONDS = 10
"""For a connection."""
RECEIVE_SECONDS = 60
"""For an answer: a page of a slow directory."""
PAGE = 500
"""Entries of a page (RFC 2696); what OpenLDAP gives at once by default, and half of Active Directory's."""


class _ParseDn(Protocol):
    def __call__(self, dn: str, *, strip: bool) -> Sequence[tuple[str, str, str]]: ...


class _Entry(TypedDict):
    type: str
    dn: str
    raw_attributes: Mapping[str, Sequence[bytes]]


def read_directory(settings: DirectorySettings, password: str | None) -> Snapshot:
    """Return all people and groups.

    Parameters
    ----------
    settings
        How it is reached, and where they are in it.
    password
        Of who looks them up; None without anybody.

    Raises
    ------
    DirectoryError
        If one page could not be read: half of the people are nobody's.
    """
    users, groups = settings["users"], settings["groups"]
    try:
        with _connect(settings, password) as connection:
            wanted = (users["name"], users["uid"], users["gid"])
            people = tuple(
                Person(entry["dn"], *(_texts(entry, attribute) for attribute in wanted))
                for entry in _search(connection, users["base"], users["filter"], wanted)
            )
            if groups is None:
                return Snapshot(people, ())
            asked = (groups["name"], groups["gid"], groups["member"])
            found = list(_search(connection, groups["base"], groups["filter"], asked))
    except (LDAPException, OSError, ValueError) as problem:
        # ValueError: a certificate or a filter ldap3 cannot read.
        raise DirectoryError(settings["server"], settings["port"], problem) from problem
    names = _Names(people) if groups["membersBy"] == "dn" else None
    read = (
        DirectoryGroup(
            entry["dn"],
            _texts(entry, groups["name"]),
            _texts(entry, groups["gid"]),
            _members(_texts(entry, groups["member"]), names),
        )
        for entry in found
    )
    return Snapshot(people, tuple(read))


class _CheckedTls(ldap3.Tls):
    """TLS with the standard library's checks of certificate and name; ldap3's own are from before Python 3.12."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)  # pyright: ignore[reportUnknownMemberType] - its stubs are bare
        self._context = context

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:  # noqa: FBT001, FBT002 - ldap3's own signature
        """Put TLS over a connection's socket, or fail."""
        del do_handshake  # a context that checks names shakes hands at once
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=connection.server.host)


def _connect(settings: DirectorySettings, password: str | None) -> ldap3.Connection:
    is_sealed = settings["tls"] != "none"
    server = ldap3.Server(
        settings["server"],
        port=settings["port"],
        use_ssl=settings["tls"] == "ldaps",
        tls=_CheckedTls(ssl.create_default_context(cadata=settings["authority"])) if is_sealed else None,
        get_info=ldap3.NONE,
        connect_timeout=CONNECT_SECONDS,
    )
    bind = ldap3.AUTO_BIND_TLS_BEFORE_BIND if settings["tls"] == "startTls" else ldap3.AUTO_BIND_NO_TLS
    return ldap3.Connection(
        server,
        user=settings["bindDn"],
        password=password,
        auto_bind=bind,
        read_only=True,
        # Each page that is not there whole is an exception, never a shorter list.
        raise_exceptions=True,
        # Never to a server nobody has named, with the password.
        auto_referrals=False,
        receive_timeout=RECEIVE_SECONDS,
    )


def _search(connection: ldap3.Connection, base: str, condition: str, attributes: Iterable[str]) -> Iterator[_Entry]:
    pages = connection.extend.standard.paged_search(
        search_base=base, search_filter=condition, attributes=list(attributes), paged_size=PAGE, generator=True
    )
    for entry in cast("Iterator[_Entry]", pages):
        # Others are references to other servers.
        if entry["type"] == "searchResEntry":
            yield entry


def _texts(entry: _Entry, attribute: str) -> tuple[str, ...]:
    """Return an attribute's values; the directory may spell its name otherwise than we do."""
    for name, values in entry["raw_attributes"].items():
        if name.lower() == attribute.lower():
            return tuple(value.decode(errors="replace") for value in values)
    return ()


class _Names:
    """User names by distinguished name, however it is spelled."""

    def __init__(self, people: Iterable[Person]) -> None:
        named = [(person.dn, person.names[0].lower()) for person in people if person.names]
        self._exact = dict(named)
        self._folded = {_folded(dn): name for dn, name in named}

    def get(self, dn: str) -> str | None:
        """Return somebody's user name, or None if nobody has that entry."""
        return self._exact.get(dn) or self._folded.get(_folded(dn))


def _members(values: Iterable[str], names: _Names | None) -> frozenset[str]:
    if names is None:
        return frozenset(value.lower() for value in values)
    return frozenset(name for value in values if (name := names.get(value)) is not None)


def _folded(dn: str) -> str:
    """Return a distinguished name without its differences of case and blanks (RFC 4514, 4517: caseIgnoreMatch)."""
    parse = cast("_ParseDn", distinguished.parse_dn)  # pyright: ignore[reportUnknownMemberType] - its stubs are bare
    try:
        parts = parse(dn, strip=True)
    except LDAPException:
        return dn.lower()
    return ",".join(f"{attribute}={value}" for attribute, value, _ in parts).lower()
