"""The ``connection`` of a remote command: checked, completed as the official provider does, and made a target."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.properties import (
    InvalidPropertyError,
    Kind,
    MissingPropertyError,
    check_properties,
)
from labctl.graph.values import Secret, Unknown, Value, as_mapping, as_text, reveal
from labctl.ssh import MalformedHostKeyError, MissingHostKeyError, Target, fingerprint
from labctl.ssh.target import DEFAULT_PORT, DIAL_RETRIES, DIAL_TIMEOUT_SECONDS

from .exceptions import MalformedHostKeyInputError, UnpinnedHostError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.graph.values import Inputs

__all__ = ["SECRETS", "checked_connection", "connection_secrets", "target_of"]

KINDS: Final = {
    "agentSocketPath": Kind.TEXT,
    "dialErrorLimit": Kind.INTEGER,
    "host": Kind.TEXT,
    "hostKey": Kind.TEXT,
    "password": Kind.TEXT,
    "perDialTimeout": Kind.INTEGER,
    "port": Kind.INTEGER,
    "privateKey": Kind.TEXT,
    "privateKeyPassword": Kind.TEXT,
    "user": Kind.TEXT,
}
"""Properties of a connection and of its ``proxy``."""
DEFAULTS: Final[Inputs] = {
    "dialErrorLimit": DIAL_RETRIES,
    "perDialTimeout": int(DIAL_TIMEOUT_SECONDS),
    "port": DEFAULT_PORT,
    "user": "root",
}
"""What the official provider fills in."""
SECRETS: Final = ("privateKey", "privateKeyPassword", "password")
"""Properties that are never shown, sealed or not; the others are in messages, although the whole is sealed."""
AGENT_VARIABLE: Final = "SSH_AUTH_SOCK"
"""Names the socket of the agent of whoever runs the engine."""
UNLIMITED: Final = -1
"""``dialErrorLimit`` of who tries for ever."""
LARGEST_PORT: Final = 65535


def checked_connection(type_token: str, value: Value) -> Value:
    """Return `value` with its defaults, sealed as a whole; what is not known yet stays so.

    Raises
    ------
    UnpinnedHostError
        It has no ``hostKey``; nor may its proxy be without one.
    ProviderError
        A property is unknown, missing or of the wrong kind.
    """
    if isinstance(value, Secret):
        return checked_connection(type_token, value.value)
    if isinstance(value, Unknown):
        return Secret(value)
    return Secret(_checked_hop(type_token, "connection", value))


def _checked_hop(type_token: str, place: str, value: Value) -> Value:
    if isinstance(value, Secret):
        return Secret(_checked_hop(type_token, place, value.value))
    if isinstance(value, Unknown):
        return value
    if not isinstance(value, dict):
        raise InvalidPropertyError(type_token, place, "an object")
    given: Inputs = {key: item for key, item in value.items() if item is not None}
    proxy = given.pop("proxy", None) if place == "connection" else None
    try:
        checked = check_properties(f"{type_token}: {place}", given, KINDS, ("host",))
    except MissingPropertyError as error:
        raise MissingPropertyError(type_token, f"{place}.{error.name}") from None
    _check_key(type_token, place, checked)
    _check_numbers(type_token, place, checked)
    result = {**DEFAULTS, **checked}
    return result if proxy is None else {**result, "proxy": _checked_hop(type_token, f"{place}.proxy", proxy)}


def _check_key(type_token: str, place: str, hop: Inputs) -> None:
    key = reveal(hop.get("hostKey"))
    if isinstance(key, Unknown):
        return
    host = as_text(hop.get("host"), "a host whose name is not known yet")
    try:
        fingerprint(as_text(key), host)
    except MissingHostKeyError:
        raise UnpinnedHostError(type_token, f"{place}.hostKey", host) from None
    except MalformedHostKeyError as error:
        raise MalformedHostKeyInputError(type_token, f"{place}.hostKey", str(error)) from None


def _check_numbers(type_token: str, place: str, hop: Inputs) -> None:
    limits = (
        ("port", 1, LARGEST_PORT, f"1 to {LARGEST_PORT}"),
        ("dialErrorLimit", UNLIMITED, None, "0 or more, or -1 for no limit"),
        ("perDialTimeout", 0, None, "a number of seconds, or 0 for no limit"),
    )
    for name, least, most, wanted in limits:
        number = reveal(hop.get(name))
        if isinstance(number, int) and (number < least or (most is not None and number > most)):
            raise InvalidPropertyError(type_token, f"{place}.{name}", wanted)


def target_of(type_token: str, value: Value) -> Target:
    """Return where a checked connection leads.

    Raises
    ------
    ProviderError
        It is not one that this engine would have let pass, for example the official engine's without a host key.
    """
    return _hop("connection", as_mapping(reveal(checked_connection(type_token, value))))


def _hop(place: str, hop: Inputs) -> Target:
    private_key, password = _text(hop, "privateKey"), _text(hop, "password")
    agent = _text(hop, "agentSocketPath")
    if agent is None and private_key is None and password is None:
        agent = os.environ.get(AGENT_VARIABLE) or None
    limit, seconds = hop.get("dialErrorLimit"), hop.get("perDialTimeout")
    proxy = as_mapping(hop.get("proxy"))
    return Target(
        host=as_text(hop.get("host")),
        host_key=as_text(hop.get("hostKey")),
        port=_number(hop.get("port"), DEFAULT_PORT),
        user=as_text(hop.get("user")),
        private_key=private_key,
        passphrase=_text(hop, "privateKeyPassword"),
        agent_socket=agent,
        password=password,
        proxy=_hop(f"{place}.proxy", proxy) if proxy else None,
        dial_timeout_seconds=_number(seconds, 0) or None,
        dial_retries=None if limit == UNLIMITED else _number(limit, DIAL_RETRIES),
    )


def connection_secrets(value: Value) -> Iterator[Value]:
    """Yield what in a connection must not be shown, each sealed."""
    hop = as_mapping(reveal(value))
    yield from (Secret(hop[name]) for name in SECRETS if name in hop)
    if "proxy" in hop:
        yield from connection_secrets(hop["proxy"])


def _text(hop: Inputs, name: str) -> str | None:
    """Return a property's text; none where it is empty, which says the same."""
    return as_text(hop.get(name)) or None


def _number(value: Value, default: int) -> int:
    return value if isinstance(value, int) else default
