"""Pinned versions per environment: one file each, beside this module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import yaml
from pydantic import ValidationError

from components.pins import Pins
from components.problems import Problem
from stacks.diagnosis import diagnose
from stacks.errors import PinFileError

if TYPE_CHECKING:
    from components.model import Value
    from stacks.environments import EnvironmentName

__all__ = ["load_pins", "parse_pins", "pin_file"]

_FOLDER = Path(__file__).parent


def pin_file(environment: EnvironmentName) -> Path:
    """Return where the pinned versions of an environment are."""
    return _FOLDER / f"{environment}.yaml"


def load_pins(environment: EnvironmentName) -> Pins:
    """Return the pinned versions of an environment.

    Read by the C loader that comes with the Pulumi SDK: the program loads this on every run, and a version that such a
    loader takes for a number is refused as no text, not misread.

    Raises
    ------
    PinFileError
        With everything that is wrong with the file.
    """
    path = pin_file(environment)
    return parse_pins(path.read_text(encoding="utf-8"), file=f"stacks/pins/{path.name}")


def parse_pins(text: str, *, file: str) -> Pins:
    """Return the pinned versions a text holds; `file` names it in a message.

    Raises
    ------
    PinFileError
        With everything that is wrong with it.
    """
    try:
        data = cast("Value", yaml.load(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        problem = Problem(path=(), what=f"not YAML: {error}", remedy="correct the syntax")
        raise PinFileError(file=file, problems=[problem]) from error
    try:
        return Pins.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        raise PinFileError(file=file, problems=diagnose(error, data, Pins.model_json_schema)) from error
