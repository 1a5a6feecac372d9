"""Host keys in a stack file: read from one that is not complete yet, and written into it with nothing else touched."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from pydantic import ValidationError
from ruamel.yaml import YAML

from components.nodes.config import NodesConfig
from stacks.config import CLUSTER_KEY
from stacks.errors import StackFileError
from stacks.loading import PlainValue, load_cluster
from stacks.project import PROJECT
from stacks.reading import read_yaml

from .errors import FileChangedError, NotWritableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.model import Value
    from components.problems import Problem
    from stacks.loading import StackFile

__all__ = ["incomplete_nodes", "with_host_keys", "write_host_keys"]

HOST_KEY: Final = "hostKey"
HOST_PATH_LENGTH: Final = 3
"""Of ``nodes.hosts.cp-1``."""


def incomplete_nodes(file: StackFile) -> NodesConfig:
    """Return the nodes section of a stack file, whatever is still to be done in it about host keys.

    Problems of other sections are no hindrance, either: somebody who begins with the machines may write on later.

    Raises
    ------
    StackFileError
        With everything else that is wrong with the section.
    """
    try:
        return load_cluster(file).nodes
    except StackFileError as error:
        value = file.config.get(f"{PROJECT}:{CLUSTER_KEY}")
        cluster = value.value if isinstance(value, PlainValue) else None
        others = [problem for problem in error.problems if _hinders(problem)]
        if others or not isinstance(cluster, dict):
            raise StackFileError(file=error.file, problems=others or error.problems) from None
        try:
            return NodesConfig.model_validate(cluster.get("nodes"), by_alias=True, by_name=False)
        except ValidationError:
            raise error from None


def _hinders(problem: Problem) -> bool:
    """Tell whether a problem is one of the nodes section, or of the whole file, and not about a host key."""
    path = problem.path
    is_host_key = path[:2] == ("nodes", "hosts") and path[HOST_PATH_LENGTH:] == (HOST_KEY,)
    return path[:1] in ((), ("nodes",), ("config",)) and not is_host_key


def write_host_keys(path: Path, keys: Mapping[str, str]) -> None:
    """Have the stack file pin `keys`, by host; every other byte of it stays, and it is never half written.

    Raises
    ------
    NotWritableError
        A line cannot be put in without changing something else.
    FileChangedError
        Somebody else saved it in this moment.
    """
    place = path.resolve()
    before = place.read_bytes()
    after = with_host_keys(before.decode("utf-8"), keys, place.name).encode("utf-8")
    descriptor, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(after)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(place.stat().st_mode & 0o7777)
        if place.read_bytes() != before:
            raise FileChangedError(place.name)
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)


def with_host_keys(text: str, keys: Mapping[str, str], file: str) -> str:
    """Return the text of a stack file with the keys put in, each after the host's address.

    Parameters
    ----------
    text
        The file; comments, order, quotes and line ends stay as they are.
    keys
        Public key lines by host. A host that has another key already is not changed: nobody decides that but a person.
    file
        Its name, for the message.

    Raises
    ------
    NotWritableError
        A line cannot be put in without changing something else.
    """
    edits = [_edit(text, name, key, file) for name, key in keys.items()]
    edited = text
    for begin, end, new in sorted(edits, reverse=True):
        edited = edited[:begin] + new + edited[end:]
    document = read_yaml(edited)
    if document.problems or document.value != _expected(read_yaml(text).value, keys):
        raise NotWritableError(file=file, hosts=sorted(keys))
    return edited


class _Mark(Protocol):
    """A place in the text."""

    index: int
    column: int


class _Node(Protocol):
    """What this needs of a node of ruamel.yaml, whose own types say less."""

    id: str
    value: object
    flow_style: bool | None
    start_mark: _Mark
    end_mark: _Mark


def _edit(text: str, host: str, key: str, file: str) -> tuple[int, int, str]:
    """Return where a host's key goes: from, to, and the new text."""
    node: _Node | None = cast("_Node | None", YAML(typ="safe", pure=True).compose(text))  # pyright: ignore[reportUnknownMemberType] - untyped there
    for names in (("config",), (f"{PROJECT}:{CLUSTER_KEY}", CLUSTER_KEY), ("nodes",), ("hosts",), (host,)):
        node = next((value for found, value in _pairs(node) if found.value in names), None)
    for found, value in _pairs(node):
        if found.value == HOST_KEY:
            if value.value not in ("", "~", "null"):
                raise NotWritableError(file=file, hosts=[host])
            colon = text.index(":", found.end_mark.index)
            return colon + 1, max(colon + 1, value.end_mark.index) if value.value else colon + 1, f" {key}"
    address = next(((found, value) for found, value in _pairs(node) if found.value == "address"), None)
    if node is None or address is None:
        raise NotWritableError(file=file, hosts=[host])
    end = address[1].end_mark.index
    if node.flow_style:
        return end, end, f", {HOST_KEY}: {key}"
    indent = " " * address[0].start_mark.column
    line_end = text.find("\n", end)
    if line_end < 0:
        return len(text), len(text), f"\n{indent}{HOST_KEY}: {key}"
    newline = "\r\n" if text[line_end - 1] == "\r" else "\n"
    return line_end + 1, line_end + 1, f"{indent}{HOST_KEY}: {key}{newline}"


def _pairs(node: _Node | None) -> Sequence[tuple[_Node, _Node]]:
    return cast("Sequence[tuple[_Node, _Node]]", node.value) if node is not None and node.id == "mapping" else ()


def _expected(value: Value, keys: Mapping[str, str]) -> Value:
    """Return the file's data with the keys in it, as it should be read afterwards."""
    expected = value
    for host, key in keys.items():
        expected = _with(
            expected, (("config",), (f"{PROJECT}:{CLUSTER_KEY}", CLUSTER_KEY), ("nodes",), ("hosts",), (host,)), key
        )
    return expected


def _with(value: Value, names: Sequence[tuple[str, ...]], key: str) -> Value:
    if not isinstance(value, dict):
        return value
    if not names:
        return {**value, HOST_KEY: key}
    return {name: _with(item, names[1:], key) if name in names[0] else item for name, item in value.items()}
