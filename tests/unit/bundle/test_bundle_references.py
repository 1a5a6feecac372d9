"""Image references, byte ranges and control data: what is read and written by grammar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.bundle.control_files import parse_stanzas
from labctl.bundle.errors import MalformedReferenceError
from labctl.bundle.ranges import Part, part_of
from labctl.bundle.references import parse_reference

DIGEST = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    ("text", "complete", "key"),
    [
        ("busybox", "docker.io/library/busybox:latest", "docker.io/library/busybox:latest"),
        ("envoyproxy/envoy:v1", "docker.io/envoyproxy/envoy:v1", "docker.io/envoyproxy/envoy:v1"),
        ("index.docker.io/busybox:1", "docker.io/library/busybox:1", "docker.io/library/busybox:1"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest", "localhost:5000/a/b:latest"),
        (f"quay.io/a/b:t@{DIGEST}", f"quay.io/a/b:t@{DIGEST}", "quay.io/a/b:t"),
        (f"quay.io/a/b@{DIGEST}", f"quay.io/a/b@{DIGEST}", f"quay.io/a/b@{DIGEST}"),
    ],
)
def test_a_reference_is_made_complete(text: str, complete: str, key: str) -> None:
    found = parse_reference(text)
    assert (str(found), found.key) == (complete, key)
    assert parse_reference(str(found)) == found


@pytest.mark.parametrize(
    "text", ["", "UPPER/case", "a:b:c", "quay.io/a@sha256:short", "quay.io/", "quay.io/a:", "a b", "quay.io/a@", "a//b"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(MalformedReferenceError):
        parse_reference(text)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-0", Part(0, 1)),
        ("bytes=5-", Part(5, 5)),
        ("bytes=5-100", Part(5, 5)),
        ("bytes=-3", Part(7, 3)),
        ("bytes=-30", Part(0, 10)),
        ("bytes=8-2", None),
        ("bytes=0-1,3-4", None),
        ("lines=1-2", None),
        ("bytes=-", None),
    ],
)
def test_ranges(header: str | None, part: Part | None) -> None:
    assert part_of(header, 10) == part


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_ranges_beyond_the_end(header: str) -> None:
    with pytest.raises(ValueError, match="no such range"):
        part_of(header, 10)


@given(st.integers(0, 50), st.one_of(st.none(), st.integers(0, 60)), st.integers(1, 40))
def test_a_range_is_what_slicing_gives(first: int, last: int | None, size: int) -> None:
    content = bytes(range(size))
    header = f"bytes={first}-{'' if last is None else last}"
    expected = content[first:] if last is None else content[first : last + 1]
    try:
        part = part_of(header, size)
    except ValueError:
        assert first >= size
        return
    if part is None:
        assert last is not None
        assert last < first
    else:
        assert content[part.offset : part.offset + part.length] == expected


STANZAS = """Package: curl
Version: 7.88.1-10+deb12u15
Depends: libc6 (>= 2.34), libcurl4 (= 7.88.1-10+deb12u15)
Description: command line tool
 for transferring data
 .
 with URL syntax
Filename: pool/main/c/curl/curl_7.88.1_amd64.deb

Package: openssl
Checksums:
 0123 4 x
"""


def test_control_data_is_read_and_written_as_it_was() -> None:
    first, second = parse_stanzas(STANZAS)
    assert (first["Version"], second["Package"]) == ("7.88.1-10+deb12u15", "openssl")
    assert f"{first}\n{second}" == STANZAS
    moved = first.with_field("Filename", "./curl.deb")
    assert str(moved) == str(first).replace("pool/main/c/curl/curl_7.88.1_amd64.deb", "./curl.deb")


@pytest.mark.parametrize("text", [" continued\n", "no colon here\n"])
def test_what_is_no_control_data_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"continuation|no field"):
        list(parse_stanzas(text))
