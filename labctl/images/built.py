"""What buildx says of the images it built -> what stacks/pins takes over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from components.errors import ConfigurationError
from components.images import ImageReference

from .errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from components.model import Value

    from .bake import Bake

__all__ = ["pins_of"]

DIGEST, NAMES = "containerimage.digest", "image.name"
"""Keys of buildx's metadata (docker/buildx, ``--metadata-file``)."""


def pins_of(bake: Bake, metadata: Path) -> Mapping[str, Value]:
    """Return the entries of ``images:`` in a pins file, by name, for what was built and pushed.

    Parameters
    ----------
    bake
        What was built.
    metadata
        File that ``docker buildx bake --metadata-file`` wrote.

    Raises
    ------
    MetadataError
        If the file cannot be read, or an image in it has no digest: it was not pushed.
    """
    try:
        built = cast("Mapping[str, Mapping[str, str]]", json.loads(metadata.read_text(encoding="utf-8")))
    except (OSError, ValueError) as problem:
        raise MetadataError(metadata, str(problem)) from problem
    found: dict[str, Value] = {}
    for name in (*bake.catalogue, *bake.courses):
        if name not in built:
            continue
        said = built[name]
        if DIGEST not in said or NAMES not in said:
            raise MetadataError(metadata, f"{name} has no {DIGEST}, as if it had not been pushed")
        tagged = said[NAMES].split(",")[0].removeprefix("docker.io/")
        try:
            image = ImageReference.parse(f"{tagged}@{said[DIGEST]}")
        except ConfigurationError as problem:
            raise MetadataError(metadata, f"{name}: {problem}") from problem
        found[name] = _entry(bake, name, str(image))
    return found


def _entry(bake: Bake, name: str, image: str) -> Mapping[str, Value]:
    if name in bake.catalogue:
        ours = bake.catalogue[name]
        source = f"built from images/{ours.folder} by labctl images"
        return {"image": image, "source": source, "interfaces": [str(each) for each in ours.interfaces]}
    build = bake.courses[name]
    base = bake.catalogue.get(build.base)
    entry: dict[str, Value] = {
        "image": image,
        "source": f"built from {build.repository}, {build.folder}/{build.dockerfile} at {build.commit}",
    }
    if base is not None:
        entry["interfaces"] = [str(each) for each in base.interfaces]
    return entry
