"""What the shell offers for an argument: read from plain files, without loading what runs a verb.

Whoever presses Tab waits: nothing here imports pydantic, Pulumi or the engine, opens a secret or asks a network.
What cannot be read offers nothing.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Final, cast
from urllib.parse import unquote

import typer  # noqa: TC002 - it evaluates the annotations

__all__ = ["hosts", "locks", "output_names", "stacks", "urns", "versions"]

DEFAULT_BACKEND: Final = "file://./.lab/state"
"""As in `labctl.lab`, which is too slow to import here."""
STACK_FILE: Final = re.compile(r"Pulumi\.(?P<stack>[^.]+)\.yaml")
PROJECT_NAME: Final = re.compile(r"^name:\s*(\S+)", re.MULTILINE)
STACK_TYPE: Final = "pulumi:pulumi:Stack"
MOST_OFFERED: Final = 200
"""More is no help to anybody."""

Json = dict[str, object]


def stacks(incomplete: str) -> list[str]:
    """Return the stacks that have a file here."""
    root = _root()
    if root is None:
        return []
    matches = (STACK_FILE.fullmatch(entry.name) for entry in os.scandir(root))
    return sorted(match["stack"] for match in matches if match and match["stack"].startswith(incomplete))


def output_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the stack's outputs."""
    names = (
        name for state in _resources(context) if state.get("type") == STACK_TYPE for name in _object(state, "outputs")
    )
    return sorted(name for name in names if name.startswith(incomplete))


def urns(context: typer.Context, incomplete: str) -> list[str]:
    """Return the URNs in the stack's state that begin with what was typed."""
    found = (str(state.get("urn", "")) for state in _resources(context))
    return sorted(urn for urn in found if urn.startswith(incomplete))[:MOST_OFFERED]


def locks(context: typer.Context, incomplete: str) -> list[str]:
    """Return the ids of the stack's locks."""
    place = _place("locks/organization", _stack(context))
    if place is None or not place.is_dir():
        return []
    return sorted(path.stem for path in place.glob("*.json") if path.stem.startswith(incomplete))


def versions(context: typer.Context, incomplete: str) -> list[str]:
    """Return the versions of the stack's history, the latest first."""
    place = _place("history", _stack(context))
    if place is None or not place.is_dir():
        return []
    count = sum(1 for _ in place.glob("*.history.json"))
    return [str(version) for version in range(count, 0, -1) if str(version).startswith(incomplete)][:MOST_OFFERED]


def hosts(context: typer.Context, incomplete: str) -> list[str]:
    """Return the hosts of the stack: the keys below ``hosts:`` in its file, by their indentation."""
    root = _root()
    path = None if root is None else root / f"Pulumi.{_stack(context)}.yaml"
    if path is None or not path.is_file():
        return []
    names: list[str] = []
    inside: int | None = None
    child: int | None = None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        depth = len(line) - len(line.lstrip())
        if inside is not None and depth > inside:
            child = depth if child is None else child
            if depth == child and text.partition(":")[1]:
                names.append(text.partition(":")[0].strip("'\""))
            continue
        inside, child = (depth, None) if text == "hosts:" else (None, None)
    return sorted({name for name in names if name.startswith(incomplete)})


def _root() -> Path | None:
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "Pulumi.yaml").is_file()), None)


def _stack(context: typer.Context) -> str:
    """Return the stack on the command line that is being typed."""
    return str(context.params.get("stack") or os.environ.get("LAB_STACK") or "dev")


def _place(part: str, stack: str) -> Path | None:
    """Return the folder of `part` of a stack in a backend of files."""
    root = _root()
    url = os.environ.get("PULUMI_BACKEND_URL") or DEFAULT_BACKEND
    if root is None or not url.startswith("file://") or "/" in stack:
        return None
    match = PROJECT_NAME.search((root / "Pulumi.yaml").read_text(encoding="utf-8", errors="replace"))
    state = (root / Path(unquote(url.removeprefix("file://"))).expanduser()).resolve()
    return None if match is None else state / ".pulumi" / part / match[1] / stack


def _resources(context: typer.Context) -> list[Json]:
    place = _place("stacks", _stack(context))
    try:
        stored = {} if place is None else cast("Json", json.loads(place.with_name(f"{place.name}.json").read_bytes()))
    except (OSError, ValueError):
        return []
    resources = _object(_object(stored, "checkpoint"), "latest").get("resources")
    return cast("list[Json]", resources) if isinstance(resources, list) else []


def _object(value: Json, key: str) -> Json:
    found = value.get(key)
    return cast("Json", found) if isinstance(found, dict) else {}
