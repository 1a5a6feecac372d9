"""The few requests the control plane makes to its own API server, in plain JSON over a pool of connections."""

import json
import ssl
from collections.abc import Generator, Mapping
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import urllib3
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import ApiRequestError

__all__ = ["ApiClient", "JsonValue", "PatchType", "tls_context"]

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

REQUEST_SECONDS = 30.0
"""For one request, a list of 1,000 nodes on a busy machine included."""

CONNECT_SECONDS = 3.0
"""For a connection on loopback: either somebody listens, or not."""


class PatchType(StrEnum):
    """How the API server reads the body of a PATCH."""

    APPLY = "application/apply-patch+yaml"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


class _Status(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    message: str = ""


def tls_context(*, authority: Path, client: tuple[Path, Path] | None) -> ssl.SSLContext:
    """Return a context that trusts this authority alone and shows this certificate and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=authority)
    if client is not None:
        context.load_cert_chain(certfile=client[0], keyfile=client[1])
    return context


class ApiClient:
    """A client of one API server, for use by many threads at once; closes its connections when left."""

    def __init__(self, *, server: str, context: ssl.SSLContext, connections: int = 4) -> None:
        self._server = server
        self._pool = urllib3.PoolManager(
            ssl_context=context,
            maxsize=connections,
            block=True,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=REQUEST_SECONDS),
            retries=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.clear()

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, JsonValue] | None = None,
        *,
        patch_type: PatchType | None = None,
        missing_is_fine: bool = False,
    ) -> bytes:
        """Return the body of the answer.

        Parameters
        ----------
        path
            With its query.
        missing_is_fine
            Return the 404's body instead of raising: for deletions.

        Raises
        ------
        ApiRequestError
            The server refused, or does not answer (status 0).
        """
        headers = {"Accept": "application/json", "Content-Type": patch_type or "application/json"}
        content = None if body is None else json.dumps(body)
        try:
            response = self._pool.request(method, f"{self._server}{path}", body=content, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise ApiRequestError(method=method, path=path, status=0, message=str(error)) from error
        missing = response.status == 404  # noqa: PLR2004 - HTTP's own number
        if response.status >= 400 and not (missing and missing_is_fine):  # noqa: PLR2004 - HTTP's own number
            raise ApiRequestError(method=method, path=path, status=response.status, message=_message(response.data))
        return response.data

    def lines(self, path: str, *, silence_seconds: float) -> Generator[bytes]:
        """Yield the lines of an answer as they come (a watch), until the server ends it.

        Parameters
        ----------
        path
            With its query.
        silence_seconds
            How long nothing may come; then it is the server's fault.

        Raises
        ------
        ApiRequestError
            The server refused, is silent, or went away.
        """
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=silence_seconds)
        rest = b""
        try:
            response = self._pool.request(
                "GET",
                f"{self._server}{path}",
                headers={"Accept": "application/json"},
                timeout=timeout,
                preload_content=False,
            )
            try:
                if response.status >= 400:  # noqa: PLR2004 - HTTP's own number
                    message = _message(response.read())
                    raise ApiRequestError(method="GET", path=path, status=response.status, message=message)
                for chunk in response.stream(None):
                    *whole, rest = (rest + chunk).split(b"\n")
                    yield from (line for line in whole if line)
            finally:
                response.close()
        except urllib3.exceptions.HTTPError as error:
            raise ApiRequestError(method="GET", path=path, status=0, message=str(error)) from error


def _message(data: bytes) -> str:
    try:
        message = _Status.model_validate_json(data).message
    except ValidationError:
        message = ""
    return message or data.decode(errors="replace")[:200]
