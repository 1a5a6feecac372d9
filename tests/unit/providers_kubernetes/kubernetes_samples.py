"""What the tests of this folder are made of: resources, kubeconfigs, an API server in a few lines."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, cast

from labctl.engine.providers.base import Resource
from labctl.engine.providers.kubernetes.manifests import checked_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.graph.values import Inputs, Value

URN = "urn:pulumi:dev::lab::{type}::{name}"


def resource(type_token: str, name: str, inputs: Inputs, outputs: Inputs | None = None) -> Resource:
    """Return a resource as the program registers it."""
    urn = URN.format(type=type_token, name=name)
    return Resource(urn=urn, type=type_token, inputs=inputs, outputs=outputs or {})


def manifest(kind: str, name: str = "thing", api_version: str = "v1", **fields: Value) -> Inputs:
    """Return an object's inputs."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "lab"}, **fields}


def checked(kind: str, api_version: str = "v1", **fields: Value) -> Inputs:
    """Return an object's checked inputs."""
    group_version = "core/v1" if api_version == "v1" else api_version
    plain = {**manifest(kind, api_version=api_version), **fields}
    return checked_inputs(resource(f"kubernetes:{group_version}:{kind}", "thing", plain), "default")


def kubeconfig(
    server: str = "https://10.1.0.1:6443", authority: str = "Q0E=", namespace: str = "", context: str = "lab"
) -> str:
    """Return the text of a kubeconfig with two clusters."""
    first: dict[str, object] = {"server": server}
    if server.startswith("https"):
        first["certificate-authority-data"] = authority
    other = {"server": "https://10.9.9.9:6443"}
    used: dict[str, object] = {"cluster": "lab", "user": "lab"}
    if namespace:
        used["namespace"] = namespace
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": first}, {"name": "other", "cluster": other}],
            "users": [{"name": "lab", "user": {"token": "t0ken"}}],
            "contexts": [
                {"name": "lab", "context": used},
                {"name": "other", "context": {"cluster": "other", "user": "lab"}},
            ],
            "current-context": context,
        },
        indent=1,
    )


@dataclass
class Call:
    """One request that the fake server saw."""

    method: str
    path: str
    headers: dict[str, str]
    body: Value


@dataclass
class Answer:
    """What the fake server says; `hangs_up`: nothing, it closes the connection."""

    status: int = 200
    body: Value = field(default_factory=dict[str, "Value"])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    hangs_up: bool = False


class FakeServer:
    """An HTTP server on loopback whose answers a test writes."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answer: Callable[[Call], Answer] = lambda _: Answer()
        self._lock = Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def made(self, method: str) -> list[Call]:
        """Return the calls with one method."""
        return [call for call in self.calls if call.method == method]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = cast("Value", json.loads(self.rfile.read(length))) if length else None
                call = Call(self.command, self.path, dict(self.headers.items()), body)
                with fake._lock:  # pyright: ignore[reportPrivateUsage] - the server's own handler
                    fake.calls.append(call)
                answer = fake.answer(call)
                if answer.hangs_up:
                    self.close_connection = True
                    return
                payload = json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(payload))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names http.server looks for

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                del format, args

        return Handler


def failure(status: int, reason: str, message: str, **details: Value) -> Answer:
    """Return a Kubernetes failure."""
    return Answer(
        status, {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "details": details}
    )
