"""What differs on each host, as a tree, and what brings it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text
from rich.tree import Tree

from components.gpu.driver_facts import describe_gpus
from labctl.drift.findings import HostState, Standing, StepState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from labctl.drift.findings import HostFinding, StepFinding

__all__ = ["print_drift"]

STYLES: Final = {HostState.CONVERGED: "green", HostState.DIFFERS: "yellow", HostState.UNANSWERED: "red"}
SYMBOLS: Final = {HostState.CONVERGED: "✓", HostState.DIFFERS: "~", HostState.UNANSWERED: "?"}
"""One sign and colour of rich per state of a host."""
WORDS: Final = {
    HostState.CONVERGED: "converged",
    HostState.DIFFERS: "different",
    HostState.UNANSWERED: "without an answer",
}
STANDINGS: Final = {
    Standing.APPLIED: "",
    Standing.CHANGED: "  the stack file has changed since it was applied",
    Standing.NEW: "  not applied yet",
}

PENDING: Final = (Standing.CHANGED, Standing.NEW)
"""What the next `up` applies by itself."""


def print_drift(console: Console, stack: str, findings: Sequence[HostFinding]) -> None:
    """Print a line for each converged host, what differs on the others, the counts, and the remedies."""
    tree = Tree(Text(f"Drift of {stack}", style="bold"))
    for found in findings:
        _grow(tree, found)
    console.print(tree, highlight=False)
    console.print(_counts(findings), highlight=False, markup=False)
    for line in _remedies(stack, findings):
        console.print(line, highlight=False, markup=False)


def _grow(tree: Tree, found: HostFinding) -> None:
    label = Text(f"{SYMBOLS[found.state]} {found.host}", style=STYLES[found.state])
    label.append(f"  {found.address}", style="dim")
    label.append(f"  {_headline(found)}", style="default")
    branch = tree.add(label)
    if found.facts is not None and found.facts.gpus is not None:
        for line in describe_gpus(found.facts.gpus):
            branch.add(Text(line, style="dim"))
    for step in found.steps:
        if step.state is not StepState.CONVERGED and (_was_asked(found) or found.reason is None):
            _add_step(branch, step)
    for warning in found.warnings:
        branch.add(Text(f"warning: {warning}", style="magenta"))


def _headline(found: HostFinding) -> str:
    if found.reason is not None:
        return f"not asked to the end: {found.reason}" if _was_asked(found) else f"no answer: {found.reason}"
    count = sum(len(step.differs) for step in found.steps)
    states = {step.state for step in found.steps}
    words = [f"{count} {'difference' if count == 1 else 'differences'}"] if count else []
    words += ["steps that could not be checked"] if StepState.FAILED in states else []
    words += ["steps not applied yet"] if StepState.WAITING in states else []
    return ", ".join(words) or "converged"


def _was_asked(found: HostFinding) -> bool:
    return any(step.state not in (StepState.UNANSWERED, StepState.WAITING) for step in found.steps)


def _add_step(branch: Tree, step: StepFinding) -> None:
    style = "red" if step.state in (StepState.FAILED, StepState.UNANSWERED) else "yellow"
    label = Text(step.step, style=style)
    if step.state is StepState.WAITING:
        label.append(f"  not applied yet: {step.reason}", style="default")
    elif step.state is StepState.DIFFERS:
        label.append(STANDINGS[step.standing], style="dim")
    else:
        label.append(f"  {step.reason}", style="default")
    leaf = branch.add(label)
    for item in step.differs:
        leaf.add(Text(item))


def _counts(findings: Sequence[HostFinding]) -> str:
    numbers = {state: sum(found.state is state for found in findings) for state in HostState}
    words = {
        HostState.CONVERGED: "converged",
        HostState.DIFFERS: "different",
        HostState.UNANSWERED: "without an answer",
    }
    parts = [f"{numbers[state]} {words[state]}" for state in HostState if numbers[state]]
    return f"Hosts: {', '.join(parts) or 'none to ask'}"


def _remedies(stack: str, findings: Sequence[HostFinding]) -> Iterator[str]:
    """Yield what brings hosts back: `up` alone where it has something to apply, a line of the stack file elsewhere."""
    changed = [found.host for found in findings if _has(found, Standing.APPLIED)]
    pending = [found.host for found in findings if found.host not in changed and _has(found, *PENDING)]
    up = f"`labctl up --stack {stack}`"
    for host in changed:
        yield f"To bring {host} back: raise nodes.hosts.{host}.reconverge by one and run {up}."
    if pending:
        yield f"{', '.join(pending)}: not applied yet; {up} does."


def _has(found: HostFinding, *standings: Standing) -> bool:
    different = (StepState.DIFFERS, StepState.WAITING)
    return any(step.state in different and step.standing in standings for step in found.steps)
