"""The lab's images and its lecturers' -> what ``docker buildx bake`` builds.

A tag is the digest of everything the image is made from, as far as it is said: files, base, repository and commit. The
same tag is the same description; what the description leaves open (packages of a distribution) is held by the digest
that the registry gives, and that digest is what the environment pins.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import BuiltTwiceError, RegistryError, UnknownBaseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from components.hub.profiles.config import ProfileConfig
    from components.hub.profiles.extras_config import BuildConfig
    from components.images import ImageReference
    from components.model import Value

    from .catalogue import LabImage

__all__ = ["Bake", "bake_file", "course_builds"]

TAG_DIGITS = 16
"""Hexadecimal digits of a tag: 64 bits, and who finds two of one tag has two digests still."""
PLATFORM = "linux/amd64"
"""What is built for: code-server and RStudio are fetched for it."""
LINKED = "lab-base"
"""Name under which a Dockerfile finds another target of the same build as its BASE."""
_ANNOTATION = "org.opencontainers.image"
"""Prefix of the keys by which images say what they are (OCI image specification, annotations)."""
_REGISTRY = re.compile(r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+\Z")


@dataclass(frozen=True, kw_only=True)
class Bake:
    """What the file is made from."""

    catalogue: Mapping[str, LabImage]
    """The lab's own images by name."""
    folder: Path
    """Where they lie: ``images`` of the project."""
    courses: Mapping[str, BuildConfig]
    """Lecturers' images by name."""
    pins: Mapping[str, ImageReference]
    """The environment's pinned images."""
    registry: str
    """Registry and folder the images go to."""


def course_builds(profiles: Iterable[ProfileConfig]) -> Mapping[str, BuildConfig]:
    """Return the images that profiles have built, by name.

    Raises
    ------
    BuiltTwiceError
        If two profiles give one name to different images.
    """
    found: dict[str, BuildConfig] = {}
    for profile in profiles:
        if profile.build is None or profile.image is None:
            continue
        if found.setdefault(profile.image, profile.build) != profile.build:
            raise BuiltTwiceError(profile.image)
    return found


def bake_file(bake: Bake) -> Mapping[str, Value]:
    """Return the file for ``docker buildx bake``: a target per image, groups ``lab``, ``courses`` and ``default``.

    Raises
    ------
    RegistryError
        If the registry is no registry with a folder.
    UnknownBaseError
        If an image is built on one that is neither pinned nor built.
    BuiltTwiceError
        If a lecturer's image has the name of one of the lab's.
    """
    if _REGISTRY.fullmatch(bake.registry) is None:
        raise RegistryError(bake.registry)
    for name in bake.courses:
        if name in bake.catalogue:
            raise BuiltTwiceError(name)
    tags: dict[str, str] = {}
    targets: dict[str, Value] = {}
    for name in _in_order(bake.catalogue):
        targets[name] = _lab_target(bake, name, tags)
    for name in sorted(bake.courses):
        targets[name] = _course_target(bake, name, tags)
    groups: dict[str, Value] = {
        "default": {"targets": list(targets)},
        "lab": {"targets": sorted(bake.catalogue)},
    }
    if bake.courses:
        groups["courses"] = {"targets": sorted(bake.courses)}
    return {"group": groups, "target": targets}


def _in_order(catalogue: Mapping[str, LabImage]) -> list[str]:
    """Return the names so that what others are built on comes first."""
    found: list[str] = []
    waiting = sorted(catalogue)
    while waiting:
        ready = [name for name in waiting if (base := catalogue[name].base.image) is None or base in found]
        if not ready:
            raise UnknownBaseError(image=waiting[0], base="itself", known=found)
        found += ready
        waiting = [name for name in waiting if name not in ready]
    return found


def _lab_target(bake: Bake, name: str, tags: dict[str, str]) -> Mapping[str, Value]:
    image = bake.catalogue[name]
    target: dict[str, Value] = {"context": f"images/{image.folder}", "dockerfile": "Dockerfile"}
    if image.base.pin is not None:
        base = _pinned(bake, name, image.base.pin)
        target["args"] = {"BASE": base}
    else:
        linked = str(image.base.image)
        base = tags[linked]
        target |= _linked(linked)
    tags[name] = _tag(bake, name, {"base": base, "files": _files(bake.folder / image.folder)})
    return target | _named(tags[name], image.title, base, {})


def _course_target(bake: Bake, name: str, tags: dict[str, str]) -> Mapping[str, Value]:
    build = bake.courses[name]
    folder = "" if build.folder == "." else f":{build.folder}"
    target: dict[str, Value] = {
        "context": f"{build.repository}#{build.commit}{folder}",
        "dockerfile": build.dockerfile,
    }
    # What is pinned has been tried; what is not yet, is built along.
    if build.base in bake.pins:
        base = str(bake.pins[build.base])
        target["args"] = {"BASE": base}
    elif build.base in bake.catalogue:
        base = tags[build.base]
        target |= _linked(build.base)
    else:
        raise UnknownBaseError(image=name, base=build.base, known={*bake.catalogue, *bake.pins})
    made_of = {
        "base": base,
        "repository": build.repository,
        "commit": build.commit,
        "folder": build.folder,
        "dockerfile": build.dockerfile,
    }
    source = {f"{_ANNOTATION}.source": build.repository, f"{_ANNOTATION}.revision": build.commit}
    return target | _named(_tag(bake, name, made_of), name, base, source)


def _linked(target: str) -> dict[str, Value]:
    return {"contexts": {LINKED: f"target:{target}"}, "args": {"BASE": LINKED}}


def _tag(bake: Bake, name: str, made_of: Mapping[str, Value]) -> str:
    """Return an image's name and tag, which follows from what it is made of."""
    text = json.dumps(made_of, sort_keys=True)
    return f"{bake.registry}/{name}:{hashlib.sha256(text.encode()).hexdigest()[:TAG_DIGITS]}"


def _named(tag: str, title: str, base: str, labels: Mapping[str, Value]) -> dict[str, Value]:
    """Return tag, labels and platform of a target."""
    said = {f"{_ANNOTATION}.title": title, f"{_ANNOTATION}.base.name": base, **labels}
    return {"tags": [tag], "labels": said, "platforms": [PLATFORM]}


def _pinned(bake: Bake, image: str, pin: str) -> str:
    if pin not in bake.pins:
        raise UnknownBaseError(image=image, base=pin, known=bake.pins)
    return str(bake.pins[pin])


def _files(folder: Path) -> dict[str, Value]:
    """Return the digest of every file below a folder, by path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
