"""A preview as a tree by component, with every changed property."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rich.text import Text
from rich.tree import Tree

from labctl.engine.plan import Op
from labctl.graph.goal import STACK_TYPE, urn_name

from .words import DOING, STYLES, SYMBOLS, change_lines, counts, title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from labctl.engine.plan import Step
    from labctl.engine.report import Report

__all__ = ["print_plan", "step_tree"]


def step_tree(steps: Sequence[Step], heading: str, *, brief: bool = False) -> Tree:
    """Return the changing `steps` under the components they belong to; components without a change are left out.

    `brief` counts what a component creates instead of listing it.
    """
    by_urn = {step.urn: step for step in steps}
    children: defaultdict[str, list[Step]] = defaultdict(list)
    for step in steps:
        children[_parent(step)].append(step)
    wanted = _with_ancestors([step for step in steps if step.op is not Op.SAME], by_urn)
    tree = Tree(Text(heading, style="bold"))

    def grow(branch: Tree, parent: str) -> None:
        created = 0
        for step in sorted(children[parent], key=lambda item: (item.type, item.urn)):
            if brief and step.op is Op.CREATE and not children[step.urn]:
                created += 1
            elif step.urn in wanted:
                grow(branch if step.type == STACK_TYPE else branch.add(_label(step)), step.urn)

        if created:
            branch.add(Text(f"{SYMBOLS[Op.CREATE]} {created} resources", style=STYLES[Op.CREATE]))

    roots = {_parent(step) for step in steps} - by_urn.keys()
    for root in sorted(roots):
        grow(tree, root)
    return tree


def _parent(step: Step) -> str:
    state = step.new or step.old
    return state.parent if state else ""


def _with_ancestors(changing: Sequence[Step], by_urn: dict[str, Step]) -> set[str]:
    wanted: set[str] = set()
    for step in changing:
        current: Step | None = step
        while current is not None and current.urn not in wanted:
            wanted.add(current.urn)
            current = by_urn.get(_parent(current))
    return wanted


def _label(step: Step) -> Text:
    label = Text(f"{SYMBOLS[step.op]} {title(step.urn, step.type)}", style=STYLES[step.op])
    if step.op in DOING:
        label.append(f"  {step.op.value}", style="dim")
    if step.op in (Op.UPDATE, Op.REPLACE):
        for line in change_lines(step):
            label.append(f"\n  {line}", style="default")
    return label


def _print_renames(console: Console, report: Report) -> None:
    """Print what goes on under another name: the topmost, and how many there are below it."""
    renamed = {step.urn: step for step in report.renamed()}
    tops = [step for step in renamed.values() if _parent(step) not in renamed]
    for step in sorted(tops, key=lambda item: item.urn):
        below = sum(1 for urn in renamed if urn != step.urn and _lies_below(urn, step.urn, renamed))
        more = f", and {below} in it" if below else ""
        console.print(f"renamed: {urn_name(step.former)} is {title(step.urn, step.type)} now{more}", markup=False)


def _lies_below(urn: str, top: str, steps: dict[str, Step]) -> bool:
    current: str = urn
    while current in steps:
        if (current := _parent(steps[current])) == top:
            return True
    return False


def print_plan(console: Console, report: Report, heading: str, *, brief: bool = False) -> None:
    """Print the plan in `report`: the tree of changes, notes and the counts; `brief` as in `step_tree`."""
    steps = report.visible()
    if any(step.op is not Op.SAME for step in steps):
        console.print(step_tree(steps, heading, brief=brief), highlight=False)
    _print_renames(console, report)
    words = {op: f"to {op.value}" for op in Op}
    console.print(f"Resources: {counts(report.summary(), words)}", highlight=False)
    for note in report.notes:
        console.print(f"note: {note}", style="cyan", highlight=False, markup=False)
