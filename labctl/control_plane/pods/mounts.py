"""Volumes of a pod -> folders of this machine and where its processes see them.

A claim is a folder that stays; a share of the storage host is one folder for all claims on it; files out of ConfigMaps,
Secrets and the pod itself are written when the pod starts, those out of the pod whenever it changes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from .environment import Content, Person, expanded, field_of
from .errors import MissingContentError, UnknownSourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .model import Container, Pod, Projection, Volume

__all__ = ["Mount", "VolumeFile", "Volumes", "mounts_of", "volume_files", "write_files"]

DEFAULT_MODE = 0o644
"""Of a file out of a ConfigMap, a Secret or the pod (Kubernetes' ``defaultMode``)."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A file or folder of this machine, where a process sees it."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class VolumeFile:
    """A file of a volume that the pod's objects decide."""

    path: str
    content: bytes
    mode: int


@dataclass(frozen=True, kw_only=True)
class Volumes:
    """The folders of one pod's volumes, by volume name."""

    folders: Mapping[str, Path]
    read_only: frozenset[str]
    """Those that no container may write to, whatever its mount says."""


def volume_files(volume: Volume, pod: Pod, content: Content) -> tuple[VolumeFile, ...] | None:
    """Return the files of a volume that comes out of the API; None where it comes from elsewhere.

    Raises
    ------
    MissingContentError, UnknownSourceError
        If something in it is not there.
    """
    if volume.projected is not None:
        mode = volume.projected.default_mode
        found: list[VolumeFile] = []
        for source in volume.projected.sources:
            for kind, projection in (
                ("ConfigMap", source.config_map),
                ("Secret", source.secret),
                ("Pod", source.downward_api),
            ):
                if projection is not None:
                    found += _files(kind, projection, pod, content, mode)
        return tuple(found)
    for kind, projection in (("ConfigMap", volume.config_map), ("Secret", volume.secret), ("Pod", volume.downward_api)):
        if projection is not None:
            return tuple(_files(kind, projection, pod, content, None))
    return None


def _files(
    kind: str, projection: Projection, pod: Pod, content: Content, default_mode: int | None
) -> Iterator[VolumeFile]:
    usual = next((each for each in (projection.default_mode, default_mode) if each is not None), DEFAULT_MODE)
    if kind == "Pod":
        for item in projection.items:
            if item.field_ref is None:
                what = f"file {item.path}"
                raise UnknownSourceError(what, "the resources of a container")
            text = field_of(pod, item.field_ref.field_path)
            yield VolumeFile(path=item.path, content=text.encode(), mode=item.mode or usual)
        return
    name = projection.name or projection.secret_name
    keys = content(kind, name)
    if keys is None:
        if not projection.optional:
            raise MissingContentError(kind, name)
        return
    if not projection.items:
        yield from (VolumeFile(path=key, content=value, mode=usual) for key, value in keys.items())
    for item in projection.items:
        if item.key in keys:
            yield VolumeFile(path=item.path, content=keys[item.key], mode=item.mode or usual)
        elif not projection.optional:
            raise MissingContentError(kind, name, item.key)


def write_files(folder: Path, files: tuple[VolumeFile, ...], owner: Person | None) -> bool:
    """Leave these files in a folder, each whole at any moment; return whether any changed.

    A file that is mounted by itself (``subPath``) keeps its old content, as in a container: it is another file then.

    Parameters
    ----------
    owner
        Whose they become; None: whoever writes them.
    """
    changed = False
    for file in files:
        path = folder / file.path
        if path.exists() and path.read_bytes() == file.content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_bytes(file.content)
        temporary.chmod(file.mode)
        if owner is not None:
            os.chown(temporary, owner.uid, owner.gid)
        temporary.replace(path)
        changed = True
    return changed


def mounts_of(container: Container, volumes: Volumes, known: Mapping[str, str]) -> tuple[Mount, ...]:
    """Return what a container's processes see where, those above before those below.

    Parameters
    ----------
    container
        Its mounts.
    volumes
        Folders of the pod's volumes; a mount of another volume is left out.
    known
        The container's variables, for ``subPathExpr``.
    """
    found: list[Mount] = []
    for mount in container.volume_mounts:
        folder = volumes.folders.get(mount.name)
        if folder is None:
            continue
        below = mount.sub_path or expanded(mount.sub_path_expr, known)
        found.append(
            Mount(
                source=str(folder / below) if below else str(folder),
                target=str(PurePosixPath("/") / mount.mount_path),
                read_only=mount.read_only or mount.name in volumes.read_only,
            )
        )
    return tuple(sorted(found, key=lambda mount: len(PurePosixPath(mount.target).parts)))
