"""What the tests of this folder share: a control plane as they make it, its API server, and patience."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from labctl.control_plane import ControlPlane
from labctl.control_plane.client import ApiClient, PatchType, tls_context
from labctl.control_plane.errors import ApiRequestError

POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"

Object = dict[str, Any]
"""A Kubernetes object as JSON has it: tests look into it freely."""
Holds = TypeVar("Holds")
PATIENCE_SECONDS = 90.0
"""For what takes a second or two, on a machine that does ten other things: nobody waits longer than until it is so."""


class Api:
    """The API server of one control plane, spoken to as its administrator."""

    def __init__(self, plane: ControlPlane) -> None:
        pki = plane.directory / "pki"
        context = tls_context(authority=pki / "ca.crt", client=(pki / "admin.crt", pki / "admin.key"))
        server = plane.status().server
        assert server is not None
        self.server = server
        self.client = ApiClient(server=server, context=context)

    def get(self, path: str) -> Object:
        return json.loads(self.client.request("GET", path))

    def exists(self, path: str) -> bool:
        try:
            self.client.request("GET", path)
        except ApiRequestError as error:
            if error.status == 404:
                return False
            raise
        return True

    def post(self, path: str, body: Mapping[str, Any]) -> Object:
        return json.loads(self.client.request("POST", path, body))

    def put(self, path: str, body: Mapping[str, Any]) -> Object:
        return json.loads(self.client.request("PUT", path, body))

    def delete(self, path: str) -> None:
        self.client.request("DELETE", path, missing_is_fine=True)

    def merge(self, path: str, body: Mapping[str, Any]) -> Object:
        return json.loads(self.client.request("PATCH", path, body, patch_type=PatchType.MERGE))

    def apply(self, path: str, manager: str, body: Mapping[str, Any]) -> Object:
        address = f"{path}?fieldManager={manager}"
        return json.loads(self.client.request("PATCH", address, body, patch_type=PatchType.APPLY))

    def namespace(self, name: str) -> None:
        """Create a namespace and wait until pods can be made in it."""
        self.post("/api/v1/namespaces", {"metadata": {"name": name}})
        eventually(lambda: self.exists(f"/api/v1/namespaces/{name}/serviceaccounts/default"))


def eventually(condition: Callable[[], Holds | None], seconds: float = PATIENCE_SECONDS) -> Holds:
    """Return what the condition is when it holds; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (held := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)
    return held


def make_plane(directory: Path) -> ControlPlane:
    return ControlPlane(
        directory / "control-plane",
        kubeconfig=directory / "kubeconfig",
        pod_network=POD_NETWORK,
        service_network=SERVICE_NETWORK,
        progress=print,
    )
