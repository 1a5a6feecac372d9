"""``labctl graph``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.text import Text
from rich.tree import Tree

from labctl.display.words import STYLES, SYMBOLS
from labctl.engine.plan import Op
from labctl.engine.state import UpdateKind
from labctl.errors import LabError
from labctl.exit_codes import ExitCode
from labctl.graph.record import record
from labctl.lab import open_lab
from labctl.picture import document, dot, picture_of, svg

from .preview import plan as preview_plan
from .session import error_console, output_console, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from labctl.lab import Lab
    from labctl.picture import Component, Picture

__all__ = ["NoSuchPictureError", "graph"]


class NoSuchPictureError(LabError):
    """A file of a kind that is not drawn."""

    exit_code = ExitCode.USAGE

    def __init__(self, suffix: str) -> None:
        remedy = "write .svg, which every browser shows and prints" if suffix == ".png" else "write .svg, .dot or .json"
        super().__init__(f"no picture is drawn as {suffix or 'a file without an ending'}: {remedy}")


WRITERS: Mapping[str, Callable[[Picture], str]] = {
    ".svg": svg,
    ".dot": dot,
    ".json": lambda picture: json.dumps(document(picture), indent=2, ensure_ascii=False) + "\n",
}
"""By the ending of the file's name."""


def graph(stack: str, output: Path | None, *, of_state: bool, with_plan: bool, as_json: bool) -> None:
    """Print the stack's components as a tree, or draw them into `output`.

    Raises
    ------
    NoSuchPictureError
        `output` has an ending that nothing is drawn as.
    """
    writer = None if output is None else WRITERS.get(output.suffix)
    if output is not None and writer is None:
        raise NoSuchPictureError(output.suffix)
    lab = open_lab(stack)
    picture = _picture(lab, of_state=of_state, with_plan=with_plan)
    if output is not None and writer is not None:
        output.write_text(writer(picture), encoding="utf-8")
        error_console().print(f"{picture.count} resources drawn in {output}", markup=False)
    if as_json:
        print_json(document(picture))
    elif output is None:
        output_console().print(_tree(picture))


def _picture(lab: Lab, *, of_state: bool, with_plan: bool) -> Picture:
    if with_plan:
        report = preview_plan(lab, lab.open(UpdateKind.PREVIEW).snapshot).report
        states = [state for step in report.steps if (state := step.new or step.old) is not None]
        return picture_of(
            lab.stack,
            states,
            operations={step.urn: step.op.value for step in report.steps},
            failed={failure.urn for failure in report.failures},
        )
    if of_state:
        return picture_of(lab.stack, [one for one in lab.open(UpdateKind.PREVIEW).snapshot.resources if not one.delete])
    return picture_of(lab.stack, record(lab.program()).goals)


def _tree(picture: Picture) -> Tree:
    names = {component.urn: f"{component.type} {component.name}" for component in picture.components}
    tree = Tree(Text(f"{picture.stack}: {picture.count} resources", style="bold"))
    for component in picture.components:
        _grow(tree, component, picture, names)
    return tree


def _grow(tree: Tree, component: Component, picture: Picture, names: Mapping[str, str]) -> None:
    label = Text(f"{component.type} {component.name}", style="bold")
    label.append(f"  {component.count}", style="dim")
    for sign, count in component.signs.items():
        known = sign in {op.value for op in Op}
        style = STYLES[Op(sign)] if known else "red"
        label.append(f"  {SYMBOLS[Op(sign)] if known else '✗'}{count}", style=style)
    branch = tree.add(label)
    if component.kinds:
        branch.add(Text(", ".join(f"{kind.count} {kind.name}" for kind in component.kinds), style="dim"))
    for child in component.children:
        _grow(branch, child, picture, names)
    for flow in picture.flows:
        if flow.target == component.urn:
            what = "the cluster's access" if flow.by_provider else f"{flow.count} values"
            branch.add(Text(f"← {what} from {names[flow.source]}", style="cyan"))
