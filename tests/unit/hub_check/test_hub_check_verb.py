"""``labctl hub check`` at the command line, against an HTTP server on loopback."""

from __future__ import annotations

import json
import re
import shutil
import sys
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from labctl.cli import run

PROJECT = Path(__file__).resolve().parents[3]
TOKEN = "canary-of-the-health-service"


class Stub(BaseHTTPRequestHandler):
    """Answers as a hub does, and remembers who asked."""

    asked: list[tuple[str, str, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.command, self.path, self.headers.get("Authorization")))
        bodies = {"/hub/health": {}, "/hub/api/": {"version": "5.5.0"}}
        if self.headers.get("Authorization") == f"token {TOKEN}":
            bodies["/hub/api/user"] = {"name": "health"}
        body = bodies.get(self.path)
        self.send_response(200 if body is not None else 403)
        self.end_headers()
        self.wfile.write(json.dumps(body if body is not None else {"message": "Forbidden"}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class calls it
        pass


class Lab:
    """A project's folder with the dev stack, and a hub that stands still."""

    def __init__(self, root: Path, url: str, asked: list[tuple[str, str, str | None]]) -> None:
        self.root, self.url, self.asked = root, url, asked
        self.token_file = root / "token"
        self.token_file.write_text(f"{TOKEN}\n", encoding="utf-8")

    def configure(self, check: str | None) -> None:
        text = (PROJECT / "Pulumi.dev.yaml").read_text(encoding="utf-8")
        text = re.sub(r"^      healthCheck: .*\n", "", text, flags=re.MULTILINE)
        if check is not None:
            assert text.count("\n    hub:\n") == 1
            text = text.replace("\n    hub:\n", f"\n    hub:\n      healthCheck: {check}\n")
        (self.root / "Pulumi.dev.yaml").write_text(text, encoding="utf-8")

    def check(self, *arguments: str) -> int:
        return run(["hub", "check", "--stack", "dev", *arguments])


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Lab]:
    shutil.copy(PROJECT / "Pulumi.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    asked: list[tuple[str, str, str | None]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Stub,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Lab(tmp_path, f"http://127.0.0.1:{server.server_port}", asked)
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_token_of_a_file_is_used_and_never_shown(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.configure("{}")
    lab.asked.clear()
    code = lab.check("--url", lab.url, "--token-file", str(lab.token_file), "--json")
    said = capsys.readouterr()
    assert code == 0
    assert json.loads(said.out)["healthy"] is True
    assert TOKEN not in said.out + said.err
    assert ("GET", "/hub/api/user", f"token {TOKEN}") in lab.asked


def test_a_person_reads_a_line_for_each_look(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.configure("{}")
    code = lab.check("--url", lab.url, "--token-file", str(lab.token_file))
    said = capsys.readouterr()
    assert code == 0
    assert "✓ the hub answers" in said.out
    assert "JupyterHub 5.5.0" in said.out
    assert "- a server starts" in said.out


def test_without_a_test_user_no_token_is_sent(lab: Lab) -> None:
    lab.configure(None)
    lab.asked.clear()
    code = lab.check("--url", lab.url)
    assert code == 0
    assert {token for _, _, token in lab.asked} == {None}


def test_a_server_needs_a_test_user(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.configure(None)
    code = lab.check("--url", lab.url, "--spawn")
    said = capsys.readouterr()
    assert code == 3
    assert "add hub.healthCheck to Pulumi.dev.yaml" in said.err


def test_a_stack_that_was_never_up_has_no_token(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.configure("{}")
    code = lab.check("--url", lab.url)
    said = capsys.readouterr()
    assert code == 6
    assert "run up first, or say --token-file" in said.err


def test_a_hub_that_is_away_is_code_13(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.configure(None)
    code = lab.check("--url", "http://127.0.0.1:9", "--json")
    said = capsys.readouterr()
    assert code == 13
    assert json.loads(said.err)["error"]["name"] == "UNHEALTHY"
    assert [look["state"] for look in json.loads(said.out)["looks"]] == ["failed"] + ["skipped"] * 5


def test_a_problem_of_the_test_user_has_its_place(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.configure("{profile: nothing}")
    code = lab.check("--url", lab.url)
    said = capsys.readouterr()
    assert code == 3
    assert re.search(r"hub\.healthCheck\.profile .*there is no profile nothing; choose one of minimal", said.err)
