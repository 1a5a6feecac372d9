"""What of an image goes into a bundle: every manifest byte by byte, and the layers of the platforms that the lab has.

An index stays as its publisher made it, so that its digest stays true. Manifests and configurations of other platforms
come along, a few kilobytes: containerd's transfer service (2.x) asks for all of them. Layers it takes of its own only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from .errors import RegistryRefusedError
from .layout import INDEX_TYPES, MANIFEST_TYPES, Descriptor, ImageLayout
from .registry import StoredManifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .references import Reference
    from .registry import Registry

__all__ = ["ImagePlan", "plan_from_layout", "plan_from_registry", "store"]

FOREIGN: Final = "foreign"
"""In the media type of a layer that its publisher does not let registries hand on."""


@dataclass(frozen=True, kw_only=True)
class ImagePlan:
    """Everything of one image."""

    reference: Reference
    root: StoredManifest
    """What the reference names: an index, or the manifest of an image of one platform."""
    manifests: tuple[StoredManifest, ...]
    """Of all platforms, the root left out."""
    blobs: tuple[Descriptor, ...]
    """Configurations, and layers of the platforms that are wanted, each once."""


def plan_from_registry(registry: Registry, reference: Reference, architectures: Sequence[str]) -> ImagePlan:
    """Return what its registry says the image is.

    Raises
    ------
    RegistryRefusedError
        The registry gives it not, or there is none for one of the architectures.
    ChecksumError, FetchError
        It is not what its digest says, or cannot be reached.
    """
    root = registry.manifest(reference, reference.wanted)
    try:
        return _plan(reference, root, architectures, lambda digest: registry.manifest(reference, digest))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"its manifest is not understood ({type(error).__name__}: {error})"
        raise RegistryRefusedError(str(reference), reason) from error


def plan_from_layout(layout: ImageLayout, reference: Reference, architectures: Sequence[str]) -> ImagePlan | None:
    """Return what an earlier run put into `layout` as this image; None where it has to be asked for again."""
    known = layout.images().get(reference.key)
    if known is None or (reference.digest is not None and known.digest != reference.digest):
        return None

    def stored(digest: str) -> StoredManifest:
        path, media_type = layout.blob(digest), layout.media_type(digest)
        if path is None or media_type is None:
            raise KeyError(digest)
        content = path.read_bytes()
        return StoredManifest(Descriptor(media_type, digest, len(content)), content)

    try:
        return _plan(reference, stored(known.digest), architectures, stored)
    except (ValueError, KeyError, TypeError, AttributeError, RegistryRefusedError):
        return None


def store(layout: ImageLayout, plan: ImagePlan) -> None:
    """Put the manifests of `plan` into `layout` and name the image there. Its blobs have to be there already."""
    for manifest in (*plan.manifests, plan.root):
        path = layout.blob(manifest.descriptor.digest)
        if path is not None:
            draft = path.with_name(f".{path.name}.{id(plan)}.new")
            draft.write_bytes(manifest.content)
            draft.replace(path)
    layout.add(plan.reference.key, plan.root.descriptor)


def _plan(
    reference: Reference, root: StoredManifest, architectures: Sequence[str], find: Callable[[str], StoredManifest]
) -> ImagePlan:
    if root.descriptor.media_type in MANIFEST_TYPES:
        return ImagePlan(reference=reference, root=root, manifests=(), blobs=_blobs(root))
    entries = _list(root.document, "manifests")
    for architecture in architectures:
        if not any(_is_for(entry, architecture) for entry in entries):
            raise RegistryRefusedError(str(reference), f"there is none for linux/{architecture}")
    wanted = {str(entry["digest"]) for entry in entries if any(_is_for(entry, name) for name in architectures)}
    manifests = {digest: find(digest) for digest in (str(entry["digest"]) for entry in entries)}
    if any(found.descriptor.media_type in INDEX_TYPES for found in manifests.values()):
        raise RegistryRefusedError(str(reference), "is an index of indices")
    blobs = (
        blob
        for digest, manifest in manifests.items()
        for blob in (_blobs(manifest) if digest in wanted else _blobs(manifest)[:1])
    )
    distinct = {blob.digest: blob for blob in blobs}
    return ImagePlan(
        reference=reference, root=root, manifests=tuple(manifests.values()), blobs=tuple(distinct.values())
    )


def _is_for(entry: Mapping[str, object], architecture: str) -> bool:
    platform = cast("Mapping[str, str]", entry.get("platform") or {})
    return platform.get("os") == "linux" and platform.get("architecture") == architecture


def _blobs(manifest: StoredManifest) -> tuple[Descriptor, ...]:
    """Return the configuration of one platform's image, and then its layers."""
    document = manifest.document
    config = document.get("config")
    if not isinstance(config, dict):
        message = f"no configuration in {manifest.descriptor.digest}"
        raise ValueError(message)  # noqa: TRY004 - what is in a document, not a type of ours
    entries = (cast("Mapping[str, object]", config), *_list(document, "layers"))
    described = (
        Descriptor(str(entry["mediaType"]), str(entry["digest"]), int(str(entry["size"]))) for entry in entries
    )
    return tuple(blob for blob in described if FOREIGN not in blob.media_type)


def _list(document: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    found = document.get(key)
    if not isinstance(found, list):
        message = f"no {key} in {json.dumps(document)[:80]}"
        raise ValueError(message)  # noqa: TRY004 - what is in a document, not a type of ours
    return cast("list[Mapping[str, object]]", found)
