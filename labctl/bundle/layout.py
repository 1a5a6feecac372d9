"""An OCI image layout: one folder with the manifests and blobs of many images, each blob once.

Source: OCI image specification 1.1, image-layout.md and annotations.md.
"""

from __future__ import annotations

import json
import os
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from .errors import MalformedLayoutError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["INDEX_TYPES", "MANIFEST_TYPES", "REFERENCE_ANNOTATION", "Descriptor", "ImageLayout"]

REFERENCE_ANNOTATION: Final = "org.opencontainers.image.ref.name"
"""Annotation of a descriptor in ``index.json`` with the image's full reference (OCI image specification)."""
INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
"""Media types of a list of manifests, one per platform."""
MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""Media types of one platform's manifest."""
LARGEST_MANIFEST_BYTES: Final = 4 * 1024 * 1024
"""No manifest is larger: the limit that registries have to accept (OCI distribution specification)."""
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A manifest, an index or a blob by its digest."""

    media_type: str
    digest: str
    """``sha256:`` and 64 hexadecimal digits."""
    size: int
    """Bytes."""


class ImageLayout:
    """The layout in `folder`, read anew whenever its index changed; safe to use from many threads.

    Parameters
    ----------
    folder
        Holds ``oci-layout``, ``index.json`` and ``blobs/sha256/``; need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._images: dict[str, Descriptor] = {}

    def blob(self, digest: str) -> Path | None:
        """Return where the blob `digest` is or would be; None where that is no digest."""
        found = _DIGEST.match(digest)
        return None if found is None else self.folder / "blobs" / "sha256" / found[1]

    def images(self) -> Mapping[str, Descriptor]:
        """Return every image by its full reference.

        Raises
        ------
        MalformedLayoutError
            If ``index.json`` is not what the specification says.
        """
        with self._lock:
            return self._read()

    def media_type(self, digest: str) -> str | None:
        """Return the media type of the manifest or index `digest`; None where it is absent or no manifest."""
        path = self.blob(digest)
        if path is None or not path.is_file() or path.stat().st_size > LARGEST_MANIFEST_BYTES:
            return None
        try:
            document: object = json.loads(path.read_bytes())
        except ValueError:
            return None
        if not isinstance(document, dict):
            return None
        manifest = cast("Mapping[str, object]", document)
        declared = manifest.get("mediaType")
        if isinstance(declared, str):
            return declared if declared in (*INDEX_TYPES, *MANIFEST_TYPES) else None
        if isinstance(manifest.get("manifests"), list):  # OCI documents may leave their type out
            return INDEX_TYPES[0]
        return MANIFEST_TYPES[0] if isinstance(manifest.get("layers"), list) else None

    def add(self, reference: str, descriptor: Descriptor) -> None:
        """Let the index name `descriptor` as `reference`, written so that a reader sees the old or the new index."""
        with self._lock:
            images = dict(self._read())
            images[reference] = descriptor
            self._write(images)

    def remove(self, reference: str) -> None:
        """Let the index name no image `reference`; its blobs stay, others may have them."""
        with self._lock:
            images = dict(self._read())
            if images.pop(reference, None) is not None:
                self._write(images)

    def _read(self) -> Mapping[str, Descriptor]:
        path = self.folder / "index.json"
        try:
            status = path.stat()
        except FileNotFoundError:
            return {}
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._images = _parse(path)
            self._stamp = stamp
        return self._images

    def _write(self, images: Mapping[str, Descriptor]) -> None:
        (self.folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        _replace(self.folder / "oci-layout", {"imageLayoutVersion": "1.0.0"})
        manifests = [
            {
                "mediaType": found.media_type,
                "digest": found.digest,
                "size": found.size,
                "annotations": {REFERENCE_ANNOTATION: reference},
            }
            for reference, found in sorted(images.items())
        ]
        _replace(self.folder / "index.json", {"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": manifests})


def _parse(path: Path) -> dict[str, Descriptor]:
    images: dict[str, Descriptor] = {}
    try:
        document = cast("Mapping[str, list[Mapping[str, object]]]", json.loads(path.read_bytes()))
        for entry in document["manifests"]:
            annotations = cast("Mapping[str, str]", entry.get("annotations") or {})
            reference = annotations.get(REFERENCE_ANNOTATION)
            if reference:
                images[reference] = Descriptor(str(entry["mediaType"]), str(entry["digest"]), int(str(entry["size"])))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedLayoutError(path, f"not an image index ({type(error).__name__}: {error})") from error
    return images


def _replace(path: Path, document: Mapping[str, object]) -> None:
    """Write `document` to `path` all at once, on disk before it is there."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
