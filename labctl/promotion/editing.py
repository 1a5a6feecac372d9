"""A file of pins with some of them moved, every other character as it was.

ruamel.yaml says where each value stands; only those places are written anew. So quotes, order, blank lines and line
ends stay the file's own. A comment belongs to the pin or section below it: one that states the version that goes
states the new one afterwards.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol, cast

from ruamel.yaml import YAML

from stacks.reading import read_yaml

from .errors import PinLayoutError
from .pins import Pin, pins_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .plan import Move, PinChange

__all__ = ["Edited", "stale_comments", "with_moved_pins"]

COMMENT: Final = re.compile(r"(?m)(?:^|(?<=\s))(?P<comment>#[^\r\n]*)")
"""A comment, at the start of a line or after white space. What is a value after all, the check at the end finds."""
BLOCK_SCALARS: Final = "|>"
FIRST_COLUMN: Final = 2
"""Indentation of a section's entries where the file shows none."""


class _Mark(Protocol):
    index: int
    """Characters before it."""
    column: int


class _Node(Protocol):
    """What this needs of a node of ruamel.yaml, whose own types say less."""

    id: str
    value: object
    style: str | None
    flow_style: bool
    start_mark: _Mark
    end_mark: _Mark


@dataclass(frozen=True)
class Edited:
    """A file's new text."""

    text: str
    stale_comments: tuple[str, ...]
    """Comments elsewhere in the file that still state a version nothing has any more, with their lines."""


@dataclass(frozen=True)
class _Files:
    """The two texts that one pin is moved between, and what the edited one is called."""

    text: str
    source: str
    name: str

    @property
    def line_end(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"


@dataclass(frozen=True)
class _Edit:
    start: int
    end: int
    text: str


def with_moved_pins(target: str, source: str, moves: Sequence[Move], *, file: str) -> Edited:
    """Return the text `target` with the moved pins as `source` has them.

    Parameters
    ----------
    target, source
        Texts of the two files.
    moves
        What moves.
    file
        What `target` is called in a message.

    Raises
    ------
    PinLayoutError
        An entry is written in a way that cannot be changed without touching others.
    """
    text = target
    for move in moves:
        for change in move.changes:
            text = _moved(_Files(text, source, file), change)
        text = _with_true_comments(text, source, move)
    if read_yaml(text).problems:
        raise PinLayoutError(
            file=file, place="the whole", what="its layout is one that cannot be edited; write it by hand"
        )
    _require_moved(text, target, moves, file)
    return Edited(text, tuple(stale_comments(text, moves, file)))


def _require_moved(text: str, target: str, moves: Sequence[Move], file: str) -> None:
    """Return if the new text holds exactly what was planned; nothing else may ever be written."""
    expected: dict[str, object] = {path: pin.data for path, pin in pins_in(target, file=file).items()}
    for change in (change for move in moves for change in move.changes):
        if change.new is None:
            del expected[change.path]
        else:
            expected[change.path] = change.new.data
    if {path: pin.data for path, pin in pins_in(text, file=file).items()} != expected:
        raise PinLayoutError(
            file=file, place="the whole", what="editing it would not give what was planned; write it by hand"
        )


def _moved(files: _Files, change: PinChange) -> str:
    """Return the edited text with one pin moved."""
    section, _, name = change.path.partition("/")
    root = _compose(files.text)
    if not name:
        value = str(_required(change.new).data)
        return _apply(files.text, _replaced(_entry(root, section)[1], value, files.name, change.path))
    if change.new is None:
        return _apply(files.text, [_removed(files.text, _entry(_entry(root, section)[1], name))])
    origin = _entry(_entry(_compose(files.source), section)[1], name)
    if change.old is None:
        return _with_new(files, root, origin, section)
    here = _entry(_entry(root, section)[1], name)
    return _apply(files.text, list(_differing(files, here, origin, change.path)))


def _required(pin: Pin | None) -> Pin:
    assert pin is not None, "a pin without a section cannot go"  # noqa: S101 - `kubernetes` is a required field
    return pin


def _differing(files: _Files, here: tuple[_Node, _Node], origin: tuple[_Node, _Node], place: str) -> Iterator[_Edit]:
    """Yield what makes the entry `here` say what `origin` says."""
    old, new = here[1], origin[1]
    if old.id == new.id == "scalar":
        if old.value != new.value:
            yield from _replaced(old, str(new.value), files.name, place)
        return
    before, after = _children(old), _children(new)
    in_braces = old.flow_style or new.flow_style
    if old.id == new.id == "mapping" and (before.keys() == after.keys() or not in_braces):
        for key, pair in before.items():
            if key not in after:
                yield _removed(files.text, pair)
            else:
                yield from _differing(files, pair, after[key], f"{place}/{key}")
        added = [_lines_of(files, pair, here_column=_column(old)) for key, pair in after.items() if key not in before]
        if added:
            yield _appended(files, old, added)
        return
    in_one_line = old.flow_style and new.id != "scalar"
    whole = (
        json.dumps(_plain(new), ensure_ascii=False) if in_one_line else files.source[new.start_mark.index : _end(new)]
    )
    yield _Edit(old.start_mark.index, _end(old), whole)


def _plain(node: _Node) -> object:
    """Return what a node holds; every scalar of a pin is a text."""
    if node.id == "mapping":
        return {key: _plain(value) for key, (_, value) in _children(node).items()}
    if node.id == "sequence":
        return [_plain(item) for item in cast("Sequence[_Node]", node.value)]
    return str(node.value)


def _replaced(node: _Node, value: str, file: str, place: str) -> list[_Edit]:
    """Return the edit that puts a text in a scalar's place, in the scalar's own quotes where that can be."""
    if node.id != "scalar" or (node.style and node.style in BLOCK_SCALARS):
        raise PinLayoutError(file=file, place=place, what="is written over several lines; write it in one")
    if node.style == "'":
        written = "'" + value.replace("'", "''") + "'"
    elif node.style is None and _means_itself(value):
        written = value
    else:
        written = json.dumps(value, ensure_ascii=False)
    return [_Edit(node.start_mark.index, node.end_mark.index, written)]


def _means_itself(value: str) -> bool:
    """Return whether a text without quotes is read as that text."""
    if ": " in value or " #" in value or value != value.strip() or not value or value[0] in "!&*-?|>%@`\"'{}[],#:":
        return False
    read = read_yaml(f"key: {value}\n")
    return not read.problems and read.value == {"key": value}


def _with_new(files: _Files, root: _Node, origin: tuple[_Node, _Node], section: str) -> str:
    """Return the edited text with an entry that it has not, at the end of its section."""
    sections = _children(root)
    if section not in sections:
        base = files.text if files.text.endswith("\n") else files.text + files.line_end
        return f"{base}{section}:{files.line_end}" + _lines_of(files, origin, here_column=FIRST_COLUMN)
    mapping = sections[section][1]
    if mapping.id != "mapping" or mapping.flow_style:
        what = "is written in braces, or empty; write one entry below the other, so that one can be added"
        raise PinLayoutError(file=files.name, place=section, what=what)
    return _apply(files.text, [_appended(files, mapping, [_lines_of(files, origin, here_column=_column(mapping))])])


def _appended(files: _Files, mapping: _Node, entries: Sequence[str]) -> _Edit:
    """Return the edit that puts entries at the end of a mapping."""
    end = _line_end(files.text, _end(mapping))
    missing = "" if files.text[:end].endswith("\n") else files.line_end
    return _Edit(end, end, missing + "".join(entries))


def _removed(text: str, entry: tuple[_Node, _Node]) -> _Edit:
    """Return the edit that takes an entry out, and the comments right above it."""
    return _Edit(_zone_start(text, entry[0]), _line_end(text, _end(entry[1])), "")


def _lines_of(files: _Files, entry: tuple[_Node, _Node], *, here_column: int) -> str:
    """Return the lines of the source's entry, the comments right above included, at another indentation."""
    source = files.source
    start, end = _zone_start(source, entry[0]), _line_end(source, _end(entry[1]))
    shift = here_column - entry[0].start_mark.column
    lines = [line.rstrip("\r\n") for line in source[start:end].splitlines()]
    moved = [" " * shift + line if shift > 0 else line[min(-shift, len(line) - len(line.lstrip())) :] for line in lines]
    return "".join(line + files.line_end for line in moved)


def _with_true_comments(text: str, source: str, move: Move) -> str:
    """Return `text` with the comments that belong to moved pins stating the versions they have now.

    Only those that then say what the source says: another may give a reason that was true of the old version alone.
    """
    moved = [
        change for change in move.changes if change.old and change.new and change.old.version != change.new.version
    ]
    said = {comment for _, comment in _comments(source, 0, len(source))}
    root = _compose(text)
    edits: dict[int, _Edit] = {}
    for start, end in (zone for change in moved for zone in _zones(text, root, change.path, move)):
        for place, comment in _comments(text, start, end):
            restated = comment
            for change in moved:
                restated = _restated(restated, change)
            if restated != comment and restated in said:
                edits[place] = _Edit(place, place + len(comment), restated)
    return _apply(text, list(edits.values()))


def _zones(text: str, root: _Node, path: str, move: Move) -> Iterator[tuple[int, int]]:
    """Yield from where to where the comments that belong to a pin may stand."""
    section, _, name = path.partition("/")
    above = _entry(root, section)
    if not name:
        yield _zone_start(text, above[0]), _line_end(text, _end(above[1]))
        return
    entry = _entry(above[1], name)
    yield _zone_start(text, entry[0]), _line_end(text, _end(entry[1]))
    if move.together is not None and f"{section}/*" in move.together.pins:
        yield _zone_start(text, above[0]), above[0].start_mark.index


def _comments(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Yield where each comment in a part of the text begins, and the comment."""
    for found in COMMENT.finditer(text, start, end):
        yield found.start("comment"), found["comment"]


def _restated(comment: str, change: PinChange) -> str:
    old, new = (pin.version.removeprefix("v") for pin in (change.old, change.new) if pin)
    return _stated(old).sub(lambda found: found["v"] + new, comment)


def _stated(version: str) -> re.Pattern[str]:
    """Return what finds a version in a sentence, as a whole, with or without its ``v``."""
    return re.compile(rf"(?<![0-9A-Za-z.-])(?P<v>v?){re.escape(version)}(?![0-9A-Za-z]|[.-][0-9A-Za-z])")


def stale_comments(text: str, moves: Sequence[Move], file: str) -> Iterator[str]:
    """Yield the comments that state a version which moved away and which no pin of the file has any more."""
    left = {pin.version.removeprefix("v") for pin in pins_in(text, file=file).values()}
    changes = [change for move in moves for change in move.changes if change.old]
    gone = {change.old.version.removeprefix("v") for change in changes if change.old} - left
    for start, comment in _comments(text, 0, len(text)):
        stated = sorted(version for version in gone if _stated(version).search(comment))
        if stated:
            line = text.count("\n", 0, start) + 1
            yield f"{file}, line {line}: the comment still says {', '.join(stated)}"


@lru_cache(maxsize=4)
def _compose(text: str) -> _Node:
    return cast("_Node", YAML(typ="safe", pure=True).compose(text))  # pyright: ignore[reportUnknownMemberType] - untyped there


def _children(node: _Node) -> dict[str, tuple[_Node, _Node]]:
    pairs = cast("Sequence[tuple[_Node, _Node]]", node.value) if node.id == "mapping" else ()
    return {str(key.value): (key, value) for key, value in pairs}


def _entry(node: _Node, key: str) -> tuple[_Node, _Node]:
    return _children(node)[key]


def _column(mapping: _Node) -> int:
    return mapping.start_mark.column


def _end(node: _Node) -> int:
    """Return where a node's own text ends: of a block mapping or list, its last value's."""
    if node.id == "scalar" or node.flow_style:
        return node.end_mark.index
    items = cast("Sequence[object]", node.value)
    if not items:
        return node.end_mark.index
    last = items[-1]
    return _end(cast("tuple[_Node, _Node]", last)[1] if node.id == "mapping" else cast("_Node", last))


def _line_end(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _zone_start(text: str, key: _Node) -> int:
    """Return where a key's lines begin, those of the comments right above it, at its own indentation, included."""
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    while start > 0:
        above = text.rfind("\n", 0, start - 1) + 1
        line = text[above:start]
        if not line.lstrip().startswith("#") or len(line) - len(line.lstrip()) != key.start_mark.column:
            break
        start = above
    return start


def _apply(text: str, edits: Sequence[_Edit]) -> str:
    for edit in sorted(edits, key=lambda item: item.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text
