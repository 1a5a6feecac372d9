"""The pins of an environment, one by one, each named by its place in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stacks.pins import parse_pins
from stacks.reading import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from components.model import Value

__all__ = ["Pin", "pins_file", "pins_in", "read_pins"]

SECTIONS: Final = ("hostFiles", "kubernetesImages", "charts", "images")
"""Sections of a file of pins that hold one pin by each name."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One pinned thing."""

    path: str
    """``kubernetes``, or section and name: ``charts/jupyterhub``."""
    version: str
    """Its version; of an image its tag."""
    data: Value
    """All that the file says of it."""

    @property
    def image(self) -> str | None:
        """The image's full reference, of a pin that is one."""
        if self.path.startswith("kubernetesImages/"):
            return str(self.data)
        if self.path.startswith("images/") and isinstance(self.data, dict):
            return str(self.data["image"])
        return None


def pins_file(root: Path, environment: str) -> Path:
    """Return where the project at `root` has the pins of an environment."""
    return root / "stacks" / "pins" / f"{environment}.yaml"


def read_pins(root: Path, environment: str) -> dict[str, Pin]:
    """Return the pins of an environment by their paths, in the order of its file.

    Raises
    ------
    PinFileError
        With everything that is wrong with the file.
    """
    path = pins_file(root, environment)
    return pins_in(path.read_text(encoding="utf-8"), file=f"stacks/pins/{path.name}")


def pins_in(text: str, *, file: str) -> dict[str, Pin]:
    """Return the pins that a text holds by their paths; `file` names it in a message.

    Raises
    ------
    PinFileError
        With everything that is wrong with it.
    """
    parse_pins(text, file=file)
    data = read_yaml(text).value
    found: dict[str, Pin] = {}
    for key, value in (data if isinstance(data, dict) else {}).items():
        if key in SECTIONS and isinstance(value, dict):
            found |= {path: _pin(path, item) for name, item in value.items() for path in [f"{key}/{name}"]}
        elif isinstance(value, str):
            found[key] = _pin(key, value)
    return found


def _pin(path: str, data: Value) -> Pin:
    if path.startswith("kubernetesImages/"):
        return Pin(path=path, version=tag_of(str(data)), data=data)
    fields: Mapping[str, Value] = data if isinstance(data, dict) else {"version": data}
    version = tag_of(str(fields["image"])) if "image" in fields else str(fields["version"])
    return Pin(path=path, version=version, data=data)


def tag_of(image: str) -> str:
    """Return the tag of an image's reference, or its digest where it has none."""
    name, _, digest = image.partition("@")
    _, colon, tag = name.rpartition(":")
    return tag if colon and "/" not in tag else digest


def repository_of(image: str) -> str:
    """Return an image's reference without tag and digest."""
    name = image.partition("@")[0]
    before, colon, tag = name.rpartition(":")
    return before if colon and "/" not in tag else name
