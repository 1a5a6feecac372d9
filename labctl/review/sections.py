"""One stack's part of the comment."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from labctl.display.words import short_type
from labctl.graph.goal import STACK_TYPE, urn_name
from labctl.graph.rules import mandatory

from .changes import Presence, component_of
from .markdown import block, code, fold, plural
from .naming import KEYWORD
from .properties import output_lines, property_lines
from .reading import Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .changes import Destruction, Policies, StackReview
    from .effects import ImageChange, ReleaseChange
    from .reading import ReviewedStep

__all__ = ["Limits", "stack_section"]

SIGNS: Final = {
    Operation.CREATE: ("+", "added"),
    Operation.UPDATE: ("~", "changed"),
    Operation.REPLACE: ("±", "replaced"),
    Operation.DELETE: ("-", "deleted"),
    Operation.READ: ("?", "read"),
    Operation.REFRESH: ("↻", "refreshed"),
    Operation.IMPORT: ("=", "adopted"),
}
"""One sign and word per operation, in the order in which they are counted."""
GONE_WORDS: Final = (
    "Its file is gone. Nothing deletes what it deployed: run `labctl destroy` (or `pulumi destroy`) while the file is "
    "still there, before this is merged. What it held counts as destroyed here."
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much of each list is shown."""

    properties: int = 40
    """Changed properties of one resource; 0: no details of properties."""
    names: int = 500
    """Resources by name in one component; 0: counts only."""
    effects: int = 500
    """Hosts, releases, images, outputs."""
    destroyed: int = 2000
    """What would be destroyed, by URN."""
    violations: int = 300
    """Places where a rule is broken."""
    words: int = 6000
    """Characters of an error."""

    @property
    def longest_name(self) -> int:
        """Characters of a stack's name."""
        return min(self.words, 100)

    def shortens(self, reviews: Iterable[StackReview]) -> bool:
        """Tell whether something of `reviews` is left out."""
        full = Limits()
        return self != full and any(review.steps or review.error or review.problems for review in reviews)


def stack_section(review: StackReview, limits: Limits) -> list[str]:
    """Return the part of the comment on one stack that is touched."""
    lines = [f"### {code(review.stack, limits.longest_name)}: {_counted(review)}", ""]
    if review.presence is Presence.GONE:
        lines += [GONE_WORDS, ""]
    elif review.presence is Presence.NEW:
        lines += ["A new stack.", ""]
    if review.error:
        lines += ["**It cannot be rendered**, and nothing else is known of it:", "", *_words(review.error, limits), ""]
        return lines
    if review.base_error:
        lines += ["Before this change it could not be rendered; it is compared with nothing.", ""]
    for problem in review.problems[: max(limits.effects, 1)]:
        lines += ["The preview failed:", "", *_words(problem, limits), ""]
    lines += _destruction(review, limits)
    lines += _policies(review.policies, limits)
    lines += _protections(review, limits)
    lines += _hosts(review, limits)
    lines += _releases(review.releases, limits)
    lines += _images(review.images, limits)
    lines += _resources(review, limits)
    lines += _details(review, limits)
    return lines


def _counted(review: StackReview) -> str:
    if review.error:
        return "not known"
    counts = [f"{count} {word}" for operation, (_, word) in SIGNS.items() if (count := review.counts.get(operation))]
    kept = f"{review.unchanged} as they are"
    return ", ".join([*counts, kept] if review.unchanged else counts) or "no resource changes"


def _words(text: str, limits: Limits) -> list[str]:
    cut = text if len(text) <= limits.words else text[: limits.words - 1] + "…"
    return block(cut.split("\n"))


def _destruction(review: StackReview, limits: Limits) -> list[str]:
    if not review.destroyed:
        return []
    unnamed = review.unnamed
    free = all(item.free for item in review.destroyed)
    names = (
        f"**{len(unnamed)} not named**" if unnamed else "the environment is one to throw away" if free else "all named"
    )
    lines = [f"**Would destroy data or nodes: {len(review.destroyed)}** ({names})", ""]
    lines += [_destroyed_line(item) for item in review.destroyed[: limits.destroyed]]
    lines += _more(len(review.destroyed) - limits.destroyed, "more")
    if unnamed:
        wanted = [f"{KEYWORD}: {item.urn}" for item in unnamed[: limits.destroyed]]
        lines += [
            "",
            "If that is meant, these lines in the description of the pull request name it, outside code blocks:",
        ]
        lines += ["", *block(wanted)]
    return [*lines, ""]


def _destroyed_line(item: Destruction) -> str:
    named = "allowed in this environment" if item.free else "**not named**"
    if item.named_by is not None:
        named = f"named by {code(item.named_by)}"
    protected = ", protected: both engines refuse it until its protection is taken off" if item.protected else ""
    name = urn_name(item.urn)
    called = "" if name in item.what else f"{code(name)}, "
    return f"- {named}: {called}{code(item.what)} {SIGNS[item.operation][1]}{protected}"


def _policies(policies: Policies, limits: Limits) -> list[str]:
    lines: list[str] = []
    if policies.newly_broken:
        stopping = len(mandatory(policies.newly_broken))
        lines += [f"**Breaks rules in {plural(len(policies.newly_broken), 'place')}** ({stopping} mandatory)", ""]
        for item in policies.newly_broken[: limits.violations]:
            place = f" {code(item.path)}" if item.path else ""
            lines.append(
                f"- {item.severity.value}, {code(item.rule)}: {code(urn_name(item.urn))}{place}: "
                f"{code(item.what)}. Right would be: {code(item.remedy)}"
            )
        lines += [*_more(len(policies.newly_broken) - limits.violations, "more"), ""]
    # One exception may be for several places.
    excused = dict.fromkeys((item.urn, item.rule, reason) for item, reason in policies.newly_excused)
    for urn, rule, reason in list(excused)[: limits.violations]:
        lines.append(f"- an exception lets {code(urn_name(urn))} break {code(rule)} from now on: {code(reason)}")
    lines += [""] if excused else []
    sentences: list[str] = []
    if policies.still_broken:
        sentences.append(f"Broken before and still: {plural(len(policies.still_broken), 'place')}.")
    if policies.mended:
        sentences.append(f"No longer broken: {plural(policies.mended, 'place')}.")
    if policies.partly and (sentences or policies.newly_broken):
        sentences.append("Only changed resources were looked at, by the rules that need no others.")
    return [*lines, " ".join(sentences), ""] if sentences else lines


def _protections(review: StackReview, limits: Limits) -> list[str]:
    lost = [urn_name(urn) for urn, protected in review.protections if not protected]
    gained = [urn_name(urn) for urn, protected in review.protections if protected]
    lines: list[str] = []
    if lost:
        lines += [f"**Protection is taken off**: {_listed(lost, limits.effects)}", ""]
    if gained:
        lines += [f"Protected from now on: {_listed(gained, limits.effects)}", ""]
    return lines


def _hosts(review: StackReview, limits: Limits) -> list[str]:
    if not review.commands:
        return []
    by_host: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for command in review.commands:
        by_host[command.host][command.runs].append(command.step)
    where = f" on {plural(len(review.hosts), 'host')}" if review.hosts else ""
    lines = [f"**{plural(len(review.commands), 'command')} would run{where}**", ""]
    for host, runs in list(by_host.items())[: limits.effects]:
        said = "; ".join(f"{what}: {_listed(names, max(limits.names, 3))}" for what, names in runs.items())
        lines.append(f"- {code(host)} {said}")
    return [*lines, *_more(len(by_host) - limits.effects, "more places"), ""]


def _releases(releases: Sequence[ReleaseChange], limits: Limits) -> list[str]:
    if not releases:
        return []
    lines = [f"**Charts**: {plural(len(releases), 'release')}", ""]
    lines += [f"- {code(item.name)}: {_from_to(item.before, item.after)}" for item in releases[: limits.effects]]
    return [*lines, *_more(len(releases) - limits.effects, "more"), ""]


def _images(images: Sequence[ImageChange], limits: Limits) -> list[str]:
    if not images:
        return []
    lines = [f"**Images**: {len(images)}", ""]
    lines += [
        f"- {_from_to(item.before, item.after)} ({_listed(item.resources, 3)})" for item in images[: limits.effects]
    ]
    return [*lines, *_more(len(images) - limits.effects, "more"), ""]


def _from_to(before: str, after: str) -> str:
    if before and after:
        return f"{code(before)} → {code(after)}"
    return f"{code(after)}, new" if after else f"{code(before)}, no longer"


def _resources(review: StackReview, limits: Limits) -> list[str]:
    """Return what changes by component: counts, then names."""
    components: defaultdict[str, list[ReviewedStep]] = defaultdict(list)
    for step in review.steps:
        if step.operation is not Operation.SAME and step.type != STACK_TYPE:
            components[component_of(step.urn)].append(step)
    lines: list[str] = []
    for component, steps in components.items():
        counts = ", ".join(
            f"{count} {word}"
            for operation, (_, word) in SIGNS.items()
            if (count := sum(step.operation is operation for step in steps))
        )
        lines += [f"**{code(component)}**: {counts}", ""]
        ordered = sorted(steps, key=lambda step: (list(SIGNS).index(step.operation), step.type, step.name))
        named = [f"{SIGNS[step.operation][0]} {short_type(step.type)} {step.name}" for step in ordered[: limits.names]]
        rest = len(ordered) - len(named)
        if named:
            lines += [*block([*named, *([f"… and {rest} more"] if rest else [])], "diff"), ""]
    return lines


def _details(review: StackReview, limits: Limits) -> list[str]:
    """Return the changed properties and outputs, folded."""
    lines: list[str] = []
    changing = [
        step for step in review.steps if step.changes and step.operation in (Operation.UPDATE, Operation.REPLACE)
    ]
    if review.outputs and limits.effects:
        shown = output_lines(review.outputs, min(limits.effects, limits.properties or 10))
        lines += fold(f"Outputs that change: {len(review.outputs)}", block(shown, "diff"))
    if not changing:
        return lines
    if not limits.properties:
        return [*lines, f"Properties of {plural(len(changing), 'resource')} change; their details are left out.", ""]
    body: list[str] = []
    for texts, steps in _alike(changing, limits.properties):
        names = _listed([step.name for step in steps], 12)
        body += [f"{SIGNS[steps[0].operation][0]} {code(short_type(steps[0].type))} {names}", *block(texts, "diff"), ""]
    return [*lines, *fold(f"Properties that change, of {plural(len(changing), 'resource')}", body)]


def _alike(steps: Sequence[ReviewedStep], most: int) -> list[tuple[tuple[str, ...], list[ReviewedStep]]]:
    """Return what changes with the resources in which just that changes: a line of a script, once for ten hosts."""
    groups: defaultdict[tuple[str, str, tuple[str, ...]], list[ReviewedStep]] = defaultdict(list)
    for step in steps:
        groups[step.type, step.operation.value, tuple(property_lines(step, most))].append(step)
    return [(texts, group) for (_, _, texts), group in groups.items()]


def _listed(names: Sequence[str], most: int) -> str:
    shown = ", ".join(code(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _more(count: int, what: str) -> list[str]:
    return [f"- … and {count} {what}"] if count > 0 else []
