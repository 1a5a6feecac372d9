"""The sync of identities as its pod has it: its own files, its own account, a real API server, a real directory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import urllib3
from cluster_api import eventually

from components.hub.identity.component import Identities, IdentitiesArgs
from components.hub.identity.config import LdapIdentity
from components.hub.identity.plan import PROGRAM_FILES
from components.images import ImageReference
from components.network.facts import NetworkFacts
from components.networks import Networks
from components.pins import ImagePin, Pins
from labctl.control_plane.client import PatchType, tls_context
from labctl.graph.program import Program
from labctl.graph.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cluster_api import Api

    from labctl.control_plane import ControlPlane

__all__ = ["HUB_NAMESPACE", "Account", "SyncBed", "table_path"]

HUB_NAMESPACE = "hub-beds"
NETWORK = NetworkFacts(
    pods=Networks.of("10.244.0.0/16"),
    services=Networks.of("10.96.0.0/16"),
    hosts=Networks.of("192.0.2.0/24"),
    cluster_domain="cluster.local",
)
IMAGE = ImagePin.model_construct(image=ImageReference.parse("quay.io/jupyterhub/k8s-hub:4.4.0@sha256:" + "0" * 64))
_RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"
PLACES = {
    "kubernetes:core/v1:ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "kubernetes:core/v1:ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "kubernetes:rbac.authorization.k8s.io/v1:Role": f"{_RBAC}/{{}}/roles",
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": f"{_RBAC}/{{}}/rolebindings",
    "kubernetes:apps/v1:Deployment": "/apis/apps/v1/namespaces/{}/deployments",
}
"""Where what the component makes is created; its Secret stays here, the program reads a file."""


def table_path(namespace: str) -> str:
    """Return where the table is asked for."""
    return f"/api/v1/namespaces/{namespace}/configmaps/identities"


@dataclass(frozen=True)
class Account:
    """A ServiceAccount, as itself."""

    token: str
    server: str
    plane: ControlPlane

    def ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None, kind: PatchType | None = None
    ) -> int:
        """Return the status of an answer."""
        context = tls_context(authority=self.plane.directory / "pki" / "ca.crt", client=None)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": str(kind or "application/json")}
        with urllib3.PoolManager(ssl_context=context, retries=False) as pool:
            given = None if body is None else json.dumps(body).encode()
            return pool.request(method, f"{self.server}{path}", body=given, headers=headers).status


class SyncBed:
    """What the component makes, created for real, and the program it runs."""

    def __init__(self, folder: Path, plane: ControlPlane, api: Api, stack: str, identity: Mapping[str, object]) -> None:
        self.folder, self.plane, self.api = folder, plane, api
        self.identity = LdapIdentity.model_validate(dict(identity))
        self.namespace = f"identities-{stack}"
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        self._create(stack)

    def _create(self, stack: str) -> None:
        def entry() -> None:
            Identities(
                "identities",
                IdentitiesArgs(
                    config=self.identity,
                    stack=stack,
                    network=NETWORK,
                    pins=Pins.model_construct(charts={}, images={"k8s-hub": IMAGE}),
                    hub_namespace=HUB_NAMESPACE,
                    bind_password="only in a Secret",
                ),
            )

        for name in (self.namespace, HUB_NAMESPACE):
            if not self.api.exists(f"/api/v1/namespaces/{name}"):
                self.api.namespace(name)
        accounts = f"/api/v1/namespaces/{HUB_NAMESPACE}/serviceaccounts"
        if not self.api.exists(f"{accounts}/hub"):
            self.api.post(accounts, {"metadata": {"name": "hub"}})
        for goal in record(Program(project="p", stack=stack, entry=entry)).goals:
            if goal.type in PLACES:
                body = cast("dict[str, Any]", goal.inputs)
                self.api.post(PLACES[goal.type].format(self.namespace), body)
                if goal.type.endswith("Deployment"):
                    self._lay_out(body["spec"]["template"]["spec"])

    def _lay_out(self, pod: Mapping[str, Any]) -> None:
        """Write the program's files where its volume has them."""
        (volume,) = [each["configMap"] for each in pod["volumes"] if each["name"] == "program"]
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{volume['name']}"
        data = self.api.get(path)["data"]
        for item in volume["items"]:
            target = self.folder / "program" / item["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(data[item["key"]], encoding="utf-8")
        assert len(volume["items"]) == len(PROGRAM_FILES) + 1

    def account(self, namespace: str, name: str) -> Account:
        """Return an account with a token of its own."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        made = self.api.post(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
        return Account(made["status"]["token"], self.api.server, self.plane)

    @property
    def sync_account(self) -> Account:
        """The sync's."""
        return self.account(self.namespace, "identity-sync")

    @property
    def hub_account(self) -> Account:
        """The hub's."""
        return self.account(HUB_NAMESPACE, "hub")

    def start(self, password: str) -> None:
        """Run the program as its pod would."""
        own = self.folder / "account"
        own.mkdir(exist_ok=True)
        (own / "token").write_text(self.sync_account.token)
        (own / "ca.crt").write_bytes((self.plane.directory / "pki" / "ca.crt").read_bytes())
        (self.folder / "password").write_text(password + "\n")
        (self.folder / "state").mkdir(exist_ok=True)
        address = urlsplit(self.api.server)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.folder / "program"),
            "KUBERNETES_SERVICE_HOST": str(address.hostname),
            "KUBERNETES_SERVICE_PORT": str(address.port),
            "IDENTITY_SYNC_ACCOUNT": str(own),
            "IDENTITY_SYNC_PASSWORD": str(self.folder / "password"),
            "IDENTITY_SYNC_STATE": str(self.folder / "state"),
        }
        command = [sys.executable, "-m", "lab.identity_sync", str(self.folder / "program" / "settings.json")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log, cwd=self.folder)

    def stop(self) -> int | None:
        """Have it end as the kubelet does; return its exit status."""
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        self.process = None
        return status

    def log(self) -> str:
        """Return what it said."""
        return (self.folder / "log").read_text(encoding="utf-8")

    def says(self, text: str, times: int = 1) -> None:
        """Wait until it has said something."""
        eventually(lambda: self.log().count(text) >= times)

    def stored(self) -> Mapping[str, Any]:
        """Return the table's ConfigMap."""
        return self.api.get(table_path(self.namespace))

    def table(self) -> Mapping[str, str]:
        """Return the rows; none where there is no table yet."""
        return self.stored().get("data", {}) if self.api.exists(table_path(self.namespace)) else {}

    def comes_to(self, *keys: str) -> Mapping[str, str]:
        """Wait until the table has these users and no others, and return it."""
        return eventually(lambda: table if set(table := self.table()) - {"-groups"} == set(keys) else None)

    def round_passes(self, file: str = "round") -> None:
        """Wait until a whole round has passed from now."""
        path = self.folder / "state" / file
        for _ in range(2):
            before = path.stat().st_mtime_ns if path.exists() else 0
            eventually(lambda: path.exists() and path.stat().st_mtime_ns > before)  # noqa: B023 - asked at once
