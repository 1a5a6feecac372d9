"""``labctl pins``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from labctl.errors import UnknownStackError
from labctl.lab import find_root
from labctl.promotion.pins import pins_file, read_pins
from stacks.environments import EnvironmentName, environment_of
from stacks.errors import UnknownEnvironmentError

from .session import output_console, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.graph.values import Plain
    from labctl.promotion.pins import Pin

__all__ = ["pins"]


def pins(stacks: Sequence[str], *, as_json: bool) -> None:
    """Print every pin of the environments side by side, those that differ marked.

    Parameters
    ----------
    stacks
        Stacks whose environments are shown; all environments without any.
    as_json
        Print JSON (docs/environments.md).

    Raises
    ------
    PinFileError
        A file of pins is not valid.
    UnknownStackError
        A name is no environment's.
    """
    root = find_root()
    asked = dict.fromkeys(map(_environment, stacks)) or [*EnvironmentName]
    found = {str(name): read_pins(root, name) for name in asked if pins_file(root, name).is_file()}
    paths = [*dict.fromkeys(path for pins in found.values() for path in pins)]
    if as_json:
        print_json({"environments": [*found], "pins": [_shape(path, found) for path in paths]})
    else:
        output_console().print(_table(paths, found))


def _environment(stack: str) -> EnvironmentName:
    try:
        return environment_of(stack).name
    except UnknownEnvironmentError:
        raise UnknownStackError(stack=stack, known=[str(name) for name in EnvironmentName]) from None


def _differs(path: str, found: Mapping[str, Mapping[str, Pin]]) -> bool:
    data = [pins[path].data if path in pins else None for pins in found.values()]
    return any(item != data[0] for item in data)


def _shape(path: str, found: Mapping[str, Mapping[str, Pin]]) -> Plain:
    return {
        "pin": path,
        "differs": _differs(path, found),
        "versions": {name: pins[path].version if path in pins else None for name, pins in found.items()},
    }


def _table(paths: Sequence[str], found: Mapping[str, Mapping[str, Pin]]) -> Table:
    """Return the table; ``≠`` marks a pin that differs, colour a pin that is not the first environment's."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    table.add_column("pin", no_wrap=True)  # whatever the width: half a name is that of several pins
    for name in found:
        table.add_column(name, overflow="fold")
    for path in paths:
        differs = _differs(path, found)
        cells = [pins[path].version if path in pins else "-" for pins in found.values()]
        first = next(iter(found.values())).get(path)
        marked = [
            Text(cell, "yellow" if path not in pins or first is None or pins[path].data != first.data else "")
            for cell, pins in zip(cells, found.values(), strict=True)
        ]
        table.add_row("≠" if differs else "", path, *marked)
    return table
