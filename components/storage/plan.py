"""The storage section of a stack file, planned: classes, shared volumes, mount options with their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.namespaces.plan import NamespacePlan, PodSecurity, scoped

from .config import OnDelete

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value
    from components.quantities import Size

    from .config import DynamicFolder, NfsStorage, NfsVersion, SharedFolder, StorageUse

__all__ = [
    "CHART",
    "DRIVER",
    "ClassPlan",
    "MountOption",
    "SharedMount",
    "SharedVolumePlan",
    "StoragePlan",
    "data_mount_options",
    "storage_plan",
    "used_mounts",
]

CHART = "csi-driver-nfs"
DRIVER = "nfs.csi.k8s.io"
"""Name the driver registers under (csi-driver-nfs, ``driver.name``)."""
FOLDER_OF_CLAIM = "${pvc.metadata.namespace}/${pvc.metadata.name}"
"""Folder a claim gets inside its class's (csi-driver-nfs, ``subDir``): by the claim's own name and not the volume's
random one, so that a claim made anew finds the folder it had, and a person finds it on the server."""


@dataclass(frozen=True, slots=True)
class MountOption:
    """One option of mount.nfs, and why."""

    text: str
    reason: str


def data_mount_options(version: NfsVersion, *, read_only: bool) -> tuple[MountOption, ...]:
    """Return the options of a mount, each with its reason (nfs(5)).

    What is written blocks while the server is away; what is only read gives up after about a minute and a half, so that
    a dead server takes no reader with it.
    """
    common = (
        MountOption(f"nfsvers={version}", "The version is said, so that no client falls back to one without state."),
        MountOption("noatime", "Reading a file does not write its access time back to the server."),
        MountOption("nconnect=4", "Four connections to the server: one alone does not fill a 10 Gbit/s link."),
    )
    if not read_only:
        return (
            *common,
            MountOption("hard", "While the server is away a writer waits; an error would truncate its file."),
        )
    return (
        *common,
        MountOption("softerr", "A reader gets ETIMEDOUT from a dead server instead of hanging; nothing can be lost."),
        MountOption("timeo=300", "First retry after 30 s (the unit is 0.1 s): a busy server is not a dead one."),
        MountOption("retrans=2", "Two retries, then the error."),
    )


@dataclass(frozen=True, kw_only=True)
class ClassPlan:
    """One StorageClass of the NFS driver; the server's address is not known here."""

    key: str
    """``homes`` or ``scratch``."""
    name: str
    share: str
    """Folder on the server in which claims get theirs."""
    on_delete: OnDelete
    reclaim_policy: str
    mount_options: tuple[MountOption, ...]

    def parameters(self) -> Mapping[str, str]:
        """Return the class's parameters but for ``server``."""
        return {"share": self.share, "subDir": FOLDER_OF_CLAIM, "onDelete": str(self.on_delete)}


@dataclass(frozen=True, kw_only=True)
class SharedVolumePlan:
    """One folder that a namespace mounts through a PersistentVolume and a claim of its own."""

    name: str
    path: str
    mount_path: str
    read_only: bool
    size: Size
    mount_options: tuple[MountOption, ...]

    @property
    def claim(self) -> str:
        """Name of the claim, in every namespace that mounts it."""
        return f"shared-{self.name}"

    @property
    def access_mode(self) -> str:
        """How many nodes may mount it, and how."""
        return "ReadOnlyMany" if self.read_only else "ReadWriteMany"

    def volume(self, namespace: str) -> str:
        """Return the name of a namespace's PersistentVolume; volumes are cluster-scoped, and the namespace is not."""
        return f"{namespace}-{self.claim}"

    def mount(self) -> SharedMount:
        """Return what a pod needs to mount it."""
        return SharedMount(name=self.name, claim=self.claim, mount_path=self.mount_path, read_only=self.read_only)


@dataclass(frozen=True, kw_only=True)
class SharedMount:
    """What a pod needs to mount a shared volume."""

    name: str
    claim: str
    mount_path: str
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class StoragePlan:
    """What has to exist on a cluster for storage on one NFS server."""

    namespace: NamespacePlan
    release_name: str
    values: Mapping[str, Value]
    homes: ClassPlan
    scratch: ClassPlan | None
    shared: tuple[SharedVolumePlan, ...]

    @property
    def classes(self) -> tuple[ClassPlan, ...]:
        """Every class, homes first."""
        return (self.homes,) if self.scratch is None else (self.homes, self.scratch)


def storage_plan(nfs: NfsStorage, stack: str) -> StoragePlan:
    """Return the plan of a stack's storage.

    Parameters
    ----------
    nfs
        The section's NFS server, checked (`components.storage.checks.check`).
    stack
        Name of the stack; classes, release and namespace carry it.
    """
    return StoragePlan(
        # The driver mounts for the kubelet: privileged containers on the host network.
        namespace=NamespacePlan(name=scoped("csi-nfs", stack), stack=stack, pod_security=PodSecurity.PRIVILEGED),
        release_name=scoped(CHART, stack),
        values=_driver_values(),
        homes=_class("homes", nfs.homes, nfs.version, stack),
        scratch=None if nfs.scratch is None else _class("scratch", nfs.scratch, nfs.version, stack),
        shared=tuple(_shared(folder, nfs.version) for folder in nfs.shared),
    )


def used_mounts(use: StorageUse) -> tuple[SharedMount, ...]:
    """Return the mounts of claims that another stack's storage made."""
    return tuple(
        SharedMount(name=volume.name, claim=volume.claim, mount_path=volume.mount_path, read_only=not volume.writable)
        for volume in use.shared
    )


def _driver_values() -> Mapping[str, Value]:
    return {
        "driver": {"name": DRIVER},
        "controller": {
            # A class that forgets to say keeps the data.
            "defaultOnDeletePolicy": str(OnDelete.RETAIN),
            # Two, of which one is elected: a drained node does not stop new homes from being made.
            "replicas": 2,
        },
        "storageClass": {"create": False},
        "externalSnapshotter": {"enabled": False},
    }


def _class(key: str, folder: DynamicFolder, version: NfsVersion, stack: str) -> ClassPlan:
    return ClassPlan(
        key=key,
        name=scoped(key, stack),
        share=folder.path,
        on_delete=folder.on_delete,
        # What may be deleted with its claim is; the rest stays, with its volume, until somebody looks at it.
        reclaim_policy="Delete" if folder.on_delete is OnDelete.DELETE else "Retain",
        mount_options=data_mount_options(version, read_only=False),
    )


def _shared(folder: SharedFolder, version: NfsVersion) -> SharedVolumePlan:
    read_only = not folder.writable
    return SharedVolumePlan(
        name=folder.name,
        path=folder.path,
        mount_path=folder.mount_path,
        read_only=read_only,
        size=folder.size,
        mount_options=data_mount_options(version, read_only=read_only),
    )
