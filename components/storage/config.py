"""The storage section of a stack file: homes, scratch, shared folders on one NFS server; or another stack's classes."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from components.addresses import DnsLabel, DnsName
from components.errors import ConfigurationError, MalformedValueError
from components.model import Model
from components.quantities import Size

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DynamicFolder",
    "NfsStorage",
    "NfsVersion",
    "OnDelete",
    "SharedFolder",
    "StorageConfig",
    "StorageUse",
    "UsedVolume",
]


class NfsVersion(StrEnum):
    """Protocol versions the Linux server and client speak; older ones lack state, locking or both."""

    V4_1 = "4.1"
    V4_2 = "4.2"


class OnDelete(StrEnum):
    """What happens to a claim's folder on the server when the claim goes (csi-driver-nfs, ``onDelete``)."""

    RETAIN = "retain"
    ARCHIVE = "archive"
    DELETE = "delete"


def _absolute(path: str) -> str:
    parts = path.split("/")
    if not path.startswith("/") or any(part in {"", ".", ".."} for part in parts[1:]) or " " in path:
        raise MalformedValueError(path, "an absolute path", "write it from /, without '.', '..', '//' or a final '/'")
    return path


AbsolutePath = Annotated[str, AfterValidator(_absolute)]
"""A path from the root, in its shortest form."""


class DynamicFolder(Model):
    """A folder on the server in which every claim gets a folder of its own."""

    path: AbsolutePath = Field(title="Folder on the server", description="Exported by the server, or below an export.")
    on_delete: OnDelete = Field(
        default=OnDelete.RETAIN,
        description="retain leaves the claim's folder, archive renames it, delete removes it with what is in it.",
    )


class SharedFolder(Model):
    """One folder that every server of every user sees."""

    name: DnsLabel = Field(description="Name of the volume.")
    path: AbsolutePath = Field(title="Folder on the server", description="Exported by the server, or below an export.")
    mount_path: AbsolutePath = Field(description="Where it appears in a user's server.")
    size: Size = Field(
        description="Capacity of its PersistentVolume. NFS enforces none; it is what people and dashboards read."
    )
    writable: bool = Field(
        default=False, description="Whether users may write to it: false for datasets, true for exchange folders."
    )


class NfsStorage(Model):
    """Everything on one NFS server."""

    host: DnsLabel = Field(title="Storage host", description="Name of the host, among nodes.hosts, that exports.")
    version: NfsVersion = Field(default=NfsVersion.V4_2, title="NFS version", description="Protocol version to mount.")
    homes: DynamicFolder = Field(description="Home folders; they outlive their claims.")
    scratch: DynamicFolder | None = Field(default=None, description="Scratch space that goes with its claim.")
    shared: tuple[SharedFolder, ...] = Field(
        default=(), title="Shared folders", description="Datasets, notebooks, package cache."
    )


class UsedVolume(Model):
    """A shared claim that another stack's storage made in this stack's namespace."""

    name: DnsLabel = Field(description="Name of the volume.")
    claim: DnsName = Field(description="Name of the PersistentVolumeClaim.")
    mount_path: AbsolutePath = Field(description="Where it appears in a user's server.")
    writable: bool = Field(default=False, description="Whether users may write to it.")


class StorageUse(Model):
    """Storage that another stack owns, by name."""

    home_class: DnsName = Field(title="Home class", description="StorageClass for homes.")
    scratch_class: DnsName | None = Field(default=None, description="StorageClass for scratch space.")
    shared: tuple[UsedVolume, ...] = Field(default=(), title="Shared claims", description="Claims that exist already.")


class StorageConfig(Model):
    """Storage section of a stack file: exactly one of its keys."""

    nfs: NfsStorage | None = Field(default=None, title="NFS", description="Build storage on an NFS server.")
    use: StorageUse | None = Field(
        default=None, title="Used from another stack", description="Name classes that another stack owns."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given: Sequence[object] = [part for part in (self.nfs, self.use) if part is not None]
        if len(given) != 1:
            what = "storage names neither nfs nor use" if not given else "storage names both nfs and use"
            raise ConfigurationError(
                what=what, remedy="write nfs to build it, or use to name classes another stack owns"
            )
        return self
