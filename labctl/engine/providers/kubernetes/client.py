"""JSON over kept-alive connections to one API server: as little between a thread and the socket as will do.

Every request this provider makes may be sent twice without harm (reads, server-side applies, dry runs, deletes), so one
that got no answer, or was told to come back later, is sent again; the few that may not say so.
"""

from __future__ import annotations

import json
import ssl
import tempfile
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError

from labctl.graph.values import Value, as_mapping, as_text

from .exceptions import ClusterUnreachableError, KubeconfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event

    from labctl.graph.values import Inputs

    from .kubeconfig import Access

__all__ = ["APPLY_PATCH", "JSON_PATCH", "ApiError", "Client", "Method", "Request"]

APPLY_PATCH: Final = "application/apply-patch+yaml"
"""Server-side apply; JSON is YAML."""
JSON_PATCH: Final = "application/json-patch+json"
JSON: Final = "application/json"
USER_AGENT: Final = "labctl"

CONNECTIONS: Final = 64
"""Kept alive at most; more than the engine's threads, so that none is opened twice."""
CONNECT_SECONDS: Final = 5.0
"""For a TCP and TLS handshake, on a busy machine."""
ANSWER_SECONDS: Final = 65.0
"""The API server ends an ordinary request after 60 s (``kube-apiserver --request-timeout``)."""

ATTEMPTS: Final = 6
FIRST_PAUSE_SECONDS: Final = 0.1
"""Doubled each time: 0.1 to 3.2 s, together 6 s, enough for an API server to be restarted under the run."""
LONGEST_PAUSE_SECONDS: Final = 10.0
"""However long a server's Retry-After is."""

LOST_SECONDS: Final = 10.0
"""For so long after a request that was never answered, others are tried once instead of `ATTEMPTS` times."""

NO_RETRIES: Final = urllib3.Retry(0, redirect=False, raise_on_status=False)
"""Trying again is decided here; made once, since making it costs as much as sending a small request."""

REFUSED_UNTOUCHED: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""The server did nothing with the request."""
GATEWAY: Final = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})
"""Something between us and the server failed: the request may or may not have been carried out."""
PASSING: Final = ("failed calling webhook", "etcdserver", "connection refused", "timeout", "timed out", "EOF")
"""What an internal error says that passes by itself: a webhook or an etcd that is starting. Others do not: the server
also answers 500 to a server-side apply with a field that its schema does not have."""


class Method:
    """HTTP methods of the Kubernetes API."""

    GET: Final = "GET"
    POST: Final = "POST"
    PATCH: Final = "PATCH"
    DELETE: Final = "DELETE"


class ApiError(Exception):
    """An answer other than success: a Kubernetes ``Status``."""

    def __init__(self, status: int, body: Inputs) -> None:
        self.status = status
        self.reason = as_text(body.get("reason"))
        self.message = as_text(body.get("message")) or f"HTTP {status}"
        details = as_mapping(body.get("details"))
        causes = details.get("causes")
        self.causes = [as_mapping(cause) for cause in causes] if isinstance(causes, list) else []
        self.subject_kind = as_text(details.get("kind"))
        super().__init__(self.message)

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed a little later."""
        if self.status in REFUSED_UNTOUCHED or self.status in GATEWAY:
            return True
        is_internal = self.status == HTTPStatus.INTERNAL_SERVER_ERROR
        return is_internal and any(word in self.message for word in PASSING)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call of the API."""

    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: Value = None
    """Sent as JSON; None: no body."""
    content_type: str = JSON
    accept: str = JSON
    repeatable: bool = True
    """False: the second of two equal requests would fail or do something else."""
    attempts: int = ATTEMPTS
    cancelled: Event | None = None
    """Ends the pauses between attempts."""


class Client:
    """Connections to the API server of one kubeconfig; thread-safe."""

    def __init__(self, access: Access, *, connect_seconds: float = CONNECT_SECONDS) -> None:
        self.access = access
        self._timeout = urllib3.Timeout(connect=connect_seconds, read=ANSWER_SECONDS)
        parts = urlsplit(access.server)
        self._prefix = parts.path.rstrip("/")
        self._lost_at: float | None = None
        self._pool = _pool(access, parts.scheme, parts.hostname or "", parts.port)

    def _was_lost_recently(self) -> bool:
        """Tell whether a request went unanswered a moment ago: then many need not each find it out at length."""
        lost_at = self._lost_at
        return lost_at is not None and time.monotonic() - lost_at < LOST_SECONDS

    def probe(self, seconds: float) -> str:
        """Ask for the server's version once, within `seconds`; return why there is no answer, or nothing."""
        timeout = urllib3.Timeout(connect=seconds, read=seconds)
        try:
            request = Request(method=Method.GET, path=self._prefix + "/version")
            headers = self._headers(request)
            self._pool.urlopen(request.method, request.path, headers=headers, retries=False, timeout=timeout)
        except (HTTPError, OSError) as error:
            return _reason(error)
        return ""

    def send(self, request: Request) -> tuple[int, Inputs]:
        """Return the status and the JSON object that answer `request`.

        Raises
        ------
        ApiError
            The server answered with a failure.
        ClusterUnreachableError
            There was no answer, after several attempts if the request may be repeated.
        """
        target = self._prefix + request.path
        if request.query:
            target = f"{target}?{urlencode(request.query)}"
        body = None if request.body is None else json.dumps(request.body, separators=(",", ":")).encode()
        headers = self._headers(request)
        pause = FIRST_PAUSE_SECONDS
        last = 1 if self._was_lost_recently() else request.attempts
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._pool.urlopen(
                    request.method,
                    target,
                    body=body,
                    headers=headers,
                    retries=NO_RETRIES,
                    assert_same_host=False,
                    timeout=self._timeout,
                )
            except (HTTPError, OSError) as error:
                unsent = isinstance(error, NewConnectionError)
                if attempt >= last or not (unsent or request.repeatable):
                    self._lost_at = time.monotonic()
                    raise ClusterUnreachableError(self.access.server, _reason(error)) from error
            else:
                self._lost_at = None
                status = response.status
                if status < HTTPStatus.BAD_REQUEST:
                    return status, _json_object(response.data)
                failure = ApiError(status, _json_object(response.data))
                again = status in REFUSED_UNTOUCHED or (request.repeatable and failure.is_passing)
                if attempt >= last or not again:
                    raise failure
                pause = _asked_pause(response.headers.get("Retry-After"), pause)
            if _paused(min(pause, LONGEST_PAUSE_SECONDS), request.cancelled):
                last = attempt + 1
            pause *= 2

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {"Accept": request.accept, "Content-Type": request.content_type, "User-Agent": USER_AGENT}
        token = self.access.token
        if self.access.token_file is not None:
            token = self.access.token_file.read_text(encoding="utf-8").strip()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._pool.close()


def _paused(seconds: float, cancelled: Event | None) -> bool:
    """Wait; return True when the person asked to stop."""
    if cancelled is not None:
        return cancelled.wait(seconds)
    time.sleep(seconds)
    return False


def _asked_pause(retry_after: str | None, otherwise: float) -> float:
    return float(retry_after) if retry_after and retry_after.isdigit() else otherwise


def _json_object(data: bytes) -> Inputs:
    try:
        loaded = cast("Value", json.loads(data))
    except ValueError:
        return {"message": data.decode(errors="replace")[:200]}
    return as_mapping(loaded)


def _reason(error: Exception) -> str:
    """Return the last line of why a connection failed, without the library's own wording."""
    cause = (error.reason if isinstance(error, MaxRetryError) else None) or error
    text = str(cause).rsplit(": ", 1)[-1].strip() or type(error).__name__
    return text[:200]


def _pool(access: Access, scheme: str, host: str, port: int | None) -> urllib3.HTTPConnectionPool:
    if not host or scheme not in {"http", "https"}:
        raise KubeconfigError(what=f"server {access.server!r} is no URL", remedy="write https://<host>:<port>")
    if scheme == "http":
        return urllib3.HTTPConnectionPool(host, port or 80, maxsize=CONNECTIONS)
    return urllib3.HTTPSConnectionPool(
        host,
        port or 443,
        maxsize=CONNECTIONS,
        ssl_context=_tls(access),
        server_hostname=access.tls_server_name or None,
        assert_hostname=None if access.verifies else False,
    )


def _tls(access: Access) -> ssl.SSLContext:
    try:
        authority = access.certificate_authority
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
        if not access.verifies:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if access.client_certificate and access.client_key:
            _load_certificate(context, access.client_certificate, access.client_key)
    except (ssl.SSLError, ValueError) as error:
        raise KubeconfigError(
            what=f"a certificate or key in it is unusable ({error})", remedy="write the kubeconfig anew"
        ) from error
    return context


def _load_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Give `context` a client certificate: OpenSSL reads files only, so one exists for a moment, readable by us."""
    with tempfile.TemporaryDirectory(prefix="labctl-") as folder:
        path = Path(folder) / "client.pem"
        path.touch(mode=0o600)
        path.write_bytes(certificate + b"\n" + key)
        context.load_cert_chain(path)
