"""Small images and bundles, written to disk."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.bundle.layout import INDEX_TYPES, MANIFEST_TYPES, Descriptor, ImageLayout

if TYPE_CHECKING:
    from pathlib import Path

PAUSE = "registry.k8s.io/pause:3.10"
BUSYBOX = "docker.io/library/busybox:1.37"


@dataclass(frozen=True)
class SmallImage:
    """The digests of one image of two platforms; of amd64, but for the others."""

    index: str
    manifest: str
    config: str
    layer: str
    layer_bytes: bytes
    other_manifest: str
    other_config: str
    other_layer: str


def put_blob(folder: Path, content: bytes) -> str:
    """Write a blob and return its digest."""
    digest = hashlib.sha256(content).hexdigest()
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / digest).write_bytes(content)
    return f"sha256:{digest}"


def put_platform(folder: Path, architecture: str, layer: bytes) -> tuple[str, str, str, int]:
    """Write one platform's image; return the digests of manifest, configuration, layer, and the manifest's size."""
    layer_digest = put_blob(folder, layer)
    config = json.dumps({"architecture": architecture, "os": "linux", "layer": layer_digest}).encode()
    config_digest = put_blob(folder, config)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPES[0],
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config_digest,
                "size": len(config),
            },
            "layers": [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": len(layer)}
            ],
        }
    ).encode()
    return put_blob(folder, manifest), config_digest, layer_digest, len(manifest)


def put_image(folder: Path, reference: str, layer: bytes) -> SmallImage:
    """Write an image of one layer each for amd64 and arm64, and name it."""
    platforms = {
        "amd64": put_platform(folder, "amd64", layer),
        "arm64": put_platform(folder, "arm64", layer + b" of arm64"),
    }
    entries = [
        {
            "mediaType": MANIFEST_TYPES[0],
            "digest": found[0],
            "size": found[3],
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, found in platforms.items()
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": entries}).encode()
    index_digest = put_blob(folder, index)
    ImageLayout(folder).add(reference, Descriptor(INDEX_TYPES[0], index_digest, len(index)))
    return SmallImage(index_digest, *platforms["amd64"][:3], layer, *platforms["arm64"][:3])


@dataclass(frozen=True)
class SmallBundle:
    """A bundle of one file and two images."""

    folder: Path
    pause: SmallImage
    busybox: SmallImage
