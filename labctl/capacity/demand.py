"""Who is to be served: users per profile, from a file, from past spawns, or as many of each profile as of any other."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError

from components.model import Model
from components.problems import Problem
from stacks.reading import read_yaml

from .errors import DemandError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from components.problems import Path as DataPath

__all__ = ["Demand", "DemandFile", "arrivals", "even_demand", "load_demand", "shared_out"]

LARGEST = 1_000_000
"""Users of one profile at once: beyond any lab, below any mistake of unit."""

FINEST = 10_000
"""Shares count to a ten-thousandth."""

Share = Annotated[float, Field(ge=0, le=LARGEST)]


class DemandFile(Model):
    """A demand as people write it: users at once by profile, or shares and how many users they are of."""

    users: dict[str, Annotated[int, Field(ge=0, le=LARGEST)]] | None = Field(
        default=None, description="Users at once, by profile's slug."
    )
    shares: dict[str, Share] | None = Field(
        default=None, description="Parts of all users by profile's slug; any numbers, only their proportion counts."
    )
    total: int | None = Field(
        default=None,
        ge=1,
        le=LARGEST,
        description="All users at once, with shares; without it only the mixture counts.",
    )


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is asked of a lab."""

    source: str
    """Where it comes from, for people."""
    shares: Mapping[str, float]
    """Part of the users by profile's slug, in proportion; each above 0."""
    users: Mapping[str, int] | None
    """Users at once by profile's slug; None where only the mixture is known."""

    @property
    def total(self) -> int | None:
        """All users at once, where it is known."""
        return None if self.users is None else sum(self.users.values())


def even_demand(slugs: Sequence[str]) -> Demand:
    """Return the demand of somebody who knows nothing: as many users of each profile as of any other."""
    return Demand(source="as many of each profile", shares=dict.fromkeys(slugs, 1.0), users=None)


def load_demand(path: Path, slugs: Sequence[str]) -> Demand:
    """Return the demand a file describes.

    Parameters
    ----------
    path
        YAML; see `DemandFile`.
    slugs
        Profiles there are.

    Raises
    ------
    DemandError
        With everything that is wrong, each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise DemandError(str(path), [Problem(path=(), what=reason, remedy="name a file of YAML")]) from error
    document = read_yaml(text)
    if document.problems:
        raise DemandError(str(path), document.problems)
    try:
        found = DemandFile.model_validate(document.value, by_alias=True, by_name=False)
    except ValidationError as error:
        problems = [
            Problem(
                path=tuple(detail["loc"]),
                what=detail["msg"],
                remedy="write users: {profile: 3}, or shares: {profile: 3} with total: 76",
                line=document.lines.get(tuple(detail["loc"])),
            )
            for detail in error.errors(include_url=False)
        ]
        raise DemandError(str(path), problems) from error
    problems = list(_problems(found, slugs, document.lines))
    if problems:
        raise DemandError(str(path), problems)
    return _demand(str(path), found)


def _problems(found: DemandFile, slugs: Sequence[str], lines: Mapping[DataPath, int]) -> Iterator[Problem]:
    if (found.users is None) == (found.shares is None):
        what = "both users and shares are given" if found.users is not None else "neither users nor shares are given"
        yield Problem(path=(), what=what, remedy="give one of them")
    if found.users is not None and found.total is not None:
        yield Problem(path=("total",), what="users say the total already", remedy="drop it", line=lines.get(("total",)))
    for section, given in (("users", found.users), ("shares", found.shares)):
        if given is not None and not any(given.values()):
            yield Problem(path=(section,), what="nobody is to be served", remedy="give at least one profile a user")
        for slug in given or ():
            if slug not in slugs:
                near = get_close_matches(slug, slugs, n=1, cutoff=0.4)
                yield Problem(
                    path=(section, slug),
                    what=f"the hub has no profile {slug}, or no GPU offers its slice",
                    remedy=f"did you mean {near[0]}?" if near else f"choose among {', '.join(slugs)}",
                    line=lines.get((section, slug)),
                )


def _demand(source: str, found: DemandFile) -> Demand:
    given: Mapping[str, float] = found.users if found.users is not None else found.shares or {}
    shares = {slug: float(share) for slug, share in given.items() if share}
    users = {slug: count for slug, count in found.users.items() if count} if found.users is not None else None
    if found.total is not None:
        users = shared_out(shares, found.total)
    return Demand(source=source, shares=shares, users=users)


def shared_out(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Return `total` users in proportion to the shares, whole ones, by largest remainder.

    Examples
    --------
    >>> shared_out({"a": 2, "b": 1}, 10)
    {'a': 7, 'b': 3}
    """
    whole = sum(shares.values())
    exact = {slug: total * share / whole for slug, share in shares.items()}
    given = {slug: int(part) for slug, part in exact.items()}
    left = total - sum(given.values())
    for slug in sorted(exact, key=lambda slug: given[slug] - exact[slug])[:left]:
        given[slug] += 1
    return {slug: count for slug, count in given.items() if count}


def arrivals(shares: Mapping[str, float]) -> Iterator[str]:
    """Yield profiles without end, so that after every user each profile has its share to within one.

    Who is furthest behind its share comes next; of two that are equally far the first named.
    """
    # Whole numbers in the shares' proportion: sums of fractions would drift, and break ties by rounding.
    exact = {slug: Fraction(share).limit_denominator(FINEST) for slug, share in shares.items()}
    common = lcm(*(share.denominator for share in exact.values()))
    parts = [(slug, int(share * common)) for slug, share in exact.items()]
    whole = sum(part for _, part in parts)
    behind = dict.fromkeys(shares, 0)
    while True:
        for slug, part in parts:
            behind[slug] += part
        chosen = max(behind, key=behind.__getitem__)
        behind[chosen] -= whole
        yield chosen
