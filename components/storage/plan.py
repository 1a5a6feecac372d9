"""The storage section of a stack file, planned: classes and shared volumes of csi-driver-nfs. Pure.

What the driver does as root of a node, whom our exports squash, read in its source (csi-driver-nfs 4.13.4, pkg/nfs):

- ``CreateVolume`` mounts the class's share and makes the claim's folder by ``os.MkdirAll``, which is content with a
  folder that is there. In a share that root may not write to, a claim therefore waits until somebody else has made its
  folder: so homes are made on the storage host.
- ``mountPermissions``, if not 0, is set by chmod when the folder is made (a failure is only logged) and again at every
  mount on a node (a failure fails the mount), each time only if the mode differs. Only an owner may: never at a home.
- ``DeleteVolume`` touches nothing with ``retain``. With ``delete`` it calls ``os.RemoveAll``, which stops at the first
  folder a user made in the claim's. With ``archive`` it renames the claim's folder to ``archived-<subDir>``, which
  whoever owns folder and parents may.
- ``subDir`` may hold ``${pvc.metadata.namespace}``, ``${pvc.metadata.name}`` and ``${pv.metadata.name}``.
- The chart's ``CSIDriver`` says ``fsGroupPolicy: File`` unless ``feature.enableFSGroupPolicy`` is false.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from components.namespaces.plan import NamespacePlan, PodSecurity, scoped
from components.quantities import Size

from .config import OnDelete
from .datasets_plan import REQUESTS, REQUESTS_QUOTA, requests_path
from .mount_options import MountOption, data_mount_options, request_mount_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value

    from .config import DynamicFolder, GroupsFolder, NfsStorage, NfsVersion, SharedFolder, StorageUse

__all__ = [
    "CHART",
    "DRIVER",
    "ClassPlan",
    "MountOption",
    "SharedMount",
    "SharedVolumePlan",
    "StoragePlan",
    "data_mount_options",
    "home_requests_volume",
    "storage_plan",
    "used_home_requests",
    "used_home_requests_volume",
    "used_mounts",
    "used_volumes",
]

CHART = "csi-driver-nfs"
DRIVER = "nfs.csi.k8s.io"
"""Name the driver registers under (csi-driver-nfs, ``driver.name``)."""
FOLDER_OF_CLAIM = "${pvc.metadata.namespace}/${pvc.metadata.name}"
"""Folder a claim gets inside its class's (csi-driver-nfs, ``subDir``): by the claim's own name and not the volume's
random one, so that a claim made anew finds the folder it had, and a person finds it on the server."""
CONTROLLERS = 2
"""Pods of the driver's controller, of which one is elected: a drained node does not stop new homes from being made."""
SCRATCH_MODE = "2770"
"""Of a claim's folder in scratch space: for the group every server runs in, whose all is that is made there."""
GROUPS = "groups"
"""Name of the volume with the groups' folders; no shared folder has it."""
GROUPS_SIZE = Size.parse("1Ti")
"""Capacity of that volume. Nobody reads it: each group's folder has a quota of its own. It stays as it is when groups
come and go, since a bound claim's size cannot shrink."""


@dataclass(frozen=True, kw_only=True)
class ClassPlan:
    """One StorageClass of the NFS driver; the server's address is not known here."""

    key: str
    """``homes`` or ``scratch``."""
    name: str
    share: str
    """Folder on the server in which claims get theirs."""
    on_delete: OnDelete
    """What the driver does with a claim's folder when the claim goes."""
    reclaim_policy: str
    mount_options: tuple[MountOption, ...]
    folder_mode: str | None = None
    """Mode of a claim's folder, in octal; the driver's own (0755, less its umask) if None."""

    def parameters(self) -> Mapping[str, str]:
        """Return the class's parameters but for ``server``."""
        permissions = {} if self.folder_mode is None else {"mountPermissions": self.folder_mode}
        return {"share": self.share, "subDir": FOLDER_OF_CLAIM, "onDelete": str(self.on_delete), **permissions}


@dataclass(frozen=True, kw_only=True)
class SharedVolumePlan:
    """One folder that a namespace mounts through a PersistentVolume and a claim of its own."""

    name: str
    path: str
    mount_path: str
    read_only: bool
    size: Size
    mount_options: tuple[MountOption, ...]
    server: str | None = None
    """Address of the server it is on; None where it is the stack's own."""

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


def storage_plan(nfs: NfsStorage, stack: str, *, is_ours: bool = False, nodes: int = CONTROLLERS) -> StoragePlan:
    """Return the plan of a stack's storage.

    Parameters
    ----------
    nfs
        The section's NFS server, checked (`components.storage.checks.check`).
    stack
        Name of the stack; classes, release and namespace carry it.
    is_ours
        Whether the server is a storage host that this program keeps: a home is its owner's before it is mounted, root
        is squashed, and scratch space that was put aside is deleted there (`components.storage.exports_plan`).
    nodes
        How many nodes the cluster has.
    """
    return StoragePlan(
        # The driver mounts for the kubelet: privileged containers on the host network.
        namespace=NamespacePlan(name=scoped("csi-nfs", stack), stack=stack, pod_security=PodSecurity.PRIVILEGED),
        release_name=scoped(CHART, stack),
        values=_driver_values(is_ours=is_ours, nodes=nodes),
        homes=_class("homes", nfs.homes, nfs.version, stack),
        scratch=None if nfs.scratch is None else _scratch(nfs.scratch, nfs.version, stack, is_ours=is_ours),
        shared=(
            *(_shared(folder, nfs.version) for folder in nfs.shared),
            *(() if nfs.group_folders is None else (_groups(nfs.group_folders, nfs.version),)),
        ),
    )


def home_requests_volume(nfs: NfsStorage) -> SharedVolumePlan:
    """Return the volume in which a hub asks for homes, where they are datasets; no user's server has it."""
    return _requests_volume(requests_path(nfs), nfs.version)


def _requests_volume(path: str, version: NfsVersion, server: str | None = None) -> SharedVolumePlan:
    return SharedVolumePlan(
        name=REQUESTS,
        path=path,
        mount_path="",
        read_only=False,
        size=REQUESTS_QUOTA,
        mount_options=request_mount_options(version),
        server=server,
    )


def used_home_requests_volume(use: StorageUse) -> SharedVolumePlan | None:
    """Return the volume of another stack's folder in which homes are asked for; None where it is not named."""
    source = use.home_requests_folder
    return None if source is None else _requests_volume(source.path, source.version, str(source.server))


def used_volumes(use: StorageUse) -> tuple[SharedVolumePlan, ...]:
    """Return the volumes of another stack's folders, for namespaces of this one to claim."""
    return tuple(
        SharedVolumePlan(
            name=folder.name,
            path=folder.source.path,
            mount_path=folder.mount_path,
            read_only=not folder.writable,
            size=folder.size,
            mount_options=data_mount_options(folder.source.version, read_only=not folder.writable),
            server=str(folder.source.server),
        )
        for folder in use.folders
    )


def used_home_requests(use: StorageUse) -> SharedMount | None:
    """Return the mount of the folder in which homes are asked for, of a claim that another stack's storage made."""
    if use.home_requests is None:
        return None
    return SharedMount(name=REQUESTS, claim=use.home_requests, mount_path="", read_only=False)


def used_mounts(use: StorageUse) -> tuple[SharedMount, ...]:
    """Return the mounts of claims that another stack's storage made."""
    return tuple(
        SharedMount(name=volume.name, claim=volume.claim, mount_path=volume.mount_path, read_only=not volume.writable)
        for volume in use.shared
    )


def _driver_values(*, is_ours: bool, nodes: int) -> Mapping[str, Value]:
    values: dict[str, Value] = {
        # Mode 0 is none: the driver leaves folders as whoever made them wanted them.
        "driver": {"name": DRIVER, "mountPermissions": 0},
        "controller": {
            # A class that forgets to say keeps the data.
            "defaultOnDeletePolicy": str(OnDelete.RETAIN),
            "replicas": max(1, min(CONTROLLERS, nodes)),
            "affinity": _apart("csi-nfs-controller"),
            # Its sidecar ends with an error where there are no VolumeSnapshots; snapshots are the storage host's.
            "enableSnapshotter": False,
        },
        "storageClass": {"create": False},
        "externalSnapshotter": {"enabled": False},
    }
    if is_ours:
        # The kubelet would give everything in a volume to the pod's group (fsGroup) before it starts, as root; the
        # server squashes root, who then cannot even list a home of mode 0700, and no server would start.
        values["feature"] = {"enableFSGroupPolicy": False}
    return values


def _apart(app: str) -> Mapping[str, Value]:
    """Return an affinity that keeps pods on nodes of their own: on the host's network they would take the same port.

    The chart takes an affinity only if it speaks of nodes, too; every one of them runs Linux.
    """
    linux: Value = {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}
    others: Value = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"}
    return {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [linux]}},
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [others]},
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


def _scratch(folder: DynamicFolder, version: NfsVersion, stack: str, *, is_ours: bool) -> ClassPlan:
    plan = _class("scratch", folder, version, stack)
    if not is_ours:
        return plan
    deletes = folder.on_delete is OnDelete.DELETE
    # Squashed root cannot remove what users made, but can put it aside; the storage host removes it (``scratch`` step).
    return replace(plan, on_delete=OnDelete.ARCHIVE if deletes else folder.on_delete, folder_mode=SCRATCH_MODE)


def _shared(folder: SharedFolder, version: NfsVersion) -> SharedVolumePlan:
    source = folder.source
    read_only = source is not None or not folder.writers
    path = folder.path if source is None else source.path
    assert path is not None  # noqa: S101 - a folder has a path or a source (SharedFolder)
    return SharedVolumePlan(
        name=folder.name,
        path=path,
        mount_path=folder.mount_path,
        read_only=read_only,
        size=folder.size,
        mount_options=data_mount_options(version if source is None else source.version, read_only=read_only),
        server=None if source is None else str(source.server),
    )


def _groups(folder: GroupsFolder, version: NfsVersion) -> SharedVolumePlan:
    return SharedVolumePlan(
        name=GROUPS,
        path=folder.path,
        mount_path=folder.mount_path,
        read_only=False,
        size=GROUPS_SIZE,
        mount_options=data_mount_options(version, read_only=False),
    )
