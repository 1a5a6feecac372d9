"""The API server of the shared control plane, as its administrator sees it."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus

from contract_engines import Object

from labctl.control_plane import ControlPlane
from labctl.control_plane.client import ApiClient, tls_context
from labctl.control_plane.errors import ApiRequestError


class Api:
    """Reads and writes objects by path."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def find(self, path: str) -> Object | None:
        """Return the object at `path`; None where there is none, or one that is on its way out."""
        try:
            found: Object = json.loads(self._client.request("GET", path))
        except ApiRequestError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None
        return None if found["metadata"].get("deletionTimestamp") else found

    def items(self, path: str) -> list[Object]:
        """Return the objects of a list."""
        found: Object = json.loads(self._client.request("GET", path))
        return found["items"]

    def create(self, path: str, body: Object) -> None:
        """Create an object."""
        self._client.request("POST", path, body)

    def delete(self, path: str) -> None:
        """Delete an object; one that is gone already is success."""
        self._client.request("DELETE", path, missing_is_fine=True)


@contextmanager
def administrator(plane: ControlPlane) -> Generator[Api]:
    """Yield the API server of a running control plane."""
    pki = plane.directory / "pki"
    server = plane.status().server
    assert server is not None
    context = tls_context(authority=pki / "ca.crt", client=(pki / "admin.crt", pki / "admin.key"))
    with ApiClient(server=server, context=context) as client:
        yield Api(client)
