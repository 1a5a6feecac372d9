"""A hub's API, as the health service sees it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import urllib3

from labctl.graph.values import as_mapping, as_text

from .errors import HubAnswerError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labctl.graph.values import Inputs, Plain

__all__ = ["Answer", "Hub", "Server"]

CONNECT_SECONDS: Final = 5.0
"""Until something has to take the connection: a lab is a few milliseconds wide."""
READ_SECONDS: Final = 30.0
"""Until it has to answer. A start is answered at once, since the chart's hub waits for no server
(``slow_spawn_timeout``), but first its steps before a start are taken."""
SHOWN: Final = 300
"""Characters of an answer that are shown to a person."""
NOT_FOUND: Final = 404
FIRST_ERROR: Final = 400
"""Status codes of HTTP (RFC 9110, 15)."""
EVENT: Final = "data:"
"""What a line with an event begins with (server-sent events)."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def document(self) -> Inputs:
        """Its body as JSON; empty where it is none."""
        try:
            return as_mapping(json.loads(self.body))
        except ValueError:
            return {}

    @property
    def said(self) -> str:
        """What the hub gives as the reason."""
        return as_text(self.document.get("message")) or ""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A user's server as the hub has it."""

    is_ready: bool
    pending: str | None
    """``spawn`` or ``stop`` while that is under way."""


class Hub:
    """A hub at its public address.

    Parameters
    ----------
    url
        Where its users find it, without a path.
    token
        The health service's.
    authority
        Certificates, as PEM, to hold its own against; None for those the machine trusts.
    """

    def __init__(self, url: str, token: str | None, authority: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        # A request that changes something is never repeated by itself.
        self._pool = urllib3.PoolManager(
            timeout=timeout, retries=False, ca_certs=None if authority is None else str(authority)
        )

    def is_well(self) -> Answer:
        """Return what the hub's own word on its health is; nothing else of it is used for that."""
        return self._send("GET", "/hub/health")

    def version(self) -> str:
        """Return the version of JupyterHub."""
        return as_text(self._well("the version", self._send("GET", "/hub/api/")).document.get("version")) or "unknown"

    def name_of_token(self) -> str:
        """Return whom the token belongs to, which the hub looks up in its database."""
        return as_text(self._well("the token", self._send("GET", "/hub/api/user")).document.get("name")) or ""

    def server(self, user: str) -> Server | None:
        """Return the user's server, None where it has none.

        Raises
        ------
        HubAnswerError
            The hub does not know the user, or does not show it.
        """
        answer = self._well(f"the user {user}", self._send("GET", f"/hub/api/users/{quote(user)}"))
        found = as_mapping(answer.document.get("servers")).get("")
        if found is None:
            return None
        known = as_mapping(found)
        return Server(is_ready=known.get("ready") is True, pending=as_text(known.get("pending")) or None)

    def start(self, user: str, profile: str) -> None:
        """Ask for the user's server; it is ready, or on its way, or `HubAnswerError` has the reason."""
        self._well("the start", self._send("POST", f"/hub/api/users/{quote(user)}/server", {"profile": profile}))

    def stop(self, user: str) -> None:
        """Ask for its end; one that has none is content."""
        answer = self._send("DELETE", f"/hub/api/users/{quote(user)}/server")
        if answer.status != NOT_FOUND:
            self._well("the stop", answer)

    def reason(self, user: str) -> str:
        """Return why the user's last start failed, as its progress page would say; empty where that is not known."""
        try:
            answer = self._send("GET", f"/hub/api/users/{quote(user)}/server/progress")
        except UnreachableError:
            return ""
        return failure_in(answer.body.decode(errors="replace"))

    def ask_server(self, user: str) -> str:
        """Return the version of the user's server, which asks the hub in turn whose token this is."""
        place = f"/user/{quote(user)}/api"
        self._well("the server's status", self._send("GET", f"{place}/status"))
        return as_text(self._well("the server", self._send("GET", place)).document.get("version")) or "unknown"

    def _send(self, method: str, path: str, body: Mapping[str, Plain] | None = None) -> Answer:
        headers = {} if self._token is None else {"Authorization": f"token {self._token}"}
        try:
            answer = self._pool.request(
                method, f"{self.url}{path}", headers=headers, json=body, redirect=False, preload_content=True
            )
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(self.url, _plain(error)) from error
        return Answer(status=answer.status, body=answer.data)

    @staticmethod
    def _well(what: str, answer: Answer) -> Answer:
        if answer.status >= FIRST_ERROR:
            raise HubAnswerError(what, answer.status, answer.said[:SHOWN])
        return answer


def failure_in(events: str) -> str:
    """Return the message of the failed event among a progress page's, empty without one."""
    for line in events.splitlines():
        if not line.startswith(EVENT):
            continue
        try:
            event = as_mapping(json.loads(line.removeprefix(EVENT)))
        except ValueError:
            continue
        if event.get("failed") is True:
            return (as_text(event.get("message")) or "")[:SHOWN]
    return ""


def _plain(error: urllib3.exceptions.HTTPError) -> str:
    """Return urllib3's words without the object they begin with."""
    return str(error).rpartition(">: ")[2] or type(error).__name__
