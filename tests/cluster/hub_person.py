"""A person at the hub: signs in, starts a server, works in it, stops it; by HTTP, as a browser would."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, ProxyHandler, Request, build_opener

Json = Any
"""What the hub's API answers: tests look into it freely."""
PATIENCE_SECONDS = 120.0
"""For a server to start or stop, on a machine that is busy."""


@dataclass
class Answer:
    """What came of a request."""

    code: int
    url: str
    text: str


@dataclass
class Person:
    """Somebody with a browser of their own."""

    base: str
    name: str
    cookies: CookieJar = field(default_factory=CookieJar)

    def __post_init__(self) -> None:
        self._opener: OpenerDirector = build_opener(ProxyHandler({}), HTTPCookieProcessor(self.cookies))

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        assert self.base.startswith("http://127.0.0.1:")
        request = Request(f"{self.base}{path}", data=body, method=method, headers=named)  # noqa: S310 - loopback
        try:
            with self._opener.open(request, timeout=30) as response:
                return Answer(response.status, response.url, response.read().decode(errors="replace"))
        except HTTPError as error:
            return Answer(error.code, error.url, error.read().decode(errors="replace"))

    def token(self, path: str) -> str:
        """Return the token against forged requests that belongs to a path."""
        return next(cookie.value or "" for cookie in self.cookies if cookie.name == "_xsrf" and cookie.path == path)

    def sign_in(self) -> Answer:
        self.ask("GET", "/hub/login")
        form = {"username": self.name, "password": "any", "_xsrf": self.token("/hub/")}
        return self.ask("POST", "/hub/login?next=%2Fhub%2Fhome", urlencode(form).encode())

    def start(self, profile: str = "minimal") -> Answer:
        form = {"profile": profile, "_xsrf": self.token("/hub/")}
        return self.ask("POST", "/hub/spawn", urlencode(form).encode())

    def started(self, profile: str = "minimal") -> float:
        """Start a server and enter it; return the seconds it took."""
        began = time.monotonic()
        answer = self.start(profile)
        assert answer.code == 200, answer.text[:2000]
        while "/hub/" in (answer := self.ask("GET", f"/user/{self.name}/lab")).url or answer.code != 200:
            assert time.monotonic() - began < PATIENCE_SECONDS, f"{answer.code} {answer.url} {answer.text[:2000]}"
            time.sleep(0.2)
        return time.monotonic() - began

    def stop(self) -> None:
        began = time.monotonic()
        path = f"/hub/api/users/{self.name}/server"
        self.ask("DELETE", path, X_XSRFToken=self.token("/hub/"))
        while json.loads(self.ask("GET", f"/hub/api/users/{self.name}").text).get("server") is not None:
            assert time.monotonic() - began < PATIENCE_SECONDS, "the server did not stop"
            time.sleep(0.2)

    def server(self, method: str, path: str, body: Json = None) -> Json:
        """Ask the person's own server, in JSON."""
        content = None if body is None else json.dumps(body).encode()
        mine = f"/user/{self.name}/"
        answer = self.ask(
            method, f"{mine}{path}", content, X_XSRFToken=self.token(mine), Content_Type="application/json"
        )
        assert answer.code < 300, f"{answer.code} {answer.text[:1000]}"
        return json.loads(answer.text) if answer.text else None

    def write(self, name: str, text: str) -> None:
        self.server("PUT", f"api/contents/{name}", {"type": "file", "format": "text", "content": text})

    def read(self, name: str) -> str:
        return self.server("GET", f"api/contents/{name}?content=1")["content"]
