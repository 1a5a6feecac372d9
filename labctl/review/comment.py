"""The one comment on a pull request, short enough whatever happens.

What matters comes first: whether the change passes and why not, what would be destroyed, which rules it breaks. Where
it would get too long, the details of properties go first, then names; counts, destruction and rules stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .changes import Presence
from .markdown import cell, code, plural
from .reading import Operation
from .sections import Limits, stack_section
from .verdict import verdict_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .changes import StackReview

__all__ = ["LONGEST_COMMENT", "Subject", "comment_on", "marker"]

LONGEST_COMMENT: Final = 60_000
"""Characters; GitHub refuses a comment of more than 65,536."""
LEVELS: Final = (
    Limits(),
    Limits(properties=12),
    Limits(properties=4, names=60),
    Limits(properties=0, names=60),
    Limits(properties=0, names=20, effects=60),
    Limits(properties=0, names=5, effects=20, destroyed=200, words=1500),
    Limits(properties=0, names=0, effects=5, destroyed=60, violations=60, words=600),
    Limits(properties=0, names=0, effects=0, destroyed=20, violations=20, words=200),
    Limits(properties=0, names=0, effects=0, destroyed=5, violations=5, words=100),
)
"""From everything to the least; the first that is short enough is taken."""
MOST_STACKS: Final = 60
"""Stacks with a section of their own; of more only the table's line is shown, worst first."""
MOST_NAMED, MOST_LETTERS = 30, 60
"""Stacks listed by name in a sentence, and characters of each name."""
SIGNS: Final = (
    (Operation.CREATE, "added"),
    (Operation.UPDATE, "changed"),
    (Operation.REPLACE, "replaced"),
    (Operation.DELETE, "deleted"),
)
"""Columns of the table."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What was reviewed, in words."""

    kind: str
    """Part of the marker that a workflow finds its comment by: ``revisions`` or ``previews``."""
    words: str
    """One sentence of our own: what was compared with what, pieces from outside in code."""
    command: str
    """Command that shows all of it."""
    notes: tuple[str, ...] = ()
    """More sentences of our own."""


def marker(kind: str) -> str:
    """Return the first line of a comment, by which the next run finds it."""
    return f"<!-- labctl review: {kind} -->"


def comment_on(reviews: Sequence[StackReview], subject: Subject) -> str:
    """Return the comment, in Markdown, of at most `LONGEST_COMMENT` characters."""
    text = ""
    for limits in LEVELS:
        text = _comment(reviews, subject, limits)
        if len(text) <= LONGEST_COMMENT:
            return text
    last = f"\n\nCut here. All of it: {code(subject.command)}\n"
    return _whole_lines(text, LONGEST_COMMENT - len(last)) + last


def _whole_lines(text: str, longest: int) -> str:
    """Return the beginning of `text`, cut between paragraphs, so that no block stays open."""
    lines: list[str] = []
    used = 0
    for line in text.split("\n"):
        used += len(line) + 1
        if used > longest or line.startswith(("<details", "```")):
            break
        lines.append(line)
    return "\n".join(lines).rstrip()


def _comment(reviews: Sequence[StackReview], subject: Subject, limits: Limits) -> str:
    verdict = verdict_of(reviews)
    touched = sorted((review for review in reviews if review.touched), key=_weight)
    untouched = [review for review in reviews if not review.touched]
    lines = [marker(subject.kind), f"## {_headline(reviews, touched)}", ""]
    if verdict.reasons:
        why = "; ".join(verdict.described(_names))
        lines += [f"**The check does not pass** (exit {int(verdict.exit_code)}): {why}.", ""]
    lines += [subject.words, *subject.notes, ""]
    if touched:
        lines += [*_table(touched, limits), ""]
    if untouched:
        kept = sum(review.unchanged for review in untouched)
        names = _names([review.stack for review in untouched])
        lines += [f"Not touched: {names} ({plural(kept, 'resource')} as they are).", ""]
        lines += _standing_faults(untouched)
    for review in touched[:MOST_STACKS]:
        lines += stack_section(review, limits)
    if limits.shortens(touched):
        lines += [f"Shortened to fit a comment. All of it: {code(subject.command)}", ""]
    return "\n".join(lines).rstrip() + "\n"


def _names(stacks: Sequence[str]) -> str:
    """Return the names of a few stacks, in code: a stack is called what its file is called."""
    shown = ", ".join(code(stack, MOST_LETTERS) for stack in stacks[:MOST_NAMED])
    return shown + (f" and {len(stacks) - MOST_NAMED} more" if len(stacks) > MOST_NAMED else "")


def _headline(reviews: Sequence[StackReview], touched: Sequence[StackReview]) -> str:
    if not reviews:
        return "There are no stacks"
    if not touched:
        return "Nothing changes: 0 resources in " + plural(len(reviews), "stack")
    failing = sum(review.error is not None for review in touched)
    unknown = f"{plural(failing, 'stack')} cannot be rendered" if failing else ""
    known = [review for review in touched if review.error is None]
    if not known:
        return unknown
    changing = sum(sum(review.counts.values()) for review in known)
    hosts = len({(review.stack, host) for review in touched for host in review.hosts})
    commands = f", commands on {plural(hosts, 'host')}" if hosts else ""
    counted = f"{plural(changing, 'resource')} in {len(known)} of {plural(len(reviews), 'stack')}{commands}"
    return f"{unknown}; {counted}" if unknown else counted


def _weight(review: StackReview) -> tuple[bool, bool, bool, str]:
    """Return what sorts the worst first."""
    return not review.error, not review.unnamed, not review.policies.newly_broken, review.stack


def _table(reviews: Sequence[StackReview], limits: Limits) -> list[str]:
    lines = [
        "| stack | " + " | ".join(word for _, word in SIGNS) + " | hosts | |",
        "| --- |" + " ---: |" * (len(SIGNS) + 1) + " --- |",
    ]
    most = MOST_STACKS * 5
    for review in reviews[:most]:
        numbers = [*(review.counts.get(operation, 0) for operation, _ in SIGNS), len(review.hosts)]
        counts = " | ".join("?" if review.error else str(number) for number in numbers)
        lines.append(f"| {cell(review.stack, limits.longest_name)} | {counts} | {_remark(review)} |")
    if len(reviews) > most:
        lines.append(f"| {len(reviews) - most} more | | | | | | |")
    return lines


def _remark(review: StackReview) -> str:
    """Return the most important thing about a stack, in a few words of our own."""
    remarks = [
        "**cannot be rendered**" if review.error else "",
        "new"
        if review.presence is Presence.NEW
        else "**its file is gone**"
        if review.presence is Presence.GONE
        else "",
        f"**destroys {len(review.unnamed)} not named**" if review.unnamed else "",
        f"destroys {len(review.destroyed)}, allowed" if review.destroyed and not review.unnamed else "",
        f"**breaks rules: {len(review.policies.newly_broken)}**" if review.policies.newly_broken else "",
        "**the preview failed**" if review.problems else "",
        "could not be rendered before" if review.base_error else "",
    ]
    return ", ".join(remark for remark in remarks if remark)


def _standing_faults(reviews: Sequence[StackReview]) -> list[str]:
    """Return a line for stacks that break rules whether this change comes or not."""
    count = sum(len(review.policies.still_broken) for review in reviews)
    return [f"They break rules in {plural(count, 'place')}, as before.", ""] if count else []
