"""The table as an object of the cluster, by the pod's own account; HTTPS and JSON, nothing more is needed."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from .errors import TableReadError, TableWriteError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FRESHNESS_ANNOTATION", "ApiServer", "StoredTable", "TableObject"]

FRESHNESS_ANNOTATION = "lab.internal/last-good-read"
"""When the directory was last read well, RFC 3339 in UTC; written at every change and else now and then."""
MANAGER = "identity-sync"
"""Field manager of the rows: what is left out of one application goes, and nobody else's fields do."""
FRESHNESS_MANAGER = "identity-sync-freshness"
"""Field manager of the annotation, so that it is written without a megabyte of rows."""
TIMEOUT_SECONDS = 30.0
"""For one request."""
NOT_FOUND = 404
_ANSWER_BYTES = 300
"""How much of a refusal is worth a log line."""


@dataclass(frozen=True)
class ApiServer:
    """Where the API server is, and how it is spoken to."""

    address: str
    """``https://host:port``."""
    authority: Path
    """Certificate of its authority."""
    token: Path
    """The account's token; the kubelet renews the file, so it is read for every request."""


@dataclass(frozen=True)
class StoredTable:
    """The table as it is stored."""

    rows: Mapping[str, str] = field(default_factory=dict[str, str])
    last_good_read: str | None = None


class _Opener(Protocol):
    def open(self, fullurl: Request, *, timeout: float) -> _Answer: ...


class _Answer(Protocol):
    def read(self) -> bytes: ...
    def close(self) -> None: ...


class TableObject:
    """One ConfigMap.

    Parameters
    ----------
    server
        The API server.
    namespace, name
        Of the ConfigMap.
    """

    def __init__(self, server: ApiServer, namespace: str, name: str) -> None:
        self._server, self._namespace, self._name = server, namespace, name
        context = ssl.create_default_context(cafile=str(server.authority))
        # Never by a proxy of the environment's.
        self._opener = cast("_Opener", build_opener(HTTPSHandler(context=context), ProxyHandler({})))

    def read(self) -> StoredTable | None:
        """Return the table as it is stored, or None where there is none.

        Raises
        ------
        TableReadError
            If the API server does not give it.
        """
        try:
            answer = self._ask("GET")
        except HTTPError as problem:
            if problem.code == NOT_FOUND:
                return None
            raise TableReadError(_refusal(problem)) from problem
        except (URLError, OSError, ValueError) as problem:
            raise TableReadError(problem) from problem
        rows = cast("Mapping[str, str]", answer.get("data") or {})
        metadata = cast("Mapping[str, object]", answer.get("metadata") or {})
        annotations = cast("Mapping[str, str]", metadata.get("annotations") or {})
        return StoredTable(rows, annotations.get(FRESHNESS_ANNOTATION))

    def write(self, rows: Mapping[str, str]) -> None:
        """Store the table whole; rows of before that are not in it go.

        Raises
        ------
        TableWriteError
            If the API server does not take it.
        """
        self._apply(MANAGER, {"data": dict(rows)}, {})

    def stamp(self, moment: str) -> None:
        """Store when the directory was last read well.

        Raises
        ------
        TableWriteError
            If the API server does not take it.
        """
        self._apply(FRESHNESS_MANAGER, {}, {"annotations": {FRESHNESS_ANNOTATION: moment}})

    def _apply(self, manager: str, content: Mapping[str, object], metadata: Mapping[str, object]) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": self._namespace, "name": self._name, **metadata},
            **content,
        }
        try:
            self._ask("PATCH", body, fieldManager=manager, force="true")
        except HTTPError as problem:
            raise TableWriteError(_refusal(problem)) from problem
        except (URLError, OSError, ValueError) as problem:
            raise TableWriteError(problem) from problem

    def _ask(self, method: str, body: Mapping[str, object] | None = None, **query: str) -> Mapping[str, object]:
        path = f"/api/v1/namespaces/{self._namespace}/configmaps/{self._name}"
        address = f"{self._server.address}{path}{'?' + urlencode(query) if query else ''}"
        token = self._server.token.read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        data = None
        if body is not None:
            # Server-side apply is told by this media type; JSON is YAML.
            headers["Content-Type"] = "application/apply-patch+yaml"
            data = json.dumps(body).encode()
        request = Request(address, data=data, headers=headers, method=method)  # noqa: S310 - the API server's https
        answer = self._opener.open(request, timeout=TIMEOUT_SECONDS)
        try:
            return cast("Mapping[str, object]", json.loads(answer.read()))
        finally:
            answer.close()


def _refusal(problem: HTTPError) -> str:
    """Return what the API server said, closing its answer."""
    with problem:
        text = problem.read(_ANSWER_BYTES).decode(errors="replace")
    return f"{problem.code}: {text}"
