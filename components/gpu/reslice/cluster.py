"""The cluster as this command sees it: a few requests, each one whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

import httpx2
import yaml
from lightkube import ApiError, Client, KubeConfig
from lightkube.core.exceptions import ConfigError
from lightkube.models.core_v1 import EventSource, ObjectReference
from lightkube.models.meta_v1 import DeleteOptions, ObjectMeta, Preconditions
from lightkube.resources.core_v1 import ConfigMap, Event, Node, Pod, PodEviction
from lightkube.types import PatchType

from .decide import rfc3339
from .document import KUBECONFIG
from .errors import KubeconfigError
from .facts import STATE_LABEL, MigState
from .maps import CLAIMS
from .objects import ConfigMapObject, NodeObject, PodObject
from .record import ANNOTATION, EVICTION_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from os import PathLike

    from .facts import Holder, Operand
    from .maps import Content
    from .record import Record

__all__ = ["KUBECONFIG", "Cluster", "connect"]

REQUEST_SECONDS: Final = 5.0
"""Longest a request may take: a stop that is asked for meanwhile is noticed well within the 10 s labctl waits."""
COMPONENT: Final = "research-compute-reslice"
"""Who Events are from."""
EVENT_REASON: Final = "GPUSlicesChange"
_MISSING, _CONFLICT, _TOO_MANY = 404, 409, 429


class _Object(Protocol):
    """An object as lightkube returns it."""

    def to_dict(self) -> dict[str, object]: ...


class _Requests(Protocol):
    """Those of lightkube's methods that are used, with types that leave nothing unknown."""

    def get(self, res: type[object], name: str, *, namespace: str | None = None) -> _Object: ...
    def list(
        self, res: type[object], *, namespace: str | None = None, fields: dict[str, str] | None = None
    ) -> Iterable[_Object]: ...
    def create(
        self, obj: object, name: str | None = None, *, namespace: str | None = None, field_manager: str | None = None
    ) -> object: ...
    def replace(self, obj: object, *, field_manager: str | None = None) -> object: ...
    def delete(self, res: type[object], name: str, *, namespace: str | None = None) -> object: ...
    def apply(self, obj: object, *, field_manager: str, force: bool) -> object: ...
    def patch(  # noqa: PLR0913 - as lightkube has it
        self,
        res: type[object],
        name: str,
        obj: dict[str, object],
        *,
        namespace: str | None = None,
        patch_type: PatchType,
        field_manager: str,
    ) -> object: ...


class _Kubeconfigs(Protocol):
    """How lightkube reads a kubeconfig, typed."""

    def from_dict(self, conf: dict[str, object], fname: PathLike[str]) -> KubeConfig: ...


class Cluster:
    """The API server, for one group.

    Every method raises `lightkube.ApiError` or `httpx2.TransportError` where it gets no good answer.
    """

    def __init__(self, client: Client, *, manager: str, namespace: str) -> None:
        self._client = cast("_Requests", client)
        self._manager = manager
        self._namespace = namespace

    def node(self, name: str) -> NodeObject | None:
        """Return a node, None where there is none."""
        try:
            return NodeObject.model_validate(self._client.get(Node, name).to_dict())
        except ApiError as error:
            if error.status.code == _MISSING:
                return None
            raise

    def nodes(self) -> list[NodeObject]:
        """Return all nodes."""
        return [NodeObject.model_validate(node.to_dict()) for node in self._client.list(Node)]

    def pods(self, node: str) -> list[PodObject]:
        """Return the pods bound to a node, in all namespaces."""
        found = self._client.list(Pod, namespace="*", fields={"spec.nodeName": node})
        return [PodObject.model_validate(pod.to_dict()) for pod in found]

    def remember(self, node: str, version: str, record: Record | None, *, unschedulable: bool | None = None) -> None:
        """Set or remove a node's record, and cordon or uncordon it in the same request.

        It is refused (409) where the node is not of that version any more.
        """
        text = record.render() if record is not None else None
        body: dict[str, object] = {"metadata": {"resourceVersion": version, "annotations": {ANNOTATION: text}}}
        if unschedulable is not None:
            body["spec"] = {"unschedulable": unschedulable or None}
        self._patch_node(node, body)

    def label(self, node: str, labels: Mapping[str, str], *, marks_pending: bool = False) -> None:
        """Declare a node's labels, these and no others of ours, by server-side apply."""
        declared = {**labels, STATE_LABEL: str(MigState.PENDING)} if marks_pending else dict(labels)
        obj = Node(metadata=ObjectMeta(name=node, labels=declared))
        # The operator gives nodes a default; what the stack file says counts more.
        self._client.apply(obj, field_manager=self._manager, force=True)

    def mark_pending(self, node: str) -> None:
        """Set the MIG manager's answer to pending: what it says after it is started anew, is new."""
        self._patch_node(node, {"metadata": {"labels": {STATE_LABEL: str(MigState.PENDING)}}})

    def restart(self, pod: Operand) -> None:
        """End a pod of the operator's."""
        try:
            self._client.delete(Pod, pod.name, namespace=self._namespace)
        except ApiError as error:
            if error.status.code != _MISSING:
                raise

    def tell(self, pod: Holder, node: str, at: datetime, now: datetime) -> None:
        """Tell a pod when it will be evicted: an annotation, and an Event for people to read."""
        text = (
            f"The GPUs of node {node} are cut anew. This pod is evicted at {rfc3339(at)}: save your work and stop it "
            "before; it can be started again at once, elsewhere."
        )
        event = Event(
            metadata=ObjectMeta(generateName=f"{pod.name}.gpu-", namespace=pod.namespace),
            involvedObject=ObjectReference(
                apiVersion="v1", kind="Pod", namespace=pod.namespace, name=pod.name, uid=pod.uid
            ),
            reason=EVENT_REASON,
            message=text,
            type="Warning",
            count=1,
            firstTimestamp=now,
            lastTimestamp=now,
            source=EventSource(component=COMPONENT),
        )
        # The Event first: a pod with the annotation counts as told.
        self._client.create(event, namespace=pod.namespace)
        self._annotate(pod, rfc3339(at))

    def forget(self, pod: Holder) -> None:
        """Take the notice back from a pod that stays."""
        self._annotate(pod, None)

    def evict(self, pod: Holder) -> str | None:
        """Ask for a pod's eviction; return what stands in its way, such as a disruption budget, or None."""
        options = DeleteOptions(preconditions=Preconditions(uid=pod.uid))
        eviction = PodEviction(metadata=ObjectMeta(name=pod.name, namespace=pod.namespace), deleteOptions=options)
        try:
            self._client.create(eviction, pod.name, namespace=pod.namespace)
        except ApiError as error:
            if error.status.code in {_MISSING, _CONFLICT}:
                return None
            if error.status.code == _TOO_MANY:
                causes = (error.status.details.causes if error.status.details else None) or []
                told = " ".join(cause.message for cause in causes if cause.message)
                return told or error.status.message or "too many requests"
            raise
        return None

    def config_map(self, name: str) -> ConfigMapObject | None:
        """Return a ConfigMap of the operator's namespace, None where there is none."""
        try:
            found = self._client.get(ConfigMap, name, namespace=self._namespace)
        except ApiError as error:
            if error.status.code == _MISSING:
                return None
            raise
        return ConfigMapObject.model_validate(found.to_dict())

    def write_config_map(self, name: str, found: ConfigMapObject | None, content: Content) -> None:
        """Write a ConfigMap that is still as it was found; refused (409) where somebody else was faster."""
        metadata = ObjectMeta(
            name=name,
            namespace=self._namespace,
            annotations={**((found.metadata.annotations if found else None) or {}), CLAIMS: content.annotation},
            labels=(found.metadata.labels if found else None),
            resourceVersion=found.metadata.resource_version if found else None,
        )
        obj = ConfigMap(metadata=metadata, data=dict(content.data))
        if found is None:
            self._client.create(obj, field_manager=self._manager)
        else:
            self._client.replace(obj, field_manager=self._manager)

    def _patch_node(self, node: str, body: Mapping[str, object]) -> None:
        self._client.patch(Node, node, dict(body), patch_type=PatchType.MERGE, field_manager=f"{self._manager}-record")

    def _annotate(self, pod: Holder, value: str | None) -> None:
        body: dict[str, object] = {"metadata": {"uid": pod.uid, "annotations": {EVICTION_ANNOTATION: value}}}
        try:
            self._client.patch(
                Pod, pod.name, body, namespace=pod.namespace, patch_type=PatchType.MERGE, field_manager=COMPONENT
            )
        except ApiError as error:
            if error.status.code not in {_MISSING, _CONFLICT}:
                raise


def connect(kubeconfig: str | None, context: str | None) -> Client:
    """Return a client for the cluster that the text of a kubeconfig names; nothing is asked of it yet.

    Raises
    ------
    KubeconfigError
        If there is none, or it names no cluster.
    """
    if not kubeconfig:
        raise KubeconfigError(KUBECONFIG, "is not set")
    try:
        content: object = yaml.safe_load(kubeconfig)
    except yaml.YAMLError:
        raise KubeconfigError(KUBECONFIG, "is not YAML") from None
    if not isinstance(content, dict):
        raise KubeconfigError(KUBECONFIG, "is not a kubeconfig")
    try:
        # Relative paths in it start from the working folder.
        reader = cast("_Kubeconfigs", KubeConfig)
        config = reader.from_dict(cast("dict[str, object]", content), Path("kubeconfig").absolute())
        chosen = config.get(context or None)
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise KubeconfigError(KUBECONFIG, f"is not a kubeconfig ({json.dumps(str(error))[1:81]})") from None
    if chosen is None:
        raise KubeconfigError(KUBECONFIG, "names no current context")
    return Client(config=chosen, timeout=httpx2.Timeout(REQUEST_SECONDS), field_manager=COMPONENT)
