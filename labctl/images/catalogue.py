"""The lab's own images, as ``images/images.yaml`` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, RootModel, ValidationError, model_validator

from components.addresses import DnsLabel
from components.errors import ConfigurationError
from components.images import Interface
from components.model import Model
from stacks.reading import read_yaml

from .errors import CatalogueError, UnknownBaseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Base", "LabImage", "load_catalogue"]

FILE = "images.yaml"


class OneBaseError(ConfigurationError):
    """An image on top of none or two."""

    def __init__(self) -> None:
        super().__init__(what="an image is built on exactly one other", remedy="give either pin or image")


class Base(Model):
    """What an image is built on."""

    pin: DnsLabel | None = Field(default=None, description="Name of an image in stacks/pins.")
    image: DnsLabel | None = Field(default=None, description="Name of another image of the lab.")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.pin is None) == (self.image is None):
            raise OneBaseError
        return self


class LabImage(Model):
    """One image of the lab."""

    title: str = Field(min_length=1, max_length=80, description="What people read.")
    folder: DnsLabel = Field(description="Folder with its Dockerfile, below images/.")
    base: Base = Field(description="What it is built on.")
    interfaces: tuple[Interface, ...] = Field(
        default=(Interface.NOTEBOOK,), description="What opens in the browser; its pin says the same."
    )


class _Catalogue(RootModel[dict[DnsLabel, LabImage]]):
    """Every image by name."""


def load_catalogue(folder: Path) -> Mapping[str, LabImage]:
    """Return the lab's images by name.

    Parameters
    ----------
    folder
        The folder ``images`` of the project.

    Raises
    ------
    CatalogueError
        If the file is not as it should be, or names a folder without a Dockerfile.
    UnknownBaseError
        If an image is built on one that the catalogue lacks.
    """
    path = folder / FILE
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
        if document.problems:
            raise CatalogueError(path, "; ".join(str(problem) for problem in document.problems))
        found = _Catalogue.model_validate(document.value).root
    except (OSError, ValidationError) as problem:
        raise CatalogueError(path, str(problem)) from problem
    for name, image in found.items():
        if not (folder / image.folder / "Dockerfile").is_file():
            raise CatalogueError(path, f"{name}: images/{image.folder} has no Dockerfile")
        if image.base.image is not None and image.base.image not in found:
            raise UnknownBaseError(image=name, base=image.base.image, known=found)
    return found
