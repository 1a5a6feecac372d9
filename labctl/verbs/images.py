"""``labctl images``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import yaml

from labctl.errors import UnknownStackError
from labctl.images.bake import Bake, bake_file, course_builds
from labctl.images.built import pins_of
from labctl.images.catalogue import load_catalogue
from labctl.lab import find_root

from .session import error_console, output_console, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.graph.values import Plain

__all__ = ["described", "images"]

PINS_WIDTH = 240
"""Columns of a line: an image with its digest stays on one."""


def described(stack: str, registry: str, root: Path) -> Bake:
    """Return what a stack's images are built from.

    The stack file is read without the environment's pins: an image that is yet to be built is pinned by nobody.

    Raises
    ------
    UnknownStackError
        There is no such stack.
    StackFileError
        The stack file is wrong.
    ImagesError
        The images cannot be described.
    """
    from stacks.config import CLUSTER_KEY, parse_cluster  # noqa: PLC0415 - each verb pays for what it uses
    from stacks.environments import environment_of  # noqa: PLC0415
    from stacks.loading import PlainValue, load_cluster, load_stack_file, stack_file_path, stack_names  # noqa: PLC0415
    from stacks.pins import load_pins  # noqa: PLC0415
    from stacks.project import PROJECT  # noqa: PLC0415

    path = stack_file_path(stack, root)
    if not path.is_file():
        raise UnknownStackError(stack=stack, known=stack_names(root))
    file = load_stack_file(path)
    value = file.config.get(f"{PROJECT}:{CLUSTER_KEY}")
    plain = value.value if isinstance(value, PlainValue) else None
    cluster = load_cluster(file) if plain is None else parse_cluster(plain, file=path.name)
    pins = load_pins(environment_of(stack).name)
    folder = root / "images"
    return Bake(
        catalogue=load_catalogue(folder),
        folder=folder,
        courses={} if cluster.hub is None else course_builds(cluster.hub.profiles),
        pins={name: pin.image for name, pin in pins.images.items()},
        registry=registry,
    )


def images(stack: str, *, registry: str, output: Path | None, built: Path | None, as_json: bool = False) -> None:
    """Write what ``docker buildx bake`` builds, or print the pins of what it built."""
    bake = described(stack, registry, find_root())
    if built is not None:
        if as_json:
            print_json({"images": cast("Plain", pins_of(bake, built))})
            return
        entries = yaml.safe_dump({"images": pins_of(bake, built)}, sort_keys=False, width=PINS_WIDTH)
        output_console().print(entries.rstrip(), markup=False)
        return
    told = json.dumps(bake_file(bake), indent=2)
    if output is None:
        output_console().print(told, markup=False)
        return
    output.write_text(told + "\n", encoding="utf-8")
    count = len(bake.catalogue) + len(bake.courses)
    error_console().print(f"{count} images in {output}: docker buildx bake --file {output}", markup=False)
