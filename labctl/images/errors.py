"""What can go wrong before an image is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["BuiltTwiceError", "CatalogueError", "ImagesError", "MetadataError", "RegistryError", "UnknownBaseError"]


class ImagesError(LabError):
    """A build that cannot be described."""

    exit_code = ExitCode.INVALID


class CatalogueError(ImagesError):
    """A catalogue that is not one."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")


class UnknownBaseError(ImagesError):
    """An image on top of one that nobody builds or pins."""

    def __init__(self, *, image: str, base: str, known: Collection[str]) -> None:
        super().__init__(f"{image} is built on {base}, which is none of {', '.join(sorted(known))}")


class BuiltTwiceError(ImagesError):
    """One name for two different images."""

    def __init__(self, image: str) -> None:
        super().__init__(f"{image} is built in two ways; give each image a name of its own")


class RegistryError(ImagesError):
    """An address under which no image can be kept."""

    exit_code = ExitCode.USAGE

    def __init__(self, registry: str) -> None:
        super().__init__(f"{registry!r} is no registry with a folder; write one such as registry.lab.example.org/lab")


class MetadataError(ImagesError):
    """What buildx says of its builds lacks what a pin needs."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}; write it by docker buildx bake --metadata-file")
