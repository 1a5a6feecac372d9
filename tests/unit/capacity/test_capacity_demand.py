"""Demand files, and the order in which their users arrive."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capacity.demand import arrivals, even_demand, load_demand, shared_out
from labctl.capacity.errors import DemandError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

SLUGS = ("minimal", "gpu-small", "gpu-half")
SHARES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 50).map(float), min_size=1)


def written(folder: Path, text: str) -> Path:
    path = folder / "demand.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_users_by_profile(tmp_path: Path) -> None:
    demand = load_demand(written(tmp_path, "users: {minimal: 20, gpu-small: 8, gpu-half: 0}\n"), SLUGS)
    assert demand.users == {"minimal": 20, "gpu-small": 8}
    assert demand.shares == {"minimal": 20.0, "gpu-small": 8.0}
    assert demand.total == 28


def test_shares_of_a_total(tmp_path: Path) -> None:
    demand = load_demand(written(tmp_path, "shares: {minimal: 3, gpu-small: 0.5}\ntotal: 70\n"), SLUGS)
    assert demand.users == {"minimal": 60, "gpu-small": 10}


def test_shares_alone_are_a_mixture(tmp_path: Path) -> None:
    demand = load_demand(written(tmp_path, "shares: {minimal: 3, gpu-small: 1}\n"), SLUGS)
    assert demand.users is None
    assert demand.total is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("users: {gpu-smal: 3}\n", r"users.gpu-smal \(line 1\).*did you mean gpu-small"),
        ("users: {minimal: 1}\nshares: {minimal: 1}\n", "both users and shares"),
        ("total: 5\n", "neither users nor shares"),
        ("users: {minimal: 1}\ntotal: 5\n", r"total \(line 2\): users say the total already"),
        ("users: {minimal: -1}\n", r"users.minimal \(line 1\)"),
        ("users: {minimal: many}\n", r"users.minimal \(line 1\)"),
        ("users: {minimal: 0}\n", "nobody is to be served"),
        ("people: {minimal: 1}\n", r"people \(line 1\)"),
        ("users: {minimal: 1\n", "line"),
        ("- minimal\n", "the whole file"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DemandError, match=told) as caught:
        load_demand(written(tmp_path, text), SLUGS)
    assert caught.value.exit_code is ExitCode.INVALID


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DemandError, match="No such file"):
        load_demand(tmp_path / "none.yaml", SLUGS)


@given(shares=SHARES, total=st.integers(1, 3000))
def test_everybody_of_a_total_has_a_profile(shares: dict[str, float], total: int) -> None:
    users = shared_out(shares, total)
    assert sum(users.values()) == total
    whole = sum(shares.values())
    assert all(abs(users.get(slug, 0) - total * share / whole) < 1 for slug, share in shares.items())


@given(shares=SHARES, count=st.integers(1, 400))
def test_at_any_time_the_shares_hold_to_within_one_user_per_profile(shares: dict[str, float], count: int) -> None:
    came = list(islice(arrivals(shares), count))
    whole = sum(shares.values())
    for slug, share in shares.items():
        assert abs(came.count(slug) - count * share / whole) <= len(shares)


def test_even_demand_takes_turns() -> None:
    assert list(islice(arrivals(even_demand(SLUGS).shares), 6)) == [*SLUGS, *SLUGS]
