"""Downloads against a mirror of this machine that fails in every way a server can."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from labctl.bundle.downloads import ATTEMPTS, Client, Download, is_done
from labctl.bundle.errors import BundleError, ChecksumError, DiskFullError, FetchError
from labctl.bundle.mirror import Fault, Mirror

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

CONTENT = bytes(range(256)) * 40_000  # 10 MiB, nearly
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path: Path) -> Generator[Mirror]:
    (tmp_path / "server" / "files").mkdir(parents=True)
    (tmp_path / "server" / "files" / "large").write_bytes(CONTENT)
    with Mirror(tmp_path / "server") as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(pauses: list[float]) -> Generator[Client]:
    found = Client(pause=pauses.append)
    yield found
    found.close()


def wanted(server: Mirror, tmp_path: Path, *, sha256: str = SHA256, size: int | None = None) -> Download:
    return Download(url=f"{server.url}/files/large", path=tmp_path / "got" / "large", sha256=sha256, size=size)


def failing(*faults: Fault) -> Callable[[str, str], Fault | None]:
    """Return a hook for which the first requests go wrong so, and no later one."""
    left = list(faults)
    return lambda _method, _target: left.pop(0) if left else None


def leftovers(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "got").iterdir())


def test_a_file_is_there_whole_and_counted(server: Mirror, client: Client, tmp_path: Path) -> None:
    counted: list[int] = []
    download = wanted(server, tmp_path)
    assert not is_done(download)
    client.fetch(download, advance=counted.append)
    assert download.path.read_bytes() == CONTENT
    assert (sum(counted), is_done(download), leftovers(tmp_path)) == (len(CONTENT), True, ["large"])


def test_a_connection_that_breaks_is_gone_on_with_where_it_broke(
    server: Mirror, client: Client, tmp_path: Path, pauses: list[float]
) -> None:
    lines: list[str] = []
    server.log = lines.append
    server.fault = failing(Fault(cut_after_bytes=3_000_000), Fault(cut_after_bytes=4_000_000))
    client.fetch(wanted(server, tmp_path))
    assert (tmp_path / "got" / "large").read_bytes() == CONTENT
    server.stop()  # a line is written once its answer is sent
    statuses = [line.split()[3] for line in lines]
    assert statuses == ["200", "206", "206"]
    assert int(lines[-1].split()[4]) < len(CONTENT) - 6_000_000
    assert pauses == [0.5, 1.0]


def test_a_later_run_goes_on_with_an_earlier_ones_part(server: Mirror, client: Client, tmp_path: Path) -> None:
    part = tmp_path / "got" / ".large.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[:9_000_000])
    counted: list[int] = []
    client.fetch(wanted(server, tmp_path, size=len(CONTENT)), advance=counted.append)
    assert (tmp_path / "got" / "large").read_bytes() == CONTENT
    assert sum(counted) == len(CONTENT) - 9_000_000


@pytest.mark.parametrize("stale", [b"of another file" * 1000, CONTENT + b"and more"])
def test_a_part_of_another_file_is_thrown_away(server: Mirror, client: Client, tmp_path: Path, stale: bytes) -> None:
    part = tmp_path / "got" / ".large.part"
    part.parent.mkdir()
    part.write_bytes(stale)
    client.fetch(wanted(server, tmp_path, size=len(CONTENT)))
    assert (tmp_path / "got" / "large").read_bytes() == CONTENT


def test_a_whole_part_needs_no_download(server: Mirror, client: Client, tmp_path: Path) -> None:
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / ".large.part").write_bytes(CONTENT)
    client.fetch(wanted(server, tmp_path))  # its size is not known: the server says that nothing is left
    assert (tmp_path / "got" / "large").read_bytes() == CONTENT


def test_what_is_not_what_was_pinned_is_not_kept(server: Mirror, client: Client, tmp_path: Path) -> None:
    with pytest.raises(
        ChecksumError, match=f"/files/large is not what is pinned: expected sha256 {'0' * 64}, got {SHA256}"
    ):
        client.fetch(wanted(server, tmp_path, sha256="0" * 64))
    assert leftovers(tmp_path) == []


def test_a_server_that_fails_for_a_moment_is_asked_again(
    server: Mirror, client: Client, tmp_path: Path, pauses: list[float]
) -> None:
    server.fault = failing(Fault(status=500), Fault(status=503), Fault(status=429))
    client.fetch(wanted(server, tmp_path))
    assert (is_done(wanted(server, tmp_path)), pauses) == (True, [0.5, 1.0, 2.0])


@pytest.mark.parametrize(("status", "attempts"), [(500, ATTEMPTS), (404, 1), (403, 1)])
def test_a_server_that_goes_on_failing_is_given_up_and_named(
    server: Mirror, client: Client, tmp_path: Path, status: int, attempts: int
) -> None:
    asked: list[str] = []

    def fault(_method: str, target: str) -> Fault:
        asked.append(target)
        return Fault(status=status)

    server.fault = fault
    with pytest.raises(FetchError, match=f"{server.url}/files/large: HTTP {status}"):
        client.fetch(wanted(server, tmp_path))
    assert len(asked) == attempts


def test_a_server_that_is_not_there_is_said_to_be(client: Client, tmp_path: Path, server: Mirror) -> None:
    download = wanted(server, tmp_path)
    server.stop()
    with pytest.raises(FetchError, match="does not accept connections"):
        client.fetch(download)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full to stand for a full disk")  # noqa: PTH110 - a device
def test_a_full_disk_is_named_and_what_came_stays(server: Mirror, client: Client, tmp_path: Path) -> None:
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / ".large.part").symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match=r"no room for .*/got/large: .* MiB are free") as raised:
        client.fetch(wanted(server, tmp_path))
    assert isinstance(raised.value, BundleError)
    assert leftovers(tmp_path) == [".large.part"]


def test_stopping_ends_a_download_and_keeps_its_part(server: Mirror, client: Client, tmp_path: Path) -> None:
    def stop_soon(_count: int) -> None:
        client.stopping.set()

    with pytest.raises(FetchError, match="stopped"):
        client.fetch(wanted(server, tmp_path), advance=stop_soon)
    assert 0 < (tmp_path / "got" / ".large.part").stat().st_size < len(CONTENT)
    client.stopping.clear()
    client.fetch(wanted(server, tmp_path))
    assert is_done(wanted(server, tmp_path))
