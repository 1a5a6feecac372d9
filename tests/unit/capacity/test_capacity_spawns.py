"""Past spawns: the formats that are read, what is said of bad lines, and who was there at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capacity.errors import NoSpawnsError
from labctl.capacity.spawns import Spawn, load_spawns, unnamed_shared_out, usage_of

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """\
user,profile,start,end
ada,minimal,2020-05-11T10:00:00Z,2020-05-11T12:00:00Z
grace,gpu,2020-05-11T11:00:00Z,2020-05-11T13:00:00Z
alan,gpu,2020-05-11T11:30:00Z,2020-05-11T11:45:00Z
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "spawns.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table(tmp_path: Path) -> None:
    found = load_spawns(written(tmp_path, TABLE))
    assert found.remarks == ()
    assert [spawn.user for spawn in found.spawns] == ["ada", "grace", "alan"]
    usage = usage_of(found.spawns)
    assert (usage.spawns, usage.users, usage.peak) == (3, 3, 3)
    assert usage.peak_at.isoformat() == "2020-05-11T11:30:00+00:00"
    assert usage.at_peak == {"gpu": 2, "minimal": 1}
    assert usage.peaks == {"gpu": 2, "minimal": 1}
    # Of 180 minutes 15 had three users: 8 %, more than the 5 % that the percentile leaves out.
    assert usage.percentile == 3
    assert usage.percentiles == {"gpu": 2, "minimal": 1}


@pytest.mark.parametrize(
    "text",
    [
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        "\ufeff" + TABLE,
        TABLE.replace("user,profile,start,end", '"Username","Profile_Slug","Started","Stopped"'),
        TABLE.replace("T", " ").replace("Z", " UTC"),
        TABLE.replace("Z", "+00:00"),
        TABLE.replace("Z", ""),
        TABLE.replace("Z", ".123456Z"),
        "\n" + TABLE + "\n\n",
    ],
)
def test_the_same_table_written_differently(tmp_path: Path, text: str) -> None:
    found = load_spawns(written(tmp_path, text))
    assert found.remarks == ()
    assert usage_of(found.spawns).at_peak == {"gpu": 2, "minimal": 1}


def test_numbers_are_seconds_or_milliseconds_since_1970(tmp_path: Path) -> None:
    text = "user,profile,start,end\nada,a,1589191200,1589194800.5\ngrace,a,1589191200000,1589194800000\n"
    found = load_spawns(written(tmp_path, text)).spawns
    assert found[0].start == found[1].start == 1589191200.0


def test_an_export_of_the_hubs_database(tmp_path: Path) -> None:
    text = (
        "id;user_id;state;name;started;last_activity;user_options\n"
        '1;7;"{""pod_name"": ""jupyter-ada""}";;2020-05-11 10:00:00.5;2020-05-11 12:00:00;'
        '"{""profile"": ""gpu-small""}"\n'
        '2;8;\\N;;2020-05-11 10:30:00;\\N;"{}"\n'
    )
    found = load_spawns(written(tmp_path, text))
    assert [(spawn.user, spawn.profile) for spawn in found.spawns] == [("7", "gpu-small"), ("8", "")]
    # What has not ended was there until the last that is known.
    assert found.spawns[1].end == found.spawns[0].end


def test_the_hubs_event_log(tmp_path: Path) -> None:
    def event(time: str, action: str, user: str) -> str:
        schema = "https://schema.jupyter.org/jupyterhub/events/server-action"
        return (
            f'{{"__timestamp__": "{time}", "__schema__": "{schema}", "__schema_version__": 1, '
            f'"action": "{action}", "username": "{user}", "servername": ""}}'
        )

    text = "\n".join(
        [
            event("2020-05-11T10:00:00.5Z", "start", "ada"),
            event("2020-05-11T10:30:00Z", "start", "grace"),
            '{"__schema__": "https://schema.jupyter.org/another", "x": 1}',
            event("2020-05-11T11:00:00Z", "stop", "ada"),
            event("2020-05-11T11:00:00Z", "stop", "alan"),
            "{broken",
            event("2020-05-11T11:30:00Z", "restart", "ada"),
        ]
    )
    found = load_spawns(written(tmp_path, text))
    assert [(spawn.user, spawn.end - spawn.start) for spawn in found.spawns] == [("ada", 3599.5), ("grace", 3600.0)]
    assert [remark.partition(":")[0] for remark in found.remarks] == ["line 5", "line 6", "line 7"]


def test_bad_lines_are_named_by_number_and_left_out(tmp_path: Path) -> None:
    bad = (
        TABLE
        + "eve,gpu,yesterday,\nmallory,gpu,2020-05-11T12:00:00Z,2020-05-11T10:00:00Z\n,gpu,2020-05-11T12:00:00Z,\n"
    )
    found = load_spawns(written(tmp_path, bad))
    assert len(found.spawns) == 4 - 1
    assert [remark[:7] for remark in found.remarks] == ["line 5:", "line 6:", "line 7:"]
    assert "'yesterday' is no time" in found.remarks[0]
    assert "ends before it starts" in found.remarks[1]
    assert "no user" in found.remarks[2]


@pytest.mark.parametrize("text", ["", "a,b,c\n1,2,3\n", "user,profile,start,end\n", "user,start\nada,never\n"])
def test_a_file_without_spawns_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(NoSpawnsError, match="no spawn in it"):
        load_spawns(written(tmp_path, text))


def test_a_server_that_ends_when_another_starts_makes_room() -> None:
    spawns = [Spawn(user=str(n), profile="a", start=n * 10.0, end=n * 10.0 + 10) for n in range(5)]
    assert usage_of(spawns).peak == 1


def lasting(user: str, profile: str, start: float, length: float) -> Spawn:
    return Spawn(user=user, profile=profile, start=start, end=start + length)


SPAWNS = st.lists(
    st.builds(
        lasting,
        st.sampled_from("uvw"),
        st.sampled_from("ab"),
        st.integers(0, 50).map(float),
        st.integers(1, 30).map(float),
    ),
    min_size=1,
    max_size=30,
)


@given(SPAWNS)
def test_the_peak_is_what_counting_at_every_second_finds(spawns: list[Spawn]) -> None:
    usage = usage_of(spawns)
    counts = [sum(spawn.start <= second < spawn.end for spawn in spawns) for second in range(100)]
    assert usage.peak == max(counts)
    present = sorted(count for count in counts if count)
    assert usage.percentile == present[max(0, -(-len(present) * 95 // 100) - 1)]
    assert sum(usage.at_peak.values()) == usage.peak
    for profile, peak in usage.peaks.items():
        own = [spawn for spawn in spawns if spawn.profile == profile]
        assert peak == max(sum(s.start <= second < s.end for s in own) for second in range(100))


def test_users_without_a_profile_of_today_are_shared_out_and_said_so() -> None:
    users, remarks = unnamed_shared_out({"a": 6, "b": 2, "gone": 3, "": 1}, ["a", "b", "c"])
    assert users == {"a": 9, "b": 3}
    assert "4 of 12 users" in remarks[0]
    assert "gone (3)" in remarks[0]
    assert unnamed_shared_out({"": 4}, ["a", "b"])[0] == {"a": 2, "b": 2}
    assert unnamed_shared_out({"a": 4}, ["a", "b"]) == ({"a": 4}, ())
