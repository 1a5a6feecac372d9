"""How long a certificate still holds, judged. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from labctl.doctor.findings import problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from labctl.doctor.findings import Finding

__all__ = ["SOON", "URGENT", "days", "expiry"]

SOON: Final = timedelta(days=30)
"""Warned of: kubeadm's certificates hold a year, and renewing takes planning. As `labctl drift` does."""
URGENT: Final = timedelta(days=7)
"""A problem: whatever renews it by itself should long have done so, and a week has a weekend in it."""


def expiry(
    subject: str, not_after: datetime, now: datetime, remedy: str, *, soon: timedelta = SOON
) -> Iterator[Finding]:
    """Yield what is wrong with a certificate's end, if anything.

    Parameters
    ----------
    subject
        What shows or holds it.
    not_after
        Its end.
    now
        The time it is judged at.
    remedy
        What renews it.
    soon
        From how long before its end on it is warned of.
    """
    left = not_after - now
    if left <= timedelta():
        yield problem(subject, f"its certificate expired on {not_after:%Y-%m-%d %H:%M} UTC", remedy)
    elif left < URGENT:
        yield problem(subject, f"its certificate expires in {days(left)}", remedy)
    elif left < soon:
        yield warning(subject, f"its certificate expires in {days(left)}", remedy)


def days(left: timedelta) -> str:
    """Return a span in words: ``12 days``, ``1 day``, ``5 hours``."""
    count, word = (left.days, "day") if left.days else (int(left.total_seconds()) // 3600, "hour")
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
