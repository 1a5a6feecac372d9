"""Operations on single objects of one cluster, each one request; what to do with the answers is decided elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Final

from labctl.graph.values import Inputs, Value, as_mapping, as_text

from .census import Census
from .client import APPLY_PATCH, JSON_PATCH, ApiError, Client, Method, Request
from .discovery import Discovery
from .exceptions import ClusterUnreachableError, KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from threading import Event

    from .annotations import Propagation
    from .discovery import ResourceKind
    from .kubeconfig import Access

__all__ = ["Cluster", "Target"]

PROBE_SECONDS: Final = 1.0
"""How long a preview waits, once per run, to find out whether a server is there."""

DISCOVERY_ATTEMPTS: Final = 1
"""A preview does not wait for a server that is restarting."""


@dataclass(frozen=True)
class Target:
    """One object by its identity."""

    api_version: str
    kind: str
    name: str
    namespace: str

    @classmethod
    def of(cls, inputs: Mapping[str, Value], default_namespace: str) -> Target:
        """Return the identity of the object described by `inputs`."""
        metadata = as_mapping(inputs.get("metadata"))
        return cls(
            as_text(inputs.get("apiVersion")),
            as_text(inputs.get("kind")),
            as_text(metadata.get("name")),
            as_text(metadata.get("namespace")) or default_namespace,
        )

    def path(self, resource: ResourceKind) -> str:
        """Return the object's path on the server."""
        return f"{resource.collection(self.namespace)}/{self.name}"

    def id(self, resource: ResourceKind | None) -> str:
        """Return the object's Pulumi id; `resource` tells whether a namespace belongs to it."""
        if resource is not None and not resource.namespaced:
            return self.name
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class _Connection:
    client: Client
    discovery: Discovery
    census: Census


class Cluster:
    """One API server, connected to when first needed; thread-safe.

    Parameters
    ----------
    access
        Returns how to reach the server, or raises why that cannot be told.
    """

    def __init__(self, access: Callable[[], Access]) -> None:
        self._access = access
        self._lock = Lock()
        self._connection: _Connection | None = None
        self._reachable: bool | None = None

    def _connected(self) -> _Connection:
        with self._lock:
            if self._connection is None:
                client = Client(self._access())
                self._connection = _Connection(client, Discovery(client), Census(client))
            return self._connection

    @property
    def client(self) -> Client:
        """The connections; raises where the kubeconfig cannot be used."""
        return self._connected().client

    def is_reachable(self) -> bool:
        """Tell whether a preview can ask the server; found out once, within about a second, never an error."""
        if self._reachable is None:
            try:
                client = self.client
            except KubernetesError:
                self._reachable = False
                return False
            with self._lock:
                if self._reachable is None:
                    self._reachable = not client.probe(PROBE_SECONDS)
        return self._reachable

    def resource_of(self, target: Target) -> ResourceKind | None:
        """Return how the kind of `target` is addressed, or None when the server does not have it."""
        return self._connected().discovery.find(target.api_version, target.kind)

    def previewed_resource_of(self, target: Target) -> ResourceKind | None:
        """Return the same for a preview: None also when nobody answers."""
        if not self.is_reachable():
            return None
        try:
            return self._connected().discovery.find(target.api_version, target.kind, attempts=DISCOVERY_ATTEMPTS)
        except (ApiError, ClusterUnreachableError):
            return None

    def forget_kinds(self) -> None:
        """Ask anew which kinds there are."""
        self._connected().discovery.forget()

    def get(self, resource: ResourceKind, target: Target) -> Inputs | None:
        """Return the live object, or None when there is none."""
        try:
            return self.client.send(Request(method=Method.GET, path=target.path(resource)))[1]
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def get_before_create(self, resource: ResourceKind, target: Target) -> Inputs | None:
        """Return the object that a create would meet, or None; one that came within seconds may be missed."""
        if self._connected().census.may_hold(resource, target.namespace, target.name):
            return self.get(resource, target)
        return None

    def list(self, resource: ResourceKind, namespace: str, query: Mapping[str, str]) -> list[Inputs]:
        """Return the objects of a kind in `namespace` that a query selects."""
        _, body = self.client.send(Request(method=Method.GET, path=resource.collection(namespace), query=query))
        items = body.get("items")
        return [as_mapping(item) for item in items] if isinstance(items, list) else []

    def apply(  # noqa: PLR0913 - one server-side apply has these knobs, all named
        self,
        resource: ResourceKind,
        target: Target,
        body: Inputs,
        manager: str,
        *,
        force: bool = False,
        dry_run: bool = False,
        repeatable: bool = True,
        cancelled: Event | None = None,
    ) -> tuple[bool, Inputs]:
        """Apply `body` under `manager`, unknown and duplicate fields refused; return whether it is new, and it."""
        query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        status, live = self.client.send(
            Request(
                method=Method.PATCH,
                path=target.path(resource),
                query=query,
                body=_without_namespace(body) if not resource.namespaced else body,
                content_type=APPLY_PATCH,
                attempts=1 if dry_run else Request.attempts,
                repeatable=repeatable,
                cancelled=cancelled,
            )
        )
        return status == HTTPStatus.CREATED, live

    def try_create(self, resource: ResourceKind, target: Target, body: Inputs) -> None:
        """Ask the server whether it would create `body`; nothing is stored. Raises `ApiError` if not."""
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        path = resource.collection(target.namespace)
        plain = _without_namespace(body) if not resource.namespaced else body
        self.client.send(Request(method=Method.POST, path=path, query=query, body=plain, attempts=1))

    def patch_json(self, resource: ResourceKind, target: Target, operations: Sequence[Inputs]) -> Inputs:
        """Apply a JSON patch that holds for one version of the object."""
        body: Value = [dict(operation) for operation in operations]
        path = target.path(resource)
        request = Request(method=Method.PATCH, path=path, body=body, content_type=JSON_PATCH, repeatable=False)
        return self.client.send(request)[1]

    def delete(self, resource: ResourceKind, target: Target, propagation: Propagation) -> str | None:
        """Ask for the deletion of an object; return its uid when it is still there, None when it is gone."""
        body: Inputs = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation.value}
        try:
            _, answer = self.client.send(Request(method=Method.DELETE, path=target.path(resource), body=body))
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        # The server answers with a Status when it deleted the object then and there, else with the object.
        if answer.get("kind") == "Status" and answer.get("status") == "Success":
            return None
        return as_text(as_mapping(answer.get("metadata")).get("uid"))


def _without_namespace(body: Inputs) -> Inputs:
    metadata = {key: value for key, value in as_mapping(body.get("metadata")).items() if key != "namespace"}
    return {**body, "metadata": metadata}
