"""Container images made from nothing but the programs in them, in one OCI image layout.

The same programs give the same digests.

Source: OCI image specification 1.1, image-layout.md, manifest.md, config.md, annotations.md.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bed_errors import ImageIncompleteError

from labctl.control_plane.cache import platform_names

__all__ = ["Image", "write_layout"]

CREATED = "2026-01-01T00:00:00Z"
"""Of every image: a time of making would change the digest."""

SYSTEM_FOLDERS = ("bin", "etc", "run", "sbin", "tmp", "usr/bin", "usr/local/bin", "usr/sbin", "var")

SYSTEM_FILES = {
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    # Without it, nftables cannot name what it prints and a restarted kube-proxy takes its own entries for strangers'.
    "etc/protocols": "ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\nsctp 132 SCTP\n",
}


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image to be made."""

    reference: str
    """Registry, repository and tag."""
    files: Mapping[str, Path]
    """What is in it, by absolute path; everything is executable."""
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    """Symbolic links: where they are, and to what."""
    entrypoint: tuple[str, ...] = ()


def write_layout(folder: Path, images: list[Image]) -> dict[str, str]:
    """Leave an image layout with these images in `folder` and return their manifests' digests by reference.

    Raises
    ------
    ImageIncompleteError
        A file of an image is missing.
    """
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    manifests = [_add(blobs, image) for image in images]
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    (folder / "index.json").write_text(json.dumps(index))
    return {image.reference: str(entry["digest"]) for image, entry in zip(images, manifests, strict=True)}


def _add(blobs: Path, image: Image) -> dict[str, object]:
    system, architecture = platform_names()
    layer = _blob_of(blobs, _layer(blobs, image), "application/vnd.oci.image.layer.v1.tar")
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    process = {"Env": [f"PATH={path}"], "WorkingDir": "/", "Entrypoint": list(image.entrypoint)}
    configuration = {
        "created": CREATED,
        "architecture": architecture,
        "os": system,
        "config": process,
        # An uncompressed layer's digest is its content's, too.
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        "history": [{"created": CREATED, "created_by": "made from its programs"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _json_blob(blobs, configuration, "application/vnd.oci.image.config.v1+json"),
        "layers": [layer],
    }
    entry = _json_blob(blobs, manifest, "application/vnd.oci.image.manifest.v1+json")
    annotations = {"org.opencontainers.image.ref.name": image.reference}
    return {**entry, "platform": {"os": system, "architecture": architecture}, "annotations": annotations}


def _layer(blobs: Path, image: Image) -> Path:
    """Return the image's one layer as an archive that depends on nothing but its content."""
    entries: dict[str, Path | str | bytes | None] = dict.fromkeys(SYSTEM_FOLDERS)
    entries |= {name: text.encode() for name, text in SYSTEM_FILES.items()}
    entries |= {name.lstrip("/"): path for name, path in image.files.items()}
    entries |= {name.lstrip("/"): target for name, target in image.links.items()}
    for name in list(entries):
        entries |= {str(folder): None for folder in Path(name).parents if str(folder) not in {".", *entries}}
    archive = blobs / ".layer"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        # A folder's name is a prefix of what is in it: sorted, it comes first.
        for name in sorted(entries):
            _append(tar, name, entries[name], image)
    return archive


def _append(tar: tarfile.TarFile, name: str, content: Path | str | bytes | None, image: Image) -> None:
    entry = tarfile.TarInfo(name)
    match content:
        case None:
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        case str():
            entry.type = tarfile.SYMTYPE
            entry.linkname = content
            tar.addfile(entry)
        case bytes():
            entry.mode, entry.size = 0o644, len(content)
            tar.addfile(entry, io.BytesIO(content))
        case Path():
            if not content.is_file():
                raise ImageIncompleteError(image=image.reference, missing=content)
            entry.mode, entry.size = 0o755, content.stat().st_size
            with content.open("rb") as file:
                tar.addfile(entry, file)


def _json_blob(blobs: Path, value: Mapping[str, object], media_type: str) -> dict[str, object]:
    path = blobs / ".json"
    path.write_text(json.dumps(value, sort_keys=True, separators=(",", ":")))
    return _blob_of(blobs, path, media_type)


def _blob_of(blobs: Path, path: Path, media_type: str) -> dict[str, object]:
    """Return the descriptor of a file, which is moved to where its digest says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    path.replace(blobs / digest)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}
