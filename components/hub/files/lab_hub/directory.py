"""Asks the lab's directory (LDAP) who somebody is: password, account and groups.

A connection of its own for every question: a hub asks a few times a minute, and a connection kept open is one that a
firewall or the server has silently closed when it is needed. ldap3 is what the chart's image has. Its own handling of
TLS leaves host names to code from before Python 3.12, so the standard library's context checks certificates here.
"""

# The types that there are for ldap3 leave many parameters open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import ssl
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, cast

import ldap3
from ldap3.core.exceptions import (
    LDAPBindError,
    LDAPException,
    LDAPInvalidCredentialsResult,
    LDAPNoSuchObjectResult,
    LDAPUnwillingToPerformResult,
)
from ldap3.utils.conv import escape_filter_chars

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

__all__ = ["Directory", "DirectoryError", "DirectorySettings", "GroupSettings", "Person", "UserSettings", "identifier"]

CONNECT_SECONDS = 5.0
"""How long one address of the server may take to answer a connection."""
ANSWER_SECONDS = 10
"""How long an answer may take. A person waits for it."""
PAGE = 500
"""Groups asked for at once: below the usual bounds of servers, 500 (OpenLDAP) and 1000 (Active Directory)."""
MOST_PEOPLE = 2
"""Entries looked for under one name: the second one proves that the name is not one person's."""
UUID_BYTES = 16
"""Length of ``objectGUID``, Active Directory's identifier of an entry."""


class UserSettings(TypedDict):
    """Where people are."""

    base: str
    filter: str
    name: str
    account: str
    """Attribute with the account's unchanging identifier."""


class GroupSettings(TypedDict):
    """Where groups are."""

    base: str
    filter: str
    name: str
    member: str
    membersBy: str
    """``name`` or ``dn``."""


class DirectorySettings(TypedDict):
    """What the stack file says of the directory; the password comes apart from it."""

    server: str
    port: int
    tls: str
    """``ldaps``, ``startTls`` or ``none``."""
    authority: str | None
    bindDn: str | None
    users: UserSettings
    groups: GroupSettings | None


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody the directory knows."""

    name: str
    """User name as the directory spells it."""
    account: str
    """The identifier that stays the same, and nobody else's."""
    dn: str
    groups: tuple[str, ...]


class DirectoryError(Exception):
    """The directory does not answer, or not as it should."""

    def __init__(self, server: str, problem: object) -> None:
        super().__init__(f"directory {server}: {problem}")


class _VerifiedTls(ldap3.Tls):
    """TLS by the standard library's own checks of certificate and host name."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = context

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:  # noqa: FBT001, FBT002 - ldap3's own signature
        """Put TLS over a connection's socket, or fail."""
        del do_handshake  # a context that checks names shakes hands at once
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=connection.server.host)


class Directory:
    """A directory, ready to be asked. Its methods block: call them in a thread."""

    def __init__(self, settings: DirectorySettings, password: str | None) -> None:
        self._settings = settings
        self._password = password
        is_sealed = settings["tls"] != "none"
        context = ssl.create_default_context(cadata=settings["authority"]) if is_sealed else None
        self._server = ldap3.Server(
            settings["server"],
            port=settings["port"],
            use_ssl=settings["tls"] == "ldaps",
            tls=_VerifiedTls(context) if context is not None else None,
            get_info=ldap3.NONE,
            connect_timeout=CONNECT_SECONDS,
        )

    def person(self, name: str) -> Person | None:
        """Return who has a user name, or None where nobody has.

        Raises
        ------
        DirectoryError
            If the directory does not answer, or has several people of that name.
        """
        with self._asking() as connection:
            return self._find(connection, name)

    def sign_in(self, name: str, password: str) -> Person | None:
        """Return who has a user name, if the password is theirs, else None.

        Raises
        ------
        DirectoryError
            If the directory does not answer, or has several people of that name.
        """
        # A name without a password is an anonymous bind, which servers grant (RFC 4513, 5.1.2): not a proof.
        if not name or not password:
            return None
        with self._asking() as connection:
            person = self._find(connection, name)
        if person is None or not self._is_password(person.dn, password):
            return None
        return person

    def _is_password(self, dn: str, password: str) -> bool:
        try:
            with self._connection(dn, password):
                return True
        except (LDAPInvalidCredentialsResult, LDAPUnwillingToPerformResult):
            # The latter is said of a locked account.
            return False
        except (LDAPException, OSError) as problem:
            raise DirectoryError(self._settings["server"], problem) from problem

    @contextmanager
    def _asking(self) -> Generator[ldap3.Connection]:
        """Yield a connection as the entry that looks people up."""
        try:
            with self._connection(self._settings["bindDn"], self._password) as connection:
                yield connection
        except (LDAPException, OSError) as problem:
            raise DirectoryError(self._settings["server"], problem) from problem

    @contextmanager
    def _connection(self, dn: str | None, password: str | None) -> Generator[ldap3.Connection]:
        connection = ldap3.Connection(
            self._server,
            user=dn,
            password=password,
            authentication=ldap3.SIMPLE if dn is not None else ldap3.ANONYMOUS,
            client_strategy=ldap3.SYNC,
            raise_exceptions=True,
            read_only=True,
            receive_timeout=ANSWER_SECONDS,
            # Else a server that refers elsewhere is followed there, with the password.
            auto_referrals=False,
        )
        try:
            connection.open()
            if self._settings["tls"] == "startTls":
                connection.start_tls()
            if not connection.bind():
                raise LDAPBindError(connection.last_error)
            yield connection
        finally:
            # What went wrong before says more than what goes wrong in hanging up.
            with suppress(LDAPException, OSError):
                connection.unbind()

    def _find(self, connection: ldap3.Connection, name: str) -> Person | None:
        users = self._settings["users"]
        wanted = f"(&{users['filter']}({users['name']}={escape_filter_chars(name)}))"
        found = self._search(connection, users["base"], wanted, [users["name"], users["account"]], most=MOST_PEOPLE)
        if not found:
            return None
        if len(found) > 1:
            raise DirectoryError(self._settings["server"], f"several people are called {name!r}")
        dn, attributes = found[0]
        account = identifier(attributes.get(users["account"].lower(), []))
        if account is None:
            problem = f"{dn} has no {users['account']}, or {self._settings['bindDn'] or 'nobody'} may not read it"
            raise DirectoryError(self._settings["server"], problem)
        spelt = [value.decode() for value in attributes.get(users["name"].lower(), [])]
        # Directories take upper case and spaces lightly; the hub's name is the directory's spelling.
        matching = [value for value in spelt if value.casefold() == name.casefold()] or spelt[:1]
        if not matching:
            raise DirectoryError(self._settings["server"], f"{dn} has no {users['name']} to be read")
        return Person(name=matching[0], account=account, dn=dn, groups=self._groups(connection, dn, matching[0]))

    def _groups(self, connection: ldap3.Connection, dn: str, name: str) -> tuple[str, ...]:
        groups = self._settings["groups"]
        if groups is None:
            return ()
        member = escape_filter_chars(dn if groups["membersBy"] == "dn" else name)
        wanted = f"(&{groups['filter']}({groups['member']}={member}))"
        found = self._search(connection, groups["base"], wanted, [groups["name"]])
        names = (values[0].decode() for _, each in found if (values := each.get(groups["name"].lower())))
        return tuple(sorted(set(names)))

    def _search(
        self, connection: ldap3.Connection, base: str, wanted: str, attributes: Sequence[str], most: int | None = None
    ) -> list[tuple[str, Mapping[str, list[bytes]]]]:
        """Return entries, each by its name and its attributes in lower case; at most `most` where that is given."""
        entries: list[tuple[str, Mapping[str, list[bytes]]]] = []
        cookie: bytes | None = None
        while True:
            try:
                connection.search(
                    base, wanted, ldap3.SUBTREE, attributes=list(attributes), paged_size=PAGE, paged_cookie=cookie
                )
            except LDAPNoSuchObjectResult as problem:
                raise DirectoryError(self._settings["server"], f"there is no entry {base}") from problem
            for entry in cast("Sequence[Mapping[str, object]]", connection.response or ()):
                if entry["type"] == "searchResEntry":
                    raw = cast("Mapping[str, list[bytes]]", entry["raw_attributes"])
                    entries.append((str(entry["dn"]), {key.lower(): list(values) for key, values in raw.items()}))
            cookie = _next_page(cast("Mapping[str, object]", connection.result))
            if not cookie or (most is not None and len(entries) >= most):
                return entries


def identifier(values: Sequence[bytes]) -> str | None:
    """Return an identifier as text, or None where an entry has none or several.

    Examples
    --------
    >>> identifier([b"8a4f2c9e-1f0b-4f1e-9a6e-0d6f0c0b7a11"])
    '8a4f2c9e-1f0b-4f1e-9a6e-0d6f0c0b7a11'
    >>> identifier([bytes(range(128, 144))])
    '83828180-8584-8786-8889-8a8b8c8d8e8f'
    """
    if len(values) != 1 or not values[0]:
        return None
    (value,) = values
    try:
        text = value.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if text.isprintable() and text:
        return text
    # Active Directory's objectGUID: sixteen bytes, the first three fields with their lowest byte first.
    return str(uuid.UUID(bytes_le=value)) if len(value) == UUID_BYTES else value.hex()


def _next_page(result: Mapping[str, object]) -> bytes | None:
    controls = cast("Mapping[str, Mapping[str, Mapping[str, bytes]]]", result.get("controls") or {})
    paged = controls.get("1.2.840.113556.1.4.319")
    return paged["value"]["cookie"] if paged is not None else None
