"""What a directory says -> the table: who is in it, who is left out, and when nothing changes."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.hub.files.identity_sync.cluster import StoredTable, TableObject
from components.hub.files.identity_sync.errors import (
    DirectoryError,
    NobodyFoundError,
    RoundError,
    TableTooLargeError,
    TooManyLostError,
)
from components.hub.files.identity_sync.rounds import Sync, read_password
from components.hub.files.identity_sync.table import DirectoryGroup, Person, Rules, Snapshot, decide
from components.hub.files.lab_hub.identity import GROUPS_KEY, MOST_TABLE_BYTES, Identity, table_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from components.hub.files.identity_sync.settings import DirectorySettings, SyncSettings

RULES = Rules((1000, 59999), (1000, 59999), 50)


def person(name: str, uid: object, gid: object = 100, dn: str = "") -> Person:
    return Person(dn or f"uid={name},ou=people", (name,), (str(uid),), (str(gid),))


def group(name: str, gid: object, *members: str) -> DirectoryGroup:
    return DirectoryGroup(f"cn={name},ou=groups", (name,), (str(gid),), frozenset(members))


def rows(*people: Person, groups: tuple[DirectoryGroup, ...] = ()) -> dict[str, str]:
    return decide(people, groups, {}, RULES).table


def test_people_and_their_groups() -> None:
    lab, imaging = group("lab", 5000, "ada"), group("imaging", 6001, "ada", "bo", "stranger")
    table = rows(person("Ada", 5001, 5000), person("bo@lab.org", 5002), groups=(lab, imaging, group("x", 6002, "bo")))
    assert table == {
        "ada": "ada:5001:5000:imaging=6001",
        "bo-40lab.org": "bo@lab.org:5002:100:",
        GROUPS_KEY: "lab=5000",
    }


def test_the_same_people_in_any_order_are_the_same_table() -> None:
    people = [person(f"user{number}", 2000 + number) for number in range(20)]
    groups = [group(f"g{number}", 6000 + number, *(f"user{each}" for each in range(number))) for number in range(9)]
    table = decide(people, groups, {}, RULES).table
    assert decide(people[::-1], groups[::-1], table, RULES).table == table


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (person("root", 5009), "every image has another user root"),
        (person("a b", 5009), "is no user name"),
        (person("a:b", 5009), "is no user name"),
        (person("x" * 300, 5009), "has a key of 300 characters"),
        (person("eve", 0), "the user id 0 is not a person's"),
        (person("eve", 999), "the user id 999 is not a person's"),
        (person("eve", 60000), "the user id 60000 is not a person's"),
        (person("eve", 5009, 0), "the group id 0 is not a person's"),
        (person("eve", 5009, 27), "the group id 27 is not a person's"),
        (person("eve", "-1"), "'-1' is no user id"),
        (person("eve", "0x10"), "'0x10' is no user id"),
        (person("eve", "\u0665\u0660"), "is no user id"),
        (Person("uid=eve", ("eve",), (), ("100",)), "it has 0 user ids and not one"),
        (Person("uid=eve", ("eve",), ("5009", "5010"), ("100",)), "it has 2 user ids and not one"),
        (Person("uid=eve", ("eve", "mallory"), ("5009",), ("100",)), "it has 2 user names and not one"),
    ],
)
def test_whoever_cannot_be_somebody_is_left_out_and_said(odd: Person, why: str) -> None:
    decision = decide([person("ada", 5001), odd], (), {}, RULES)
    assert set(decision.table) == {"ada"}
    (said,) = decision.left_out
    assert said.startswith(odd.dn)
    assert why in said


def test_nobodys_ids_are_nobodys_in_any_range() -> None:
    wide = Rules((1000, 2**31 - 1), (1000, 2**31 - 1), 50)
    decision = decide([person("ada", 65533), person("bo", 65534), person("cy", 65535)], (), {}, wide)
    assert set(decision.table) == {"ada"}


def test_two_with_one_user_id_are_both_left_out() -> None:
    decision = decide([person("ada", 5001), person("bo", 5002), person("cy", 5002)], (), {}, RULES)
    assert set(decision.table) == {"ada"}
    assert decision.left_out == ["bo: the user id 5002 is cy's too", "cy: the user id 5002 is bo's too"]


def test_of_two_with_one_user_id_the_one_who_had_it_keeps_it() -> None:
    before = {"bo": "bo:5002:100:", "ada": "ada:5001:100:"}
    decision = decide([person("ada", 5001), person("bo", 5002), person("mallory", 5002)], (), before, RULES)
    assert set(decision.table) == {"ada", "bo"}
    assert decision.left_out == ["mallory: the user id 5002 is bo's too"]


def test_one_name_for_two_people_is_nobodys() -> None:
    people = [person("ada", 5001, dn="a"), person("ADA", 5002, dn="b"), person("bo", 5003)]
    decision = decide(people, (), {}, RULES)
    assert set(decision.table) == {"bo"}
    assert decision.left_out == ["ada: is the user name of a and b"]


def test_a_renamed_user_keeps_the_user_id_under_the_new_name() -> None:
    before = {"ada": "ada:5001:100:", "bo": "bo:5002:100:", "cy": "cy:5003:100:"}
    decision = decide([person("ada-lovelace", 5001), person("bo", 5002), person("cy", 5003)], (), before, RULES)
    assert decision.table["ada-2dlovelace"] == "ada-lovelace:5001:100:"
    assert "ada" not in decision.table


def test_groups_are_counted_by_id_whatever_they_are_called() -> None:
    groups = (
        group("a,b=c:d", 6001, "ada"),
        group("#x", 6002, "ada"),
        group("same", 6003, "ada"),
        DirectoryGroup("cn=same,ou=other", ("same",), ("6004",), frozenset({"ada"})),
        DirectoryGroup("cn=nameless", (), ("6005",), frozenset({"ada"})),
        group("system", 27, "ada"),
        group("alias", 6003, "ada"),
    )
    decision = decide([person("ada", 5001)], groups, {}, RULES)
    identity = Identity.parse(decision.table["ada"])
    assert identity.gids == (6001, 6002, 6003, 6004, 6005)
    assert [name for name, _ in identity.groups][:2] == ["a_b_c_d", "_x"]
    assert decision.left_out == [
        "cn=system,ou=groups: the group id 27 is not a person's: these are 1000 to 59999, without 65534 and 65535"
    ]


def test_half_may_go_and_no_more() -> None:
    before = rows(*(person(f"user{number}", 2000 + number) for number in range(10)))
    half = [person(f"user{number}", 2000 + number) for number in range(5)]
    assert decide(half, (), before, RULES).users == 5
    with pytest.raises(TooManyLostError, match=r"6 of 10 users .* \(user4, user5, user6, user7, user8, \.\.\.\)"):
        decide(half[:4], (), before, RULES)
    assert decide(half[:1], (), before, Rules(RULES.uids, RULES.gids, 100)).users == 1


def test_who_would_change_the_user_id_counts_as_lost() -> None:
    before = rows(*(person(f"user{number}", 2000 + number) for number in range(10)))
    renumbered = [person(f"user{number}", 3000 + number) for number in range(10)]
    with pytest.raises(TooManyLostError, match="10 of 10"):
        decide(renumbered, (), before, RULES)


@given(st.integers(0, 100), st.integers(1, 60), st.data())
def test_never_more_are_lost_than_allowed(most: int, known: int, data: st.DataObject) -> None:
    before = rows(*(person(f"user{number}", 2000 + number) for number in range(known)))
    kept = data.draw(st.sets(st.integers(0, known - 1)))
    rules = Rules(RULES.uids, RULES.gids, most)
    people = [person(f"user{number}", 2000 + number) for number in kept]
    if (known - len(kept)) * 100 > most * known:
        with pytest.raises(TooManyLostError):
            decide(people, (), before, rules)
    else:
        assert decide(people, (), before, rules).users == len(kept)


def test_a_table_that_would_not_fit_is_refused_with_its_size() -> None:
    groups = tuple(
        group(f"project-number-{number}", 6000 + number, *(f"user{each}" for each in range(5000)))
        for number in range(9)
    )
    people = [person(f"user{number}", 2000 + number) for number in range(5000)]
    with pytest.raises(TableTooLargeError, match=f"5000 users .* one ConfigMap holds {MOST_TABLE_BYTES}"):
        decide(people, groups, {}, RULES)
    assert table_bytes(decide(people, groups[:8], {}, RULES).table) <= MOST_TABLE_BYTES


class Stored:
    """A table's ConfigMap that lies in memory."""

    def __init__(self, table: StoredTable | None = None) -> None:
        self.table, self.writes, self.stamps = table, 0, 0

    def read(self) -> StoredTable | None:
        return self.table

    def write(self, rows: dict[str, str]) -> None:
        self.table = StoredTable(rows, self.table.last_good_read if self.table else None)
        self.writes += 1

    def stamp(self, moment: str) -> None:
        assert self.table is not None
        self.table = StoredTable(self.table.rows, moment)
        self.stamps += 1


SETTINGS = cast(
    "SyncSettings",
    {
        "directory": {"users": {"base": "ou=people", "filter": "(a=b)"}},
        "uids": [1000, 59999],
        "gids": [1000, 59999],
        "mostLost": 50,
    },
)
NOON = dt.datetime(2027, 1, 1, 12, tzinfo=dt.UTC)


class Bed:
    """A sync whose directory says what it is told to."""

    def __init__(self) -> None:
        self.stored, self.people, self.problem = Stored(), [person("ada", 5001)], None
        self.problem: Exception | None = None
        self.sync = Sync(SETTINGS, cast("TableObject", self.stored), self._read, logging.getLogger("sync"))

    def _read(self, _settings: DirectorySettings, _password: str | None) -> Snapshot:
        if self.problem is not None:
            raise self.problem
        return Snapshot(tuple(self.people), ())

    def round(self, minutes: int = 0) -> bool:
        return self.sync.once(None, NOON + dt.timedelta(minutes=minutes))


def test_only_what_changed_is_written() -> None:
    bed = Bed()
    assert bed.round()
    assert bed.stored.table == StoredTable({"ada": "ada:5001:100:"}, "2027-01-01T12:00:00Z")
    assert not bed.round(5)
    assert (bed.stored.writes, bed.stored.stamps) == (1, 1)
    assert not bed.round(15)
    assert (bed.stored.writes, bed.stored.stamps) == (1, 2), "the note of the last good read is renewed now and then"
    bed.people.append(person("bo", 5002))
    assert bed.round(16)
    assert (bed.stored.writes, bed.stored.stamps) == (2, 3)


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_directory_that_is_away_or_empty_changes_nothing(*, is_empty: bool) -> None:
    bed = Bed()
    bed.round()
    before = bed.stored.table
    if is_empty:
        bed.people = []
    else:
        bed.problem = DirectoryError("ldap.lab", 636, OSError("away"))
    with pytest.raises(RoundError):
        bed.round(30)
    assert bed.stored.table == before


def test_an_empty_directory_makes_no_first_table() -> None:
    bed = Bed()
    bed.people = []
    with pytest.raises(NobodyFoundError, match="nobody with ids is below ou=people"):
        bed.round()
    assert bed.stored.table is None


def test_who_is_left_out_is_said_once_until_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    bed = Bed()
    bed.people.append(person("eve", 0))
    for minute in range(3):
        bed.round(minute)
    assert caplog.text.count("left out: uid=eve") == 1
    bed.people.pop()
    bed.round(4)
    bed.people.append(person("eve", 0))
    bed.round(5)
    assert caplog.text.count("left out: uid=eve") == 2


def test_a_password_is_all_of_its_file_but_the_end_of_the_line(tmp_path: Path) -> None:
    path = tmp_path / "password"
    assert read_password(path) is None
    path.write_text(" s3cret \n")
    assert read_password(path) == " s3cret "
