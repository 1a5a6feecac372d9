"""What new pins change in the stacks of an environment, rendered with the old ones and with the new ones."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from labctl.comparison.hosts import host_names, host_of, without_host
from labctl.graph.goal import urn_name, urn_type
from labctl.revisions import compare_trees
from stacks.environments import environment_of
from stacks.errors import StacksError
from stacks.loading import PlainValue, load_stack_file, stack_file_path
from stacks.project import PROJECT

from .pins import pins_file

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from labctl.graph.values import Plain
    from labctl.revisions import StackChange

    from .plan import Move

__all__ = ["ReleaseEffect", "StackEffect", "effects_of", "stack_effect", "stacks_of"]

PROGRAM_FOLDERS: Final = ("components", "stacks")
RELEASE: Final = "kubernetes:helm.sh/v3:Release"
REMOTE_COMMAND: Final = "command:remote:Command"
OPS: Final = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted"}


@dataclass(frozen=True, kw_only=True)
class ReleaseEffect:
    """One Helm release that changes."""

    name: str
    chart: str
    old: str | None
    new: str | None
    """Equal to `old` where only its values change."""


@dataclass(frozen=True, kw_only=True)
class StackEffect:
    """What changes in one stack."""

    stack: str
    error: str | None = None
    """Why the stack could not be built with the new pins."""
    base_error: str | None = None
    """Why it cannot be built with the old ones."""
    releases: tuple[ReleaseEffect, ...] = ()
    images: tuple[str, ...] = ()
    """Pins of images that something in the stack takes up."""
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    """The steps that run, by host."""
    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    @property
    def changes(self) -> int:
        """How many resources change."""
        return len(self.created) + len(self.updated) + len(self.replaced) + len(self.deleted)


def stacks_of(root: Path, environment: str) -> list[str]:
    """Return the stacks of an environment: ``prod``, ``prod-open``."""
    names = sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in root.glob("Pulumi.*.yaml"))
    found: list[str] = []
    for name in names:
        try:
            if environment_of(name).name == environment:
                found.append(name)
        except StacksError:
            continue  # a file of some other project's stack
    return found


def effects_of(root: Path, environment: str, pins: str, moves: Sequence[Move]) -> list[StackEffect]:
    """Return what the pins in the text `pins` change in every stack of an environment, the files otherwise as they are.

    Raises
    ------
    RehearsalError
        The program ended its process.
    """
    stacks = stacks_of(root, environment)
    if not stacks:
        return []
    with _with_pins(root, environment, pins) as after:
        changes = compare_trees(root, after, stacks, names=("the pins of now", "the promoted pins"))
    return [stack_effect(changes[stack], _hosts(root, stack), moves) for stack in stacks]


@contextmanager
def _with_pins(root: Path, environment: str, pins: str) -> Generator[Path]:
    """Yield a copy of the program with other pins, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="labctl-promotion-") as name:
        folder = Path(name).resolve()
        for part in PROGRAM_FOLDERS:
            shutil.copytree(root / part, folder / part)  # compiled modules too: file times are kept, so they are valid
        for path in (root / "__main__.py", *root.glob("Pulumi*.yaml")):
            shutil.copy2(path, folder)
        pins_file(folder, environment).write_text(pins, encoding="utf-8")
        yield folder


def _hosts(root: Path, stack: str) -> tuple[str, ...]:
    try:
        value = load_stack_file(stack_file_path(stack, root)).config.get(f"{PROJECT}:cluster")
    except StacksError:
        return ()
    return host_names(value.value) if isinstance(value, PlainValue) else ()


def stack_effect(change: StackChange, hosts: Sequence[str], moves: Sequence[Move]) -> StackEffect:
    """Return in short what a preview of one stack says.

    Parameters
    ----------
    change
        The stack's preview, in the shape of ``pulumi preview --json``.
    hosts
        Names of its hosts.
    moves
        What was promoted: of its images, those count that a changed resource names.
    """
    steps = [step for step in cast("list[dict[str, Plain]]", change.preview.get("steps", [])) if step["op"] in OPS]
    titles: dict[str, list[str]] = {word: [] for word in OPS.values()}
    ran: dict[str, list[str]] = {}
    for step in steps:
        urn = str(step["urn"])
        titles[OPS[str(step["op"])]].append(urn_name(urn))
        host = host_of(urn_name(urn), hosts) if urn_type(urn) == REMOTE_COMMAND else None
        if host is not None:
            ran.setdefault(host, []).append(without_host(urn_name(urn), hosts))
    return StackEffect(
        stack=change.stack,
        error=change.error,
        base_error=change.base_error,
        releases=tuple(_release(step) for step in steps if urn_type(str(step["urn"])) == RELEASE),
        images=_images(steps, moves),
        hosts={host: tuple(ran[host]) for host in sorted(ran)},
        **{word: tuple(sorted(names)) for word, names in titles.items()},
    )


def _release(step: Mapping[str, Plain]) -> ReleaseEffect:
    old, new = (_inputs(step, key) for key in ("oldState", "newState"))
    either = new or old
    return ReleaseEffect(
        name=urn_name(str(step["urn"])),
        chart=str(either.get("chart", "")).rpartition("/")[2],
        old=str(old["version"]) if "version" in old else None,
        new=str(new["version"]) if "version" in new else None,
    )


def _inputs(step: Mapping[str, Plain], key: str) -> dict[str, Plain]:
    state = step.get(key)
    inputs = state.get("inputs") if isinstance(state, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _images(steps: Sequence[Mapping[str, Plain]], moves: Sequence[Move]) -> tuple[str, ...]:
    """Return the image pins whose new digest, or tag where there is none, stands in what changes."""
    said = json.dumps([_inputs(step, "newState") for step in steps])
    changes = [change for move in moves for change in move.changes]
    return tuple(
        change.path
        for change in changes
        if change.new is not None and change.new.image is not None and _mark(change.new.image) in said
    )


def _mark(image: str) -> str:
    return image.partition("@")[2] or image
