"""Whether a change passes.

The first of these that applies decides, in this order: a stack that cannot be rendered says nothing of what it would
destroy, and what destroys weighs more than what breaks a rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.exit_codes import ExitCode
from labctl.graph.rules import mandatory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .changes import StackReview

__all__ = ["Verdict", "verdict_of"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the check says."""

    invalid: tuple[str, ...] = ()
    """Stacks that cannot be rendered."""
    unnamed: int = 0
    """Resources that would be destroyed and are not named."""
    failed: tuple[str, ...] = ()
    """Stacks of whose preview the engine reported an error."""
    broken: int = 0
    """Places where the change breaks a mandatory rule."""

    @property
    def exit_code(self) -> ExitCode:
        """Code of the first that applies."""
        if self.invalid:
            return ExitCode.INVALID
        if self.unnamed:
            return ExitCode.REFUSED
        if self.broken:
            return ExitCode.POLICY
        return ExitCode.FAILED if self.failed else ExitCode.OK

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every reason not to pass, in words, the deciding one first."""
        return self.described(", ".join)

    def described(self, names: Callable[[Sequence[str]], str]) -> tuple[str, ...]:
        """Return the reasons, with `names` to write the stacks' names with."""
        found = (
            (self.invalid, f"cannot be rendered: {names(self.invalid)}"),
            (self.unnamed, f"destroys what is not named: {self.unnamed}"),
            (self.broken, f"breaks mandatory rules in places: {self.broken}"),
            (self.failed, f"previews failed: {names(self.failed)}"),
        )
        return tuple(words for applies, words in found if applies)


def verdict_of(reviews: Sequence[StackReview]) -> Verdict:
    """Return the verdict over all stacks together."""
    return Verdict(
        invalid=tuple(review.stack for review in reviews if review.error),
        unnamed=sum(len(review.unnamed) for review in reviews),
        failed=tuple(review.stack for review in reviews if review.problems),
        broken=sum(len(mandatory(review.policies.newly_broken)) for review in reviews),
    )
