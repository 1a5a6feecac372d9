"""Stack files broken in every way hypothesis finds: in their structure, their YAML, their bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from hypothesis import strategies as st

from stacks.reading import read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DrawFn

    from components.model import Value

ROOT: Final = Path(__file__).parents[3]
BASES: Final = (
    *sorted(ROOT.glob("Pulumi.*.yaml")),
    *sorted((ROOT / "tests/unit/data/config").glob("every-option-*.happy.yaml")),
)
"""The four real stacks, and files that together set every option."""
PARTS: Final = 8
"""Parts of the bases, so that a test of each can run beside the others."""
MOST_CHANGES: Final = 4
"""Changes to one file."""


@dataclass(frozen=True)
class Raw:
    """A piece of YAML, written as it is."""

    text: str


ODD_SCALARS: Final[tuple[object, ...]] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 1e308, -0.0, 0.1, 1e-300),
    *(
        "",
        " ",
        "\t",
        "\x00",
        "\x7f",
        "\u2028",
        "\ufeff",
        "\u202e",
        "ﬀ",
        "İ",
        "ß",
        "٣",
        "é",
        "e\u0301",
        "💾",
        "a" * 3000,
    ),
    *(
        "null",
        "~",
        "on",
        "yes",
        "0x1F",
        "0777",
        "1_000",
        "12:30",
        "2026-01-01",
        ".nan",
        "1e3",
        "10.0.0.0/8",
        "0.0.0.0/0",
    ),
    *(
        "::/0",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "10.0.0.256",
        "256.1.1.1/33",
        "64Gi",
        "-64Gi",
        "1e400Gi",
        "4h30m",
        "-1h",
    ),
    *(
        "999999999999h",
        "1g.10gb",
        "../../etc/passwd",
        "/",
        "file:///",
        "https://",
        "https://[::1",
        "http://[",
        "%s",
        "{0}",
    ),
    *(
        "${jndi:x}",
        "$(reboot)",
        "`id`",
        "' OR 1=1",
        "a.b",
        "A",
        "-a",
        "a-",
        "a" * 64,
        "x@y",
        "x@y.z",
        "*",
        "^(a+)+$",
        "[",
        "(?P<",
    ),
)
"""Values that a person might write somewhere, or that break what takes any text or number."""
RAW_SCALARS: Final = (
    *(".nan", ".inf", "-.inf", "1e999", "0o9", "0x", "- -", "? x", "!!python/object/apply:os.system [id]", "!lab x"),
    *(
        "!!binary aGk=",
        "!!set {a, b}",
        "!!int x",
        "!!float .5",
        "!!timestamp 2026-01-01",
        "*nobody",
        "&a [*a]",
        "&b {c: *b}",
    ),
    *(
        "{<<: {a: 1}}",
        "{? [a] : b}",
        "{? {a: b} : c}",
        "{a: 1, a: 2}",
        "[" * 60 + "]" * 60,
        "{a: " * 60 + "1" + "}" * 60,
    ),
    *(
        '"\\ud800"',
        '"\\x00"',
        '"\\UFFFFFFFF"',
        '"\\q"',
        "'",
        '"',
        "@x",
        "`x`",
        "%x",
        "[",
        "{",
        "]",
        "}",
        ",",
        "#",
        "1" * 5000,
    ),
    *(
        "&x &y z",
        "!!str",
        "! x",
        "|",
        ">9",
        "|0",
        "--- a",
        "...",
        "\t1",
        "\ufeff1",
        "[[[[]]]",
        "{a",
        "=",
        "<<",
        "!!merge x",
    ),
)
"""Pieces of YAML, good and bad."""
ODD_BYTES: Final = (
    *(
        b"\x00",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\x1b[31m",
    ),
    *(
        b"\t",
        b"\r",
        b"\r\n",
        b"\x85",
        b"\xe2\x80\xa8",
        b"\n---\n",
        b"\n...\n",
        b"%YAML 1.1\n---\n",
        b"%TAG ! tag:x,2026:\n---\n",
    ),
    *(
        b"- ",
        b": ",
        b"? ",
        b"&a ",
        b"*a ",
        b"!",
        b"|",
        b">",
        b"'",
        b'"',
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b"#",
        b"%",
        b"@",
        b"`",
    ),
)


def emitted(tree: object, indent: int = 0) -> str:
    """Return `tree` as YAML with a line of its own for each key and item."""
    pad = "  " * indent
    if isinstance(tree, Raw):
        return tree.text
    if isinstance(tree, dict) and tree:
        pairs = cast("dict[object, object]", tree).items()
        return "".join(f"\n{pad}{_key(key)}: {emitted(value, indent + 1)}" for key, value in pairs)
    if isinstance(tree, list) and tree:
        return "".join(f"\n{pad}- {emitted(value, indent + 1)}" for value in cast("list[object]", tree))
    return json.dumps(tree, ensure_ascii=False)


def _key(key: object) -> str:
    return key.text if isinstance(key, Raw) else json.dumps(key, ensure_ascii=False)


def _places(tree: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of `tree` and of everything in it."""
    pairs: list[tuple[object, object]] = []
    if isinstance(tree, dict):
        pairs = list(cast("dict[object, object]", tree).items())
    elif isinstance(tree, list):
        pairs = list(enumerate(cast("list[object]", tree)))
    return [path, *(place for key, value in pairs for place in _places(value, (*path, key)))]


@st.composite
def broken_structures(draw: DrawFn, part: int) -> bytes:
    """A file of the bases of `part` with one to four changes of its structure: keys, values, types, nesting."""
    tree = _copy(draw(st.sampled_from(_trees()[part::PARTS])))
    for _ in range(draw(st.integers(1, MOST_CHANGES))):
        places = _places(tree)[1:]
        if places:
            _change(tree, draw(st.sampled_from(places)), draw)
    return emitted(tree).lstrip("\n").encode("utf-8", "surrogatepass")


@st.composite
def broken_bytes(draw: DrawFn, part: int) -> bytes:
    """A file of the bases of `part`, damaged in one to four places: bytes flipped, put in, lost, lines moved."""
    content = draw(st.sampled_from(_contents()[part::PARTS]))
    for _ in range(draw(st.integers(1, MOST_CHANGES))):
        damage = draw(st.sampled_from(_DAMAGES))
        content = damage(content, draw)
    return content


@cache
def _trees() -> list[Value]:
    return [read_yaml(path.read_text(encoding="utf-8")).value for path in BASES]


@cache
def _contents() -> list[bytes]:
    return [path.read_bytes() for path in BASES]


def _copy(tree: object) -> Any:  # noqa: ANN401 - plain data
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in cast("dict[str, object]", tree).items()}
    return [_copy(item) for item in cast("list[object]", tree)] if isinstance(tree, list) else tree


def _change(tree: Any, place: tuple[Any, ...], draw: DrawFn) -> None:  # noqa: ANN401 - plain data
    """Change something at `place` of `tree`."""
    holder = _at(tree, place[:-1])
    key, value = place[-1], _at(tree, place)
    how = draw(
        st.sampled_from(("odd", "odd", "raw", "drop", "rename", "double", "wrap", "name", "move", "deep", "cut"))
    )
    if how == "odd":
        holder[key] = draw(st.sampled_from(ODD_SCALARS))
    elif how == "raw":
        holder[key] = Raw(draw(st.sampled_from(RAW_SCALARS)))
    elif how == "drop":
        del holder[key]
    elif how == "wrap":
        holder[key] = draw(st.sampled_from(([value], {"x": value}, [[value]], {}, [])))
    elif how == "deep":
        holder[key] = Raw("[" * draw(st.integers(5, 400)) + "]" * 400)
    elif how == "move":
        holder[key] = _copy(_at(tree, draw(st.sampled_from(_places(tree)))))
    elif how == "cut" and isinstance(value, str):
        holder[key] = value[: draw(st.integers(0, len(value)))]
    elif isinstance(holder, dict):
        name = draw(st.sampled_from((f"{key}x", str(key).upper(), f" {key}", "<<", "", "1", "null", "a.b", "é")))
        holder[Raw(json.dumps(str(key))) if how == "double" else name] = value
        if how == "rename":
            del holder[key]
    else:
        holder.append(_copy(value))


def _at(tree: Any, place: tuple[Any, ...]) -> Any:  # noqa: ANN401 - plain data
    for step in place:
        tree = tree[step]
    return tree


def _flipped(content: bytes, draw: DrawFn) -> bytes:
    if not content:
        return content
    at = draw(st.integers(0, len(content) - 1))
    return content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1 :]


def _inserted(content: bytes, draw: DrawFn) -> bytes:
    at = draw(st.integers(0, len(content)))
    return content[:at] + draw(st.sampled_from(ODD_BYTES)) + content[at:]


def _without_part(content: bytes, draw: DrawFn) -> bytes:
    at, length = draw(st.integers(0, len(content))), draw(st.integers(1, 200))
    return content[:at] + content[at + length :]


def _truncated(content: bytes, draw: DrawFn) -> bytes:
    return content[: draw(st.integers(0, len(content)))]


def _with_line_moved(content: bytes, draw: DrawFn) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    line = lines.pop(draw(st.integers(0, len(lines) - 1)))
    lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from((line, line + line, b"  " + line, line[1:]))))
    return b"".join(lines)


_DAMAGES: Final[tuple[Callable[[bytes, DrawFn], bytes], ...]] = (
    *(_flipped, _flipped, _inserted, _inserted, _without_part, _truncated, _with_line_moved),
)
