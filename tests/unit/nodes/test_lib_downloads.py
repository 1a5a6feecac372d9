"""Downloads of the scripts' library, from a server that answers as the test says."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass

import pytest
from script_workshop import FAILED, Run, Workshop

CONTENT = bytes(range(256)) * 400
DIGEST = hashlib.sha256(CONTENT).hexdigest()

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """A server that answers as the test says, and remembers what it was asked."""

    port: int
    answers: list[Answer]
    asked: list[tuple[str, str | None]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def whole(handler: http.server.BaseHTTPRequestHandler) -> None:
    """Answer with the whole file, whatever part was asked for."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT)


def ranged(handler: http.server.BaseHTTPRequestHandler) -> None:
    """Answer with the part that was asked for."""
    asked = handler.headers.get("Range")
    if asked is None:
        whole(handler)
        return
    start = int(asked.removeprefix("bytes=").split("-")[0])
    if start >= len(CONTENT):
        status(416)(handler)
        return
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
    handler.send_header("Content-Length", str(len(CONTENT) - start))
    handler.end_headers()
    handler.wfile.write(CONTENT[start:])


def cut(handler: http.server.BaseHTTPRequestHandler) -> None:
    """Answer with half of what was promised."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT[: len(CONTENT) // 2])
    handler.close_connection = True


def other(handler: http.server.BaseHTTPRequestHandler) -> None:
    """Answer with another file."""
    handler.send_response(200)
    handler.send_header("Content-Length", "5")
    handler.end_headers()
    handler.wfile.write(b"other")


def status(code: int) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.fixture
def server() -> Generator[Server]:
    asked: list[tuple[str, str | None]] = []
    answers: list[Answer] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Range")))
            (answers.pop(0) if len(answers) > 1 else answers[0])(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            del format, args

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Server(listening.server_address[1], answers, asked)
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


FETCH = 'fetch "$URL" "$DIGEST" "$ROOT/f" 0755'


def _fetch(workshop: Workshop, server: Server, *answers: Answer, mode: str = "apply") -> Run:
    server.answers[:] = answers
    server.asked.clear()
    return workshop.run(FETCH, mode, URL=f"{server.url}/v1/thing.tgz", DIGEST=DIGEST)


def test_file_is_downloaded_once(workshop: Workshop, server: Server) -> None:
    assert _fetch(workshop, server, whole).changed == [f"file {workshop.root}/f"]
    assert (workshop.root / "f").read_bytes() == CONTENT
    assert (workshop.root / "f").stat().st_mode & 0o7777 == 0o755
    assert _fetch(workshop, server, status(500)).changed == []
    assert server.asked == []


def test_file_that_was_changed_is_downloaded_again(workshop: Workshop, server: Server) -> None:
    _fetch(workshop, server, whole)
    path = workshop.root / "f"
    times = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert _fetch(workshop, server, whole, mode="check").changed == [f"file {path}"]
    assert _fetch(workshop, server, whole).changed == [f"file {path}"]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        ([status(500), status(503), whole], 3),
        ([status(429), whole], 2),
        ([cut, ranged], 2),
        ([cut, whole], 3),
    ],
    ids=["5xx", "429", "cut off and continued", "cut off and begun again"],
)
def test_download_is_tried_again(workshop: Workshop, server: Server, answers: list[Answer], requests: int) -> None:
    assert _fetch(workshop, server, *answers).code == 0
    assert (workshop.root / "f").read_bytes() == CONTENT
    assert len(server.asked) == requests


def test_download_gives_up(workshop: Workshop, server: Server) -> None:
    run = _fetch(workshop, server, status(500))
    assert run.code == FAILED
    assert f"failed: {server.url}/v1/thing.tgz answers 500, tried 4 times" in run.err
    assert len(server.asked) == 4
    assert not (workshop.root / "f").exists()


def test_what_is_not_there_is_asked_for_once(workshop: Workshop, server: Server) -> None:
    run = _fetch(workshop, server, status(404))
    assert run.code == FAILED
    assert f"failed: {server.url}/v1/thing.tgz answers 404" in run.err
    assert len(server.asked) == 1


def test_server_that_is_not_there(workshop: Workshop, server: Server) -> None:
    url = f"{server.url}/x".replace(str(server.port), "9")
    run = workshop.run(FETCH, URL=url, DIGEST=DIGEST)
    assert run.code == FAILED
    assert f"failed: {url} cannot be reached, tried 4 times" in run.err


def test_wrong_file_is_named_and_not_kept(workshop: Workshop, server: Server) -> None:
    run = _fetch(workshop, server, other)
    got = hashlib.sha256(b"other").hexdigest()
    assert run.code == FAILED
    assert f"{server.url}/v1/thing.tgz is not what is pinned: expected sha256 {DIGEST}, got {got}" in run.err
    assert not (workshop.root / "f").exists()
    assert not list((workshop.folder / "cache" / "try").iterdir())


@pytest.mark.parametrize("left", [CONTENT[:1000], CONTENT, CONTENT + b"more", b"another file's beginning"])
@pytest.mark.parametrize("answer", [ranged, whole])
def test_download_goes_on_where_a_run_was_cut_off(
    workshop: Workshop, server: Server, left: bytes, answer: Answer
) -> None:
    part = workshop.folder / "cache" / "try" / f"{DIGEST}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    assert _fetch(workshop, server, answer).code == 0
    assert (workshop.root / "f").read_bytes() == CONTENT
    assert server.asked[0][1] == f"bytes={len(left)}-"
    assert not part.exists()


def test_mirror_stands_for_every_host(workshop: Workshop, server: Server) -> None:
    server.answers[:] = [whole]
    url = "https://example.org/releases/v1/thing.tgz"
    workshop.run(FETCH, URL=url, DIGEST=DIGEST, MIRROR_URL=f"{server.url}/base/")
    assert server.asked == [("/base/files/example.org/releases/v1/thing.tgz", None)]
    assert (workshop.root / "f").read_bytes() == CONTENT


def test_downloads_nobody_wants_are_removed(workshop: Workshop, server: Server) -> None:
    cache = workshop.folder / "cache" / "try"
    cache.mkdir(parents=True)
    (cache / "old.tgz").write_text("x")
    (cache / "0000.part").write_text("x")
    server.answers[:] = [whole]
    body = 'fetch "$URL" "$DIGEST" "$CACHE_FOLDER/try/new.tgz"'
    workshop.run(body, "check", URL=server.url, DIGEST=DIGEST)
    assert sorted(path.name for path in cache.iterdir()) == ["0000.part", "old.tgz"]
    workshop.run(body, URL=server.url, DIGEST=DIGEST)
    assert [path.name for path in cache.iterdir()] == ["new.tgz"]
