"""YAML 1.2 as plain data with line numbers, and nothing that two readers could take for two things.

The official CLI reads with a Go library, this with ruamel.yaml: both take ``on``, ``yes`` and ``12:30`` for texts.
Where they would differ (``0777``, ``1_000``, ``2026-01-01``, merge keys, tags of one's own) the file is refused.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.reader import ReaderError

from components.problems import Path, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.model import Value

__all__ = ["Document", "read_yaml"]

_STANDARD_TAGS = "tag:yaml.org,2002:"
_TAGS = {
    "mapping": frozenset({"map"}),
    "sequence": frozenset({"seq"}),
    "quoted": frozenset({"str"}),
    "plain": frozenset({"str", "int", "float", "bool", "null", "timestamp", "merge", "value"}),
}
"""Tags that a reader gives by itself, by kind of node; any other somebody has written."""
_DEEPEST = 50
"""Levels of lists and mappings; a cluster has about ten, and both readers go down them by recursion."""
_MOST_VALUES = 200_000
"""Values with those that aliases repeat; a thousand hosts described one by one have 20,000."""
_LARGEST_WHOLE = 2**63 - 1
"""A larger number is one of another kind to the Go library, which rounds it."""
_LONGEST_NUMBER = 400
"""Characters; beyond that no notation is a number that either reader takes (float64 ends at 309 digits)."""
_LONGEST_SHOWN = 60
"""Characters of a number in a message."""
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
"""Nulls and booleans of YAML 1.2's core schema; both readers agree on them."""
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+\Z|0o[0-7]+\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")
_AMBIGUOUS = (
    (re.compile(r"[-+]?0[0-9]+\Z"), "a number with leading zeros, octal to some readers"),
    (re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]+)?\Z"), "a number with underscores, a text to some readers"),
    (re.compile(r"[-+]?0b[01]+\Z"), "a binary number, a text to some readers"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?\Z"), "a date, a text to some readers"),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z"), "no number that JSON has"),
)
"""Plain scalars on which YAML 1.2's core schema and go-yaml v3 (its resolve.go) do not agree, or that JSON lacks."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """One YAML document."""

    value: Value
    lines: Mapping[Path, int]
    """Line of each key and list item, counted from 1."""
    problems: tuple[Problem, ...]
    """What the two readers would not agree on, and keys that are there twice."""


class _Mark(Protocol):
    """A place in the text."""

    line: int
    """Counted from 0."""


class _Node(Protocol):
    """What this needs of a node of ruamel.yaml, whose own types say less."""

    id: str
    """mapping, sequence or scalar."""
    tag: object
    style: str | None
    """Of a scalar: its quote or block mark, None where it is plain."""
    value: object
    start_mark: _Mark


class _SyntaxError(Protocol):
    """What this needs of an error of ruamel.yaml."""

    problem: str | None
    context: str | None
    problem_mark: _Mark | None


def read_yaml(text: str) -> Document:
    """Return the only document of a YAML text as plain data.

    A text that is no YAML gives a document without a value, and the place where reading ended among its problems.
    """
    try:
        root = _composed(text)
        reader = _Reader()
        value = reader.value(root, ()) if root is not None else None
    except _UnreadableError as error:
        return Document(value=None, lines={}, problems=(error.problem,))
    return Document(value=value, lines=reader.lines, problems=tuple(reader.problems))


class _UnreadableError(Exception):
    """Reading cannot go on."""

    def __init__(self, what: str, remedy: str, line: int | None) -> None:
        super().__init__(what)
        self.problem = Problem(path=(), what=what, remedy=remedy, line=line)


def _composed(text: str) -> _Node | None:
    """Return the tree of nodes of a YAML text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ReusedAnchorWarning)
            return cast("_Node | None", YAML(typ="safe", pure=True).compose(text))  # pyright: ignore[reportUnknownMemberType] - untyped there
    except MarkedYAMLError as error:
        what, line = _syntax_error(cast("_SyntaxError", error))
        raise _UnreadableError(what, "correct the syntax there or just before", line) from error
    except ReaderError as error:
        position = cast("int", error.position)  # pyright: ignore[reportUnknownMemberType] - untyped there
        line = text.count("\n", 0, position) + 1
        what = f"not YAML: the character U+{ord(text[position]):04X} is not allowed in it"
        raise _UnreadableError(what, "take it out, or write it as an escape in double quotes", line) from error
    except ReusedAnchorWarning as error:
        what = f"an anchor is there twice: {' '.join(str(error).split())}"
        raise _UnreadableError(what, "give each anchor a name of its own", None) from error
    except RecursionError as error:
        raise _UnreadableError(_too_deep(), "describe the cluster as the reference does", None) from error
    except (YAMLError, ValueError, OverflowError, LookupError, AttributeError, TypeError) as error:
        # The library takes some texts for YAML that break it further down, such as an escape beyond Unicode.
        what = f"not YAML: {error}"
        raise _UnreadableError(what, "correct the syntax", None) from error


def _too_deep() -> str:
    return f"lists and mappings lie more than {_DEEPEST} levels deep"


def _syntax_error(error: _SyntaxError) -> tuple[str, int | None]:
    """Return what is wrong, and in which line."""
    line = error.problem_mark.line + 1 if error.problem_mark is not None else None
    return f"not YAML: {error.problem or error.context}", line


class _Reader:
    """Turns nodes into values, remembering lines and collecting problems."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self.values = 0

    def value(self, node: _Node, path: Path) -> Value:
        line = node.start_mark.line + 1
        self.values += 1
        if self.values > _MOST_VALUES:
            what = f"aliases make more than {_MOST_VALUES:,} values of this file"
            raise _UnreadableError(what, "write out what is meant, without aliases of aliases", line)
        if len(path) > _DEEPEST:
            raise _UnreadableError(_too_deep(), "describe the cluster as the reference does", line)
        self.lines.setdefault(path, line)
        if not _is_plain_data(node):
            self._problem(node, path, f"the tag {node.tag} means nothing here", "leave it out; plain data needs none")
            return None
        if node.id == "mapping":
            return self._mapping(cast("Sequence[tuple[_Node, _Node]]", node.value), path)
        if node.id == "sequence":
            items = cast("Sequence[_Node]", node.value)
            return [self.value(item, (*path, index)) for index, item in enumerate(items)]
        return self._scalar(node, path)

    def _mapping(self, pairs: Sequence[tuple[_Node, _Node]], path: Path) -> Value:
        found: dict[str, Value] = {}
        for key_node, value_node in pairs:
            key = str(key_node.value)
            here = (*path, key)
            if key_node.id != "scalar":
                self._problem(
                    key_node, path, "a list or a mapping stands here as a key", "write a plain text as the key"
                )
            elif key == "<<" and key_node.style is None:
                self._problem(
                    key_node,
                    here,
                    "merge keys are read in two ways",
                    "write the keys out, or alias a whole value (*name)",
                )
            elif key in found:
                what = f"the key {key!r} is there twice, first in line {self.lines[here]}"
                self._problem(key_node, here, what, "keep one of the two, or give the other its own name")
            else:
                self.lines[here] = key_node.start_mark.line + 1
                found[key] = self.value(value_node, here)
        return found

    def _scalar(self, node: _Node, path: Path) -> Value:
        text = str(node.value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self._problem(node, path, "half a character (a surrogate) stands here", "write the character itself")
            return None
        if node.style is not None or str(node.tag) == f"{_STANDARD_TAGS}str":
            return text
        kind = _ambiguity(text)
        if kind is not None:
            shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
            self._problem(node, path, f"{shown} is {kind}", f'write "{shown}" for the text, or the number plainly')
            return text
        return _plain(text)

    def _problem(self, node: _Node, path: Path, what: str, remedy: str) -> None:
        self.problems.append(Problem(path=path, what=what, remedy=remedy, line=node.start_mark.line + 1))


def _is_plain_data(node: _Node) -> bool:
    """Tell whether nobody has said of `node` that it is something else than what it looks like."""
    tag = str(node.tag)
    kind = node.id if node.id != "scalar" else "plain" if node.style is None else "quoted"
    return tag.startswith(_STANDARD_TAGS) and tag.removeprefix(_STANDARD_TAGS) in _TAGS[kind]


def _ambiguity(text: str) -> str | None:
    """Return what a plain scalar is that two readers would not take for the same, None for any other."""
    if len(text) > _LONGEST_NUMBER:
        return "a number with too many digits" if text.strip("+-0123456789._eE") == "" else None
    for pattern, kind in _AMBIGUOUS:
        if pattern.match(text):
            return kind
    number = _plain(text)
    if isinstance(number, str):
        is_too_large = _FLOAT.match(text) is not None
    else:
        is_too_large = isinstance(number, int | float) and abs(number) > _LARGEST_WHOLE
    if is_too_large:
        return "a number that does not fit into 64 bits"
    return None


def _plain(text: str) -> Value:
    """Return what a plain scalar means in YAML 1.2's core schema; whole numbers in any notation are integers."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.match(text):
        return int(text)
    if _HEXADECIMAL.match(text):
        return int(text, 0)
    if _FLOAT.match(text) and math.isfinite(number := float(text)):
        return int(number) if number == int(number) else number
    return text
