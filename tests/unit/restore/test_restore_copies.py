"""Which copies there are by a host's word, and which is taken."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.restore.copies import Copy, Found, Source, choose, of_host, read_found, read_time
from labctl.restore.errors import AmbiguousCopiesError, MalformedTimeError, NoCopyError

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
IDS = ("aaaa1111bbbb", "cccc2222dddd")


def local(hours: int) -> Copy:
    return Copy(source=Source.LOCAL, id=f"tank/h@autosnap_{hours}", time=NOON + timedelta(hours=hours))


def remote(hours: int, name: str = IDS[0], host: str = "store-1") -> Copy:
    return Copy(source=Source.REPOSITORY, id=name, time=NOON + timedelta(hours=hours), host=host)


def entry(time: str, name: str = IDS[0], host: str = "store-1") -> dict[str, object]:
    return {"id": name, "time": time, "hostname": host, "tags": ["research-compute-data"]}


class TestReading:
    def test_all_kinds(self) -> None:
        found = read_found(
            [
                ("there", "tank/h"),
                ("local", "tank/h@autosnap_1", "creation", str(int(NOON.timestamp()))),
                ("local", "tank/h@autosnap_1", "referenced", "4096"),
                ("host", "bed"),
                ("of", "store-1"),
                ("repository", json.dumps([entry("2026-11-20T11:00:00.123456789Z")])),
            ]
        )
        assert (found.own, found.is_there, found.no_repository) == ("store-1", True, None)
        first, second = found.copies
        assert (first.source, first.time) == (Source.REPOSITORY, datetime(2026, 11, 20, 11, 0, 0, 123456, UTC))
        assert (second.id, second.bytes, second.short) == ("tank/h@autosnap_1", 4096, "autosnap_1")
        assert second.label == "restored-20261120T120000Z"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2026-11-20T12:00:00Z", NOON),
            ("2026-11-20T14:00:00+02:00", NOON),
            ("2026-11-20T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
            ("2026-11-20T14:00:00.000000001+02:00", NOON),
        ],
    )
    def test_restic_s_times(self, text: str, expected: datetime) -> None:
        (copy,) = read_found([("repository", json.dumps([entry(text)]))]).copies
        assert copy.time == expected

    def test_no_repository(self) -> None:
        found = read_found([("no-repository", "there is no repository yet")])
        assert (found.copies, found.no_repository, found.is_there) == ((), "there is no repository yet", False)

    @given(st.lists(st.lists(st.text(max_size=12), max_size=5)))
    def test_whatever_a_host_says_is_no_failure(self, records: list[list[str]]) -> None:
        assert all(isinstance(copy, Copy) for copy in read_found(records).copies)

    @pytest.mark.parametrize("text", ["", "{", "null", '[1, {}, {"id": 1}]', '{"id": "a"}'])
    def test_a_repository_that_babbles(self, text: str) -> None:
        assert read_found([("repository", text)]).copies == ()


class TestChoosing:
    @pytest.mark.parametrize(
        ("at", "name", "source", "expected"),
        [
            (None, None, None, local(3)),
            (2, None, None, remote(2)),
            (1, None, None, local(1)),
            (None, None, Source.REPOSITORY, remote(2)),
            (1, None, Source.REPOSITORY, remote(0, IDS[1])),
            (None, "autosnap_1", None, local(1)),
            (None, "tank/h@autosnap_1", None, local(1)),
            (None, "cccc", None, remote(0, IDS[1])),
            (None, "cccc2222dddd", None, remote(0, IDS[1])),
        ],
    )
    def test_the_newest_that_fits(
        self, at: int | None, name: str | None, source: Source | None, expected: Copy
    ) -> None:
        copies = (remote(0, IDS[1]), local(1), remote(2), local(3))
        moment = None if at is None else NOON + timedelta(hours=at)
        assert choose(copies, "tank/h", at=moment, name=name, source=source) == expected

    def test_of_the_same_time_the_nearer(self) -> None:
        for copies in ((local(1), remote(1)), (remote(1), local(1))):
            assert choose(copies, "tank/h", at=None, name=None, source=None) == local(1)

    def test_none_is_old_enough(self) -> None:
        with pytest.raises(NoCopyError) as caught:
            choose((local(1), remote(2)), "tank/h", at=NOON, name=None, source=None)
        assert str(caught.value) == (
            "there is no copy of tank/h as old as 2026-11-20T12:00:00Z; "
            "there are 2, from 2026-11-20T13:00:00Z to 2026-11-20T14:00:00Z"
        )

    def test_none_at_all(self) -> None:
        with pytest.raises(NoCopyError, match=r"of tank/h in the repository; there is none at all"):
            choose((), "tank/h", at=None, name=None, source=Source.REPOSITORY)

    @pytest.mark.parametrize("name", ["", "aaa", "bbbb", "autosnap", "snap_1"])
    def test_a_name_is_no_guess(self, name: str) -> None:
        with pytest.raises(NoCopyError):
            choose((local(1), remote(2)), "tank/h", at=None, name=name, source=None)


class TestHosts:
    def test_one_s_own(self) -> None:
        found = Found(copies=(remote(0), remote(1, host="store-2"), local(2)), own="store-1")
        assert of_host(found, None) == (remote(0), local(2))
        assert of_host(found, "store-2") == (remote(1, host="store-2"), local(2))

    def test_the_only_other_is_meant(self) -> None:
        found = Found(copies=(remote(0, host="old-1"),), own="store-1")
        assert of_host(found, None) == found.copies

    def test_of_several_others_none_is_guessed(self) -> None:
        found = Found(copies=(remote(0, host="old-1"), remote(0, host="old-2")), own="store-1")
        with pytest.raises(AmbiguousCopiesError, match=r"no copy of store-1, but of old-1, old-2: .*--of HOST"):
            of_host(found, None)
        assert of_host(found, "old-2") == (remote(0, host="old-2"),)

    def test_none_at_all(self) -> None:
        assert of_host(Found(copies=(), own="store-1"), None) == ()


def test_times_a_person_gives() -> None:
    assert read_time("2026-11-20T14:00:00+02:00") == NOON
    assert read_time("2026-11-20T12:00:00Z") == NOON
    here = datetime(2026, 11, 20, 12).astimezone()
    assert read_time("2026-11-20T12:00") == here
    assert here.tzinfo is not None
    assert read_time("2026-11-20") == datetime(2026, 11, 20).astimezone(timezone.utc)  # noqa: UP017 - as above
    for text in ("", "yesterday", "2026-13-01"):
        with pytest.raises(MalformedTimeError, match="is no time: write 2026-11-20"):
            read_time(text)
