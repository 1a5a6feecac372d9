"""Those parts of Kubernetes' objects that this command reads, typed; everything else in them is left unread."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

__all__ = ["Condition", "ConfigMapObject", "ContainerObject", "Metadata", "NodeObject", "PodObject"]


class _Read(BaseModel):
    """An object of the API server's: it has more fields than are read here, and may get others."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, validate_by_alias=True)


class ManagedFields(_Read):
    """Who owns which fields."""

    manager: str = ""
    operation: str = ""
    subresource: str | None = None
    fields_v1: dict[str, dict[str, JsonValue]] | None = Field(default=None, alias="fieldsV1")


class Owner(_Read):
    """An object that another one belongs to."""

    kind: str
    controller: bool | None = None


class Metadata(_Read):
    """What every object has."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_timestamp: object = None
    managed_fields: tuple[ManagedFields, ...] | None = None
    owner_references: tuple[Owner, ...] | None = None


class Condition(_Read):
    """One condition of a node or pod."""

    type: str
    status: str


class NodeSpec(_Read):
    """What a node is told."""

    unschedulable: bool | None = None


class NodeStatus(_Read):
    """What a node's kubelet says."""

    allocatable: dict[str, str] | None = None
    conditions: tuple[Condition, ...] | None = None


class NodeObject(_Read):
    """A node."""

    metadata: Metadata
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class Resources(_Read):
    """What a container asks for."""

    limits: dict[str, str] | None = None
    requests: dict[str, str] | None = None


class ContainerObject(_Read):
    """A container."""

    resources: Resources | None = None


class PodSpec(_Read):
    """What a pod is made of."""

    containers: tuple[ContainerObject, ...] = ()
    init_containers: tuple[ContainerObject, ...] | None = None


class PodStatus(_Read):
    """What a pod's kubelet says."""

    phase: str | None = None
    conditions: tuple[Condition, ...] | None = None


class PodObject(_Read):
    """A pod."""

    metadata: Metadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class ConfigMapObject(_Read):
    """A ConfigMap."""

    metadata: Metadata
    data: dict[str, str] | None = None
