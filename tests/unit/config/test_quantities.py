from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from components.errors import ConfigurationError
from components.quantities import Duration, Millicores, Size

sizes = st.integers(min_value=0, max_value=2**70).map(Size)
durations = st.integers(min_value=0, max_value=10**9).map(Duration)
millicores = st.integers(min_value=0, max_value=10**9).map(Millicores)


@given(sizes)
def test_a_size_renders_and_reads_back(size: Size) -> None:
    assert Size.parse(str(size)) == size


@given(durations)
def test_a_duration_renders_and_reads_back(duration: Duration) -> None:
    assert Duration.parse(str(duration)) == duration


@given(millicores)
def test_millicores_render_and_read_back(amount: Millicores) -> None:
    assert Millicores.parse(str(amount)) == amount


@given(sizes, sizes)
def test_order_is_that_of_the_bytes(one: Size, other: Size) -> None:
    assert (one < other) == (one.bytes < other.bytes)
    assert (one + other).bytes == one.bytes + other.bytes
    assert (one + other) - other == one


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    for quantity in (Size, Duration, Millicores):
        with contextlib.suppress(ConfigurationError):
            quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "amount", "canonical"),
    [
        ("0", 0, "0"),
        ("1Ki", 1024, "1Ki"),
        ("1k", 1000, "1k"),
        ("64Gi", 64 * 2**30, "64Gi"),
        ("1024Gi", 2**40, "1Ti"),
        ("1.5Gi", 3 * 2**29, "1536Mi"),
        ("500G", 500 * 10**9, "500G"),
        ("10Ti", 10 * 2**40, "10Ti"),
        ("1000000", 10**6, "1M"),
        ("1Ei", 2**60, "1Ei"),
    ],
)
def test_sizes(text: str, amount: int, canonical: str) -> None:
    size = Size.parse(text)
    assert size.bytes == amount
    assert str(size) == canonical


@pytest.mark.parametrize(
    ("text", "seconds", "canonical"),
    [
        ("90s", 90, "1m30s"),
        ("4h30m", 16_200, "4h30m"),
        ("1d", 86_400, "24h"),
        ("1d1s", 86_401, "24h1s"),
        ("0s", 0, "0s"),
    ],
)
def test_durations(text: str, seconds: int, canonical: str) -> None:
    duration = Duration.parse(text)
    assert duration.seconds == seconds
    assert str(duration) == canonical


@pytest.mark.parametrize(
    ("text", "amount", "canonical"),
    [("2", 2000, "2"), ("0.5", 500, "500m"), ("500m", 500, "500m"), ("2000m", 2000, "2"), ("0.001", 1, "1m")],
)
def test_millicores(text: str, amount: int, canonical: str) -> None:
    cores = Millicores.parse(text)
    assert cores.millicores == amount
    assert str(cores) == canonical


@pytest.mark.parametrize("text", ["", "Gi", "64 Gi", "64GB", "64gi", "-1Gi", "1.0001", "1e3", "64Gi\n", "٦Gi"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a"):
        Size.parse(text)


@pytest.mark.parametrize("text", ["", "90", "1h 30m", "30m1h", "1.5h", "1w", "2:30", "-1s", "1h\n"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a duration"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["", "m", "0.0001", "1 core", "-1", "1k", "1m\n"])
def test_what_is_no_number_of_cores(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a number of cores"):
        Millicores.parse(text)


@pytest.mark.parametrize("wrong", [True, None, [], 1.5])
def test_a_size_in_a_file_is_a_text_or_whole_bytes(wrong: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Size).validate_python(wrong)


def test_numbers_in_a_file() -> None:
    assert TypeAdapter(Size).validate_python(1024) == Size(1024)
    assert TypeAdapter(Millicores).validate_python(0.5) == Millicores(500)
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(90)


def test_nothing_is_below_zero() -> None:
    for build in (lambda: Size(-1), lambda: Duration(-1), lambda: Millicores(-1)):
        with pytest.raises(ConfigurationError, match="below zero"):
            build()


def test_they_serialise_as_they_are_written() -> None:
    assert TypeAdapter(Size).dump_json(Size.gibibytes(64)) == b'"64Gi"'
    assert TypeAdapter(Duration).dump_python(Duration(90)) == "1m30s"
    assert TypeAdapter(Millicores).json_schema()["examples"] == ["2", "500m", "0.5"]
