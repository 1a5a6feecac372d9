"""The storage section of a stack file: homes, scratch, shared folders on one NFS server; or another stack's classes."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Self, cast

from pydantic import AfterValidator, Field, model_validator

from components.addresses import Address, Cidr, DnsLabel, DnsName
from components.errors import ConfigurationError, MalformedValueError, NotBuiltError
from components.model import Model
from components.quantities import Size

from .protection_config import DataBackupConfig, ReplicationConfig, SnapshotsConfig
from .zfs_config import ZfsConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "DynamicFolder",
    "Everyone",
    "FolderExport",
    "GroupConfig",
    "GroupsFolder",
    "HomesFolder",
    "NfsServer",
    "NfsStorage",
    "NfsVersion",
    "OnDelete",
    "SharedFolder",
    "StorageConfig",
    "StorageUse",
    "UsedFolder",
    "UsedVolume",
    "UserIds",
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
GroupName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
"""Name of a group (groupadd(8))."""
HomeName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
"""Namespace and claim of a home: the folder it has beneath the homes'."""


class NfsServer(StrEnum):
    """Which server exports."""

    KERNEL = "kernel"
    """The kernel's own (nfs-kernel-server): the fastest, and the default."""
    GANESHA = "ganesha"
    """nfs-ganesha, in user space: where a kernel has none, or a pool lies on FUSE."""


class DynamicFolder(Model):
    """A folder on the server in which every claim gets a folder of its own."""

    path: AbsolutePath = Field(title="Folder on the server", description="Exported by the server, or below an export.")
    on_delete: OnDelete = Field(
        default=OnDelete.RETAIN,
        description="retain leaves the claim's folder, archive renames it, delete removes it with what is in it.",
    )
    quota: Size | None = Field(
        default=None, description="Most that all of it may take together; with zfs only. None without it."
    )
    reservation: Size | None = Field(
        default=None, description="Space that is kept for it, whatever the others take; with zfs only."
    )


class UserIds(Model):
    """The range people's user ids lie in; no home is ever given to another."""

    first: int = Field(default=1000, ge=1, le=2**31 - 1, description="Smallest user id.")
    last: int = Field(default=2**31 - 1, ge=1, le=2**31 - 1, description="Largest user id.")


class HomesFolder(DynamicFolder):
    """Homes: with zfs, a dataset for every claim, made when its owner first signs in."""

    each: Size | None = Field(
        default=None, title="Quota of a home", description="Most that one home may take; with zfs only."
    )
    exceptions: dict[HomeName, Size] = Field(
        default={}, description="Other quotas, by namespace and claim: {hub-prod/claim-ada: 1Ti}."
    )
    user_ids: UserIds = Field(default=UserIds(), title="User ids", description="Whom a home may be given to.")
    hubs: tuple[DnsLabel, ...] = Field(
        default=(),
        title="Hubs of other stacks",
        description="Other stacks on this cluster whose hubs keep their database among these homes (`storage.use` "
        "there); with zfs only, where the folder has to be made for them.",
    )


class Everyone(StrEnum):
    """Access of all users."""

    EVERYONE = "everyone"


class FolderExport(Model):
    """An export of somebody else's server."""

    server: Address | DnsName = Field(description="Address of the server.")
    path: AbsolutePath = Field(title="Export", description="Path it exports.")
    version: NfsVersion = Field(
        default=NfsVersion.V4_1,
        title="NFS version",
        description="Protocol version to mount; 4.1 is what other servers speak, too.",
    )


class SharedFolder(Model):
    """One folder that every server of every user sees."""

    name: DnsLabel = Field(description="Name of the volume.")
    path: AbsolutePath | None = Field(
        default=None, title="Folder on the server", description="Exported by the server. This or source."
    )
    source: FolderExport | None = Field(
        default=None, title="Existing export", description="Mounted read-only from another server. This or path."
    )
    mount_path: AbsolutePath = Field(description="Where it appears in a user's server.")
    size: Size = Field(
        description="Capacity of its PersistentVolume, and with zfs its quota. What people and dashboards read."
    )
    readers: Everyone | tuple[GroupName, ...] = Field(
        default=Everyone.EVERYONE, description="Groups that may read it, or everyone."
    )
    writers: Everyone | tuple[GroupName, ...] = Field(
        default=(), description="Groups that may write to it, or everyone; none for datasets."
    )
    snapshots: bool = Field(
        default=True, description="Whether it is in the snapshots; false for what can be fetched again."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.source is None):
            what = f"folder {self.name} names {'neither path nor source' if self.path is None else 'path and source'}"
            raise ConfigurationError(
                what=what, remedy="write path for a folder of this server, or source for another's"
            )
        return self


class GroupConfig(Model):
    """A group of people with a folder of their own."""

    gid: int = Field(ge=1, le=2**31 - 1, title="Group id", description="As the lab's directory has it.")
    quota: Size | None = Field(default=None, description="Most that its folder may take; with zfs only.")
    folder: bool = Field(default=True, description="Whether it gets a folder; false for one that only names readers.")


class GroupsFolder(Model):
    """The groups' folders: each with the set-group-id bit, so that what is made in it belongs to the group."""

    path: AbsolutePath = Field(title="Folder on the server", description="Holds one folder per group.")
    mount_path: AbsolutePath = Field(description="Where it appears in a user's server.")


class NfsStorage(Model):
    """Everything on one NFS server."""

    host: DnsLabel = Field(title="Storage host", description="Name of the host, among nodes.hosts, that exports.")
    server: NfsServer = Field(default=NfsServer.KERNEL, title="NFS server", description="Which server exports.")
    version: NfsVersion = Field(default=NfsVersion.V4_2, title="NFS version", description="Protocol version to mount.")
    clients: tuple[Cidr, ...] = Field(
        default=(),
        description="Networks outside the cluster, such as workstations (a single one: 192.0.2.40/32), that may mount "
        "the shared folders everyone may read; read-only. The nodes need not be named.",
    )
    homes: HomesFolder = Field(description="Home folders; they outlive their claims.")
    scratch: DynamicFolder | None = Field(default=None, description="Scratch space that goes with its claim.")
    shared: tuple[SharedFolder, ...] = Field(
        default=(), title="Shared folders", description="Datasets, notebooks, package cache."
    )
    groups: dict[GroupName, GroupConfig] = Field(default={}, description="Groups by name.")
    group_folders: GroupsFolder | None = Field(
        default=None, description="Where groups have their folders; needed as soon as one has one."
    )
    users_gid: int = Field(
        default=100,
        ge=1,
        le=2**31 - 1,
        title="Group id of all users",
        description="The group every server runs in (Jupyter's images: users, 100); what everyone may write to is its.",
    )
    snapshots: SnapshotsConfig | None = Field(
        default=None, description="Snapshots of homes, groups and shared folders; with zfs only."
    )
    replication: ReplicationConfig | None = Field(
        default=None, description="A second pool on another host that follows the first; with zfs only."
    )
    backup: DataBackupConfig | None = Field(default=None, description="Encrypted copies elsewhere; with zfs only.")


class UsedVolume(Model):
    """A shared claim that another stack's storage made in this stack's namespace."""

    name: DnsLabel = Field(description="Name of the volume.")
    claim: DnsName = Field(description="Name of the PersistentVolumeClaim.")
    mount_path: AbsolutePath = Field(description="Where it appears in a user's server.")
    writable: bool = Field(default=False, description="Whether users may write to it.")


class UsedFolder(Model):
    """A folder of another stack's server that this stack's namespaces mount by volumes of their own."""

    name: DnsLabel = Field(description="Name of the volume.")
    source: FolderExport = Field(title="Export", description="Where it is, as the other stack exports it.")
    mount_path: AbsolutePath = Field(description="Where it appears in a user's server.")
    size: Size = Field(description="Capacity of its PersistentVolume; what people and dashboards read.")
    writable: bool = Field(default=False, description="Whether users may write to it.")


class StorageUse(Model):
    """Storage that another stack owns, by name."""

    home_class: DnsName = Field(title="Home class", description="StorageClass for homes.")
    scratch_class: DnsName | None = Field(default=None, description="StorageClass for scratch space.")
    home_requests: DnsName | None = Field(
        default=None,
        title="Claim for home requests",
        description="PersistentVolumeClaim, in the hub's namespace, of the folder in which homes are asked for; needed "
        "where homes of that class are made on a storage host. This or homeRequestsFolder.",
    )
    home_requests_folder: FolderExport | None = Field(
        default=None,
        title="Folder for home requests",
        description="The folder itself, as the other stack exports it: `home-requests`, beside its homes'. The hub's "
        "namespace mounts it by a volume of its own.",
    )
    folders: tuple[UsedFolder, ...] = Field(
        default=(), title="Shared folders", description="Folders of the other stack's server, mounted by own volumes."
    )
    shared: tuple[UsedVolume, ...] = Field(default=(), title="Shared claims", description="Claims that exist already.")


_STORAGE = "storage"
_BUILT = ("nfs with zfs for disks of the lab's own", "use for classes that exist")
_NOT_BUILT: Mapping[str, tuple[str, str]] = {
    "ceph": ("Ceph", "nothing here plans its monitors and disks yet"),
    "rook": ("Rook-Ceph", "nothing here plans its monitors and disks yet"),
    "cvmfs": ("CVMFS", "nothing here plans its proxies and caches yet"),
    "zfslocalpv": ("ZFS-LocalPV", "a home on one node's disks would bind its owner to that node"),
    "longhorn": ("Longhorn", "it keeps block devices, and homes are shared folders"),
}
"""What labs store on that this does not build, by the beginning of its key: its name, and why."""


class StorageConfig(Model):
    """Storage section of a stack file: nfs, with or without zfs beneath it; or use."""

    zfs: ZfsConfig | None = Field(
        default=None,
        title="ZFS",
        description="Pools on storage hosts, made and kept by this program. Without it the folders of nfs exist.",
    )
    nfs: NfsStorage | None = Field(default=None, title="NFS", description="Build storage on an NFS server.")
    use: StorageUse | None = Field(
        default=None, title="Used from another stack", description="Name classes that another stack owns."
    )

    @model_validator(mode="before")
    @classmethod
    def _kinds_are_built(cls, value: object) -> object:
        for key in cast("Mapping[object, object]", value) if isinstance(value, dict) else ():
            plain = str(key).replace("-", "").replace("_", "").lower()
            for beginning, (name, why) in _NOT_BUILT.items():
                if plain.startswith(beginning):
                    raise NotBuiltError(_STORAGE, name, why, _BUILT)
        return value  # pyright: ignore[reportUnknownVariableType] - pydantic judges the rest

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given: Sequence[object] = [part for part in (self.nfs, self.use) if part is not None]
        if len(given) != 1:
            what = "storage names neither nfs nor use" if not given else "storage names both nfs and use"
            raise ConfigurationError(
                what=what, remedy="write nfs to build it, or use to name classes another stack owns"
            )
        return self
