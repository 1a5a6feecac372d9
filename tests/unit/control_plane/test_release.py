"""Downloads from a publisher on loopback: what is checked, what is refused, how soon a missing network is found out."""

import hashlib
import io
import socket
import tarfile
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from labctl.control_plane.cache import platform_names
from labctl.control_plane.errors import ChecksumMismatchError, ReleaseUnavailableError
from labctl.control_plane.obtain import Toolbox
from labctl.control_plane.pins import ReleasePin, ToolPin, load_pins
from labctl.control_plane.progress import Progress, silent
from labctl.control_plane.release import ReleaseSource, published_digest

PROGRAM = b"#!/bin/sh\necho I am the program\n"


@dataclass
class Publisher:
    """A web server with files in memory."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    asked: list[str] = field(default_factory=list[str])


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Generator[Publisher]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    served = Publisher()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(f"{self.command} {self.path}")
            path = self.path.partition("//")[2].partition("/")[2] if "//" in self.path else self.path[1:]
            content = served.files.get(path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        served.address = f"http://127.0.0.1:{server.server_address[1]}"
        yield served
        server.shutdown()
        thread.join()


def released(pin: ToolPin, **fields: object) -> ToolPin:
    return pin.model_copy(update={"release": ReleasePin.model_validate(fields)})


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


PLATFORM = "-".join(platform_names())


def test_a_plain_program_with_a_pinned_digest(publisher: Publisher, pin: ToolPin, tmp_path: Path) -> None:
    publisher.files["v1.2.3/tool"] = PROGRAM
    wanted = released(pin, url=f"{publisher.address}/v{{version}}/tool", sha256={PLATFORM: digest(PROGRAM)})
    ReleaseSource().fetch(wanted, tmp_path / "tool", silent)
    assert (tmp_path / "tool").read_bytes() == PROGRAM
    assert (tmp_path / "tool").stat().st_mode & 0o111
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("tool")] == ["tool"]


def archive(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member, content in (("tool-1.2.3/README.md", b"read"), (name, PROGRAM)):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_with_a_published_digest(publisher: Publisher, pin: ToolPin, tmp_path: Path) -> None:
    content = archive("tool-1.2.3/tool")
    publisher.files |= {
        "tool.tar.gz": content,
        "SHA256SUMS": f"{'0' * 64}  other.tar.gz\n{digest(content)}  tool.tar.gz\n".encode(),
    }
    wanted = released(
        pin,
        url=f"{publisher.address}/tool.tar.gz",
        member="tool-{version}/tool",
        checksum_url=f"{publisher.address}/SHA256SUMS",
    )
    ReleaseSource().fetch(wanted, tmp_path / "tool", silent)
    assert (tmp_path / "tool").read_bytes() == PROGRAM


def test_a_changed_file_is_refused_and_nothing_is_left(publisher: Publisher, pin: ToolPin, tmp_path: Path) -> None:
    publisher.files["tool"] = PROGRAM + b"rm -rf /\n"
    wanted = released(pin, url=f"{publisher.address}/tool", sha256={PLATFORM: digest(PROGRAM)})
    with pytest.raises(ChecksumMismatchError) as caught:
        ReleaseSource().fetch(wanted, tmp_path / "tool", silent)
    assert digest(PROGRAM) in str(caught.value)
    assert digest(publisher.files["tool"]) in str(caught.value)
    assert not list(tmp_path.glob("tool*"))


@pytest.mark.usefixtures("bin_directory")
def test_a_changed_file_is_not_made_good_by_building(publisher: Publisher, cache: Path) -> None:
    publisher.files["helm"] = b"changed"
    source = ReleaseSource()

    def fetch(pin: ToolPin, destination: Path, progress: Progress) -> None:
        wanted = released(pin, url=f"{publisher.address}/helm", sha256={PLATFORM: digest(PROGRAM)})
        source.fetch(wanted, destination, progress)

    def build(_pin: ToolPin, _destination: Path, _progress: Progress) -> None:
        pytest.fail("somebody changes downloads, and nobody is told")

    with pytest.raises(ChecksumMismatchError):
        Toolbox(fetch=fetch, build=build).obtain(["helm"])
    assert not list((cache / "tools").glob("helm*/*"))


@pytest.mark.parametrize(
    ("files", "reason"),
    [({}, "HTTP 404"), ({"SUMS": b"nothing here"}, "no sha256"), ({"SUMS": b"0" * 64}, "HTTP 404")],
)
def test_a_release_that_is_not_there_is_passed_over(
    publisher: Publisher, pin: ToolPin, tmp_path: Path, files: dict[str, bytes], reason: str
) -> None:
    publisher.files |= files
    wanted = released(pin, url=f"{publisher.address}/tool", checksum_url=f"{publisher.address}/SUMS")
    with pytest.raises(ReleaseUnavailableError, match=reason):
        ReleaseSource().fetch(wanted, tmp_path / "tool", silent)
    assert not list(tmp_path.glob("tool*"))


def test_an_archive_without_the_program_is_passed_over(publisher: Publisher, pin: ToolPin, tmp_path: Path) -> None:
    publisher.files["tool.tar.gz"] = content = archive("elsewhere/tool")
    wanted = released(
        pin, url=f"{publisher.address}/tool.tar.gz", member="bin/tool", sha256={PLATFORM: digest(content)}
    )
    with pytest.raises(ReleaseUnavailableError, match="bin/tool"):
        ReleaseSource().fetch(wanted, tmp_path / "tool", silent)
    assert not list(tmp_path.glob("tool*"))


def test_no_checksum_no_download(publisher: Publisher, pin: ToolPin, tmp_path: Path) -> None:
    publisher.files["tool"] = PROGRAM
    wanted = released(pin, url=f"{publisher.address}/tool", sha256={"plan9-mips": digest(PROGRAM)})
    with pytest.raises(ReleaseUnavailableError, match=f"no checksum is pinned for {PLATFORM}"):
        ReleaseSource().fetch(wanted, tmp_path / "tool", silent)
    assert publisher.asked == []


def test_a_publisher_who_does_not_answer_is_given_up_soon_and_for_the_run(pin: ToolPin, tmp_path: Path) -> None:
    with socket.socket() as silent_server:
        silent_server.bind(("127.0.0.1", 0))
        silent_server.listen()
        address = f"http://127.0.0.1:{silent_server.getsockname()[1]}"
        wanted = released(pin, url=f"{address}/tool", sha256={PLATFORM: "0" * 64})
        source = ReleaseSource()
        began = time.monotonic()
        with pytest.raises(ReleaseUnavailableError):
            source.fetch(wanted, tmp_path / "tool", silent)
        first = time.monotonic() - began
        for _ in range(3):
            with pytest.raises(ReleaseUnavailableError):
                source.fetch(wanted, tmp_path / "tool", silent)
        assert first < 3
        assert time.monotonic() - began - first < 0.2


def test_the_proxy_of_the_environment_is_used(
    publisher: Publisher, pin: ToolPin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", publisher.address)
    monkeypatch.setenv("no_proxy", "")
    publisher.files["tool"] = PROGRAM
    wanted = released(pin, url="http://releases.invalid/tool", sha256={PLATFORM: digest(PROGRAM)})
    ReleaseSource().fetch(wanted, tmp_path / "tool", silent)
    assert "GET http://releases.invalid/tool" in publisher.asked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 64, "a" * 64),
        (f"{'A' * 64}\n", "a" * 64),
        (f"{'b' * 64}  other\n{'a' * 64} *tool.tar.gz\n", "a" * 64),
        (f"{'a' * 64}  ./dist/tool.tar.gz", "a" * 64),
        (f"{'b' * 64}  tool.tar.gz.asc", None),
        ("<html>sign in first</html>", None),
        ("", None),
    ],
)
def test_published_digest(text: str, expected: str | None) -> None:
    assert published_digest(text, "tool.tar.gz") == expected


@pytest.mark.parametrize("name", [name for name, pin in load_pins()[1].items() if pin.release])
def test_real_releases_are_fetched_over_tls(name: str) -> None:
    release = load_pins()[1][name].release
    assert release is not None
    facts = {"version": "1", "os": "linux", "arch": "amd64"}
    assert release.url.format(**facts).startswith("https://")
    assert release.sha256 or (release.checksum_url or "").format(**facts).startswith("https://")
