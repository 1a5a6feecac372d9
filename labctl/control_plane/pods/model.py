"""A pod as far as it is run here: Kubernetes' ``core/v1`` Pod, what else is in it left out."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = [
    "RUN_LABEL",
    "RUN_LOCALLY",
    "Container",
    "EnvironmentSource",
    "EnvironmentVariable",
    "FieldReference",
    "KeyReference",
    "Metadata",
    "Part",
    "Pod",
    "Projection",
    "SecurityContext",
    "Spec",
    "Status",
    "Volume",
    "VolumeItem",
    "VolumeMount",
]

RUN_LABEL: Final = "lab.internal/run"
"""Label of pods that this machine runs; kwok's stages leave them alone (``files/kwok-stages.yaml``)."""
RUN_LOCALLY: Final = "local"
"""Its value."""


class Part(BaseModel):
    """A part of an object of the API; fields nobody here reads are left out."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Metadata(Part):
    """Who an object is."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    annotations: dict[str, str] = Field(default_factory=dict[str, str])
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None


class FieldReference(Part):
    """A field of the pod itself."""

    field_path: str


class KeyReference(Part):
    """A key of a ConfigMap or Secret; without a key all of it."""

    name: str = ""
    key: str = ""
    optional: bool = False


class EnvironmentSource(Part):
    """Where a variable's value comes from; exactly one is set."""

    field_ref: FieldReference | None = None
    config_map_key_ref: KeyReference | None = None
    secret_key_ref: KeyReference | None = None


class EnvironmentVariable(Part):
    """A variable of a container."""

    name: str
    value: str | None = None
    value_from: EnvironmentSource | None = None


class EnvironmentFrom(Part):
    """All keys of a ConfigMap or Secret as variables."""

    prefix: str = ""
    config_map_ref: KeyReference | None = None
    secret_ref: KeyReference | None = None


class SecurityContext(Part):
    """Whose processes they are; a container's own counts before its pod's."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    fs_group: int | None = None


class VolumeMount(Part):
    """Where a container has a volume."""

    name: str
    mount_path: str
    sub_path: str = ""
    sub_path_expr: str = ""
    read_only: bool = False


class ContainerPort(Part):
    """Where a container listens."""

    container_port: int


class Container(Part):
    """A container of a pod."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[EnvironmentVariable, ...] = ()
    env_from: tuple[EnvironmentFrom, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    security_context: SecurityContext = SecurityContext()
    restart_policy: str | None = None


class VolumeItem(Part):
    """A file of a volume: a key of its source, or a field of the pod."""

    path: str
    key: str = ""
    mode: int | None = None
    field_ref: FieldReference | None = None


class Projection(Part):
    """Files out of one source: a ConfigMap, a Secret (by either spelling of its name) or the pod itself."""

    name: str = ""
    secret_name: str = ""
    items: tuple[VolumeItem, ...] = ()
    optional: bool = False
    default_mode: int | None = None


class ProjectedSource(Part):
    """One of several sources in a volume; exactly one is set."""

    config_map: Projection | None = None
    secret: Projection | None = None
    downward_api: Projection | None = Field(default=None, alias="downwardAPI")


class Projected(Part):
    """Several sources in one volume."""

    sources: tuple[ProjectedSource, ...] = ()
    default_mode: int | None = None


class Claim(Part):
    """A PersistentVolumeClaim."""

    claim_name: str
    read_only: bool = False


class HostPath(Part):
    """A path of the node."""

    path: str


class EmptyDirectory(Part):
    """A folder that lives as long as the pod."""


class Volume(Part):
    """A volume of a pod; exactly one source is set, or one that is not known here."""

    name: str
    config_map: Projection | None = None
    secret: Projection | None = None
    downward_api: Projection | None = Field(default=None, alias="downwardAPI")
    projected: Projected | None = None
    persistent_volume_claim: Claim | None = None
    empty_dir: EmptyDirectory | None = None
    host_path: HostPath | None = None


class Spec(Part):
    """What a pod is to be."""

    node_name: str = ""
    service_account_name: str = ""
    hostname: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    security_context: SecurityContext = SecurityContext()
    termination_grace_period_seconds: int = 30


class ContainerStatus(Part):
    """What became of a container."""

    name: str
    restart_count: int = 0


class Status(Part):
    """What a pod is."""

    phase: str = ""
    pod_ip: str = Field(default="", alias="podIP")
    host_ip: str = Field(default="", alias="hostIP")
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Part):
    """A pod."""

    metadata: Metadata
    spec: Spec = Spec()
    status: Status = Status()

    @property
    def where(self) -> str:
        """Its path in the API."""
        return f"/api/v1/namespaces/{self.metadata.namespace}/pods/{self.metadata.name}"
