"""How a pod's volumes are put together and a container of it becomes a process of this machine."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.control_plane.pki import write_private
from labctl.control_plane.processes import MARK

from .environment import command_of, person_of, variables
from .errors import MissingCommandError, OutsideVolumeError
from .machine import CLAIMS, Isolation, cluster_content, flags, folder_of_claim
from .mounts import Volumes, mounts_of, volume_files, write_files
from .sandbox import PlannedMount, SandboxPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.control_plane.client import ApiClient
    from labctl.control_plane.processes import ProcessRecord, ProcessTable
    from labctl.control_plane.progress import Progress

    from .environment import Person
    from .model import Container, Pod, Volume
    from .mounts import Mount
    from .settings import RunnerSettings

__all__ = ["PodRoom", "Surroundings"]

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""After the programs of ours on a pod's PATH."""
HOSTNAME_LENGTH = 63
"""Of a host name (Linux, ``HOST_NAME_MAX`` is 64; a DNS label has 63)."""
SANDBOX = Path(__file__).with_name("sandbox.py")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all pods of a runner share."""

    settings: RunnerSettings
    client: ApiClient
    table: ProcessTable
    isolation: Isolation
    progress: Progress

    @property
    def pods(self) -> Path:
        """Folder of what lives as long as a pod."""
        return self.settings.directory / "pods"

    @property
    def volumes(self) -> Path:
        """Folder of what lives longer."""
        return self.settings.directory / "volumes"


class PodRoom:
    """One pod's folder, volumes and processes.

    Parameters
    ----------
    pod
        With its address.
    around
        What all pods share.
    """

    def __init__(self, pod: Pod, around: Surroundings) -> None:
        self._around = around
        self.folder = around.pods / pod.metadata.uid
        """What lives as long as the pod."""
        self.remarks: list[str] = []
        """What its user should know of volumes that are not there."""
        self._prefix = f"{pod.metadata.name}.{pod.metadata.uid[:8]}"
        # Processes of users go through these folders to their volumes, and cannot list them.
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.folder.parent.chmod(0o711)
        folders: dict[str, Path] = {}
        read_only: set[str] = set()
        for volume in pod.spec.volumes:
            folder, is_written = self._volume(pod, volume)
            if folder is not None:
                folders[volume.name] = folder
            if not is_written:
                read_only.add(volume.name)
        self._volumes = Volumes(folders=folders, read_only=frozenset(read_only))
        self.write_files(pod, own_only=False)

    def component(self, container: Container) -> str:
        """Return the name under which a container's process is recorded."""
        return f"{self._prefix}.{container.name}"

    def write_files(self, pod: Pod, *, own_only: bool) -> None:
        """Write the files of volumes that come out of the API; with `own_only` those out of the pod alone.

        Raises
        ------
        PodError
            What they come from is not there.
        """
        owner = self._owner(pod)
        for volume in pod.spec.volumes:
            of_pod = volume.downward_api is not None or volume.projected is not None
            if own_only and not of_pod:
                continue
            files = volume_files(volume, pod, lambda kind, name: self._content(pod, kind, name))
            if files is not None:
                write_files(self._volumes.folders[volume.name], files, owner)

    def launch(self, pod: Pod, container: Container) -> ProcessRecord:
        """Return the process that a container has become.

        Raises
        ------
        PodError
            Its program, or something it is told, is not there.
        """
        settings, level = self._around.settings, self._around.isolation
        known = variables(pod, container, lambda kind, name: self._content(pod, kind, name))
        mounts = mounts_of(container, self._volumes, known)
        for mount in mounts:
            self._require_inside(mount)
            if not Path(mount.source).exists():
                Path(mount.source).mkdir(parents=True)
        person = person_of(pod, container)
        known["PATH"] = path = ":".join([*(str(folder) for folder in settings.programs), SYSTEM_PATH])
        known.setdefault("LANG", "C.UTF-8")
        known.setdefault("SHELL", "/bin/bash")
        home = known.setdefault("HOME", _home(mounts, person, self._around.volumes / CLAIMS))
        command = command_of(container, known, settings.default_command)
        if shutil.which(command[0], path=path) is None:
            raise MissingCommandError(container.name, command[0])
        # Found by it when nothing else leads to it (`processes.end_marked`).
        mark = f"{settings.directory}#{pod.metadata.uid}"
        if level is Isolation.NONE:
            known["HOME"] = home = _on_machine(home, mounts)
            known[MARK] = mark
        root = self.folder / f"{container.name}.root"
        root.mkdir(exist_ok=True)
        plan: SandboxPlan = {
            "root": None if level is Isolation.NONE else str(root),
            "hostname": (pod.spec.hostname or pod.metadata.name)[:HOSTNAME_LENGTH],
            "mounts": [PlannedMount(source=m.source, target=m.target, read_only=m.read_only) for m in mounts],
            "visible": [str(folder) for folder in settings.visible],
            "uid": person.uid if os.geteuid() == 0 else None,
            "gid": person.gid,
            "groups": list(person.groups),
            "folder": container.working_dir or home,
            "variables": known,
            "command": list(command),
        }
        file = self.folder / f"{container.name}.json"
        write_private(file, json.dumps(plan).encode())
        unshare = () if level is Isolation.NONE else (shutil.which("unshare") or "unshare", *flags(level))
        return self._around.table.launch(
            self.component(container),
            (*unshare, sys.executable, "-I", str(SANDBOX), str(file)),
            environment={MARK: mark, "PATH": path},
            fingerprint="",
        )

    def _require_inside(self, mount: Mount) -> None:
        """Refuse a part of a volume that its user has made a link to elsewhere: it would be mounted by root."""
        real = Path(mount.source).resolve()
        if not any(real.is_relative_to(folder.resolve()) for folder in self._volumes.folders.values()):
            raise OutsideVolumeError(mount.target)

    def _volume(self, pod: Pod, volume: Volume) -> tuple[Path | None, bool]:
        """Return the folder of a volume, and whether containers may write to it."""
        claim, path = volume.persistent_volume_claim, volume.host_path
        owner = self._owner(pod)
        if claim is not None:
            folder = folder_of_claim(
                self._around.client,
                self._around.volumes,
                pod.metadata.namespace,
                claim.claim_name,
                owner,
                is_written=not claim.read_only,
            )
            return folder, not claim.read_only
        if path is not None:
            if Path(path.path).exists():
                return Path(path.path), False
            self.remarks.append(f"volume {volume.name}: this machine has no {path.path}")
            return None, False
        folder = self.folder / "volumes" / volume.name
        folder.mkdir(parents=True, exist_ok=True)
        if volume.empty_dir is not None and owner is not None:
            os.chown(folder, owner.uid, owner.gid)
        return folder, volume.empty_dir is not None

    def _content(self, pod: Pod, kind: str, name: str) -> Mapping[str, bytes] | None:
        return cluster_content(self._around.client, pod.metadata.namespace, kind, name)

    def _owner(self, pod: Pod) -> Person | None:
        is_root = self._around.isolation is Isolation.ROOT
        return person_of(pod, pod.spec.containers[0]) if is_root else None


def _home(mounts: Sequence[Mount], person: Person, homes: Path) -> str:
    """Return the home folder that an image would have said: by the pod's own passwd, else where its own claim is."""
    for mount in mounts:
        if mount.target == "/etc/passwd":
            for line in Path(mount.source).read_text(encoding="utf-8", errors="replace").splitlines():
                fields = line.split(":")
                if len(fields) > 5 and fields[2] == str(person.uid):  # noqa: PLR2004 - passwd(5): the sixth field
                    return fields[5]
    own = [mount.target for mount in mounts if not mount.read_only and Path(mount.source).is_relative_to(homes)]
    return own[0] if own else "/tmp"  # noqa: S108 - the pod's own


def _on_machine(path: str, mounts: Sequence[Mount]) -> str:
    """Return where a path of the pod is on this machine, for a process that has no mounts."""
    for mount in reversed(mounts):
        if path == mount.target or path.startswith(f"{mount.target}/"):
            return mount.source + path[len(mount.target) :]
    return path
