"""The report as a person reads it: tables with bars beside the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from .reasons import in_words, resource_words
from .report import explanation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from .report import Report
    from .spawns import Usage

__all__ = ["bar", "print_report"]

BAR_CELLS = 24
"""Width of a bar in characters."""
EIGHTHS = " ▏▎▍▌▋▊▉█"
"""A cell filled to so many eighths (Unicode, Block Elements)."""


def bar(share: float, cells: int = BAR_CELLS) -> str:
    """Return a bar filled to a share of 0 to 1, in eighths of a character.

    Examples
    --------
    >>> bar(0.5, 4), bar(0.03, 4)
    ('██  ', '▍   ')
    """
    eighths = round(max(0.0, min(1.0, share)) * cells * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(cells)


def print_report(console: Console, report: Report) -> None:
    """Print everything that was found out."""
    beside = "beside what runs there now" if report.is_running else "in the empty lab"
    if report.away:
        console.print(f"left out, cordoned or not ready: {', '.join(report.away)}", markup=False)
    if report.usage is not None:
        _print_usage(console, report.usage, report.remarks)
    table = Table("profile", "fit now", "", "asks for", title=f"{report.stack}: how many of each, alone, {beside}")
    most = max(report.counts.values(), default=0) or 1
    for profile in report.profiles:
        count = report.counts[profile.slug]
        asks = ", ".join(_asks(dict(profile.shape.requests), report))
        table.add_row(profile.slug, str(count), bar(count / most), asks)
    console.print(table)
    _print_full(console, report, beside)
    if report.proposal is not None:
        console.print("\nlayouts of the GPUs for this demand", style="bold")
        for sentence in explanation(report.proposal):
            console.print(f"  {sentence}", markup=False)
        if report.proposal.is_better:
            console.print("\nlines of the stack file:", style="bold")
            for line in report.proposal.lines:
                console.print(line, markup=False)
    console.print(f"\n{report.nodes} nodes, {report.seconds:.1f} s", style="dim", markup=False)


def _asks(requests: dict[str, int], report: Report) -> Iterator[str]:
    for resource, amount in sorted(requests.items(), key=lambda item: "/" in item[0]):
        if amount:
            yield f"{_amount(resource, amount)} {resource_words(resource, report.slices)}".removesuffix(" memory")


def _print_full(console: Console, report: Report, beside: str) -> None:
    full, demand = report.full, report.demand
    title = f"full with {full.total} users ({demand.source}), {beside}"
    table = Table("resource", "used", "of", "", "", title=title)
    for taken in full.utilisation:
        table.add_row(
            resource_words(taken.resource, report.slices),
            _amount(taken.resource, taken.used),
            _amount(taken.resource, taken.whole),
            bar(taken.share),
            f"{taken.share:.0%}",
        )
    console.print(table)
    mixture = ", ".join(f"{count} {slug}" for slug, count in full.users.items())
    console.print(f"users: {mixture or 'none'}", markup=False)
    console.print(f"first refused: {full.refusal.slug}; {in_words(full.refusal, report.slices)}", markup=False)
    console.print(f"the scheduler said: {full.refusal.message}", style="dim", markup=False)
    if full.by_scheduler < full.total:
        console.print(
            f"the first {full.total - full.by_scheduler} of them were placed by the model, the others by the scheduler",
            style="dim",
            markup=False,
        )
    if report.multiple is not None:
        verdict = "is served" if report.is_served else "is not served"
        text = f"the demand of {demand.total} users {verdict}; the lab is full at {report.multiple:.2f} times it"
        console.print(text, style="green" if report.is_served else "red", markup=False)


def _print_usage(console: Console, usage: Usage, remarks: tuple[str, ...]) -> None:
    console.print(
        f"past spawns: {usage.spawns} by {usage.users} users; most at once {usage.peak} "
        f"({usage.peak_at:%Y-%m-%d %H:%M} UTC), 95 % of the time at most {usage.percentile}",
        markup=False,
    )
    table = Table("profile", "at the peak", "own peak", "95 %", title="users at once")
    for profile, peak in usage.peaks.items():
        table.add_row(
            profile or "(not named)", str(usage.at_peak.get(profile, 0)), str(peak), str(usage.percentiles[profile])
        )
    console.print(table)
    for remark in remarks:
        console.print(f"  {remark}", style="yellow", markup=False)


def _amount(resource: str, amount: int) -> str:
    """Return an amount as people read it: cores, GiB, pieces."""
    if resource == "cpu":
        return f"{amount / 1000:g}"
    if resource in {"memory", "ephemeral-storage"}:
        return f"{amount / 2**30:,.0f} GiB" if amount >= 2**33 else f"{amount / 2**30:.1f} GiB"
    return str(amount)
