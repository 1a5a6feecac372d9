"""The mirror: a bundle's folder over HTTP(S), as files and as a read-only image registry, by one thread per client."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self, TypeAlias, cast

from .answers import Answer, FilePart, Request, answer
from .errors import ListenError, NoBundleError
from .layout import ImageLayout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

__all__ = ["Fault", "FaultHook", "Mirror", "TlsFiles", "parse_listen"]

IDLE_SECONDS: Final = 60.0
"""A client that neither sends nor takes anything for so long is let go; longer than a loaded disk takes to seek."""
BLOCK_BYTES: Final = 1 << 20
"""Read and sent at a time under TLS, where the kernel cannot send the file itself."""
BACKLOG: Final = 512
"""Connections that may wait to be accepted: every host of a large lab asks at the same moment."""
CLOSING_SECONDS: Final = 5.0
"""Threads whose connection was cut need no longer to notice."""


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """Files of the server's certificate (chain, PEM) and of its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What shall go wrong with one request: for tests of what uses a mirror."""

    status: int | None = None
    """Answer with this status instead."""
    stall_seconds: float = 0.0
    """Say nothing for so long first."""
    cut_after_bytes: int | None = None
    """Break the connection off after so many bytes of the body."""


FaultHook: TypeAlias = "Callable[[str, str], Fault | None]"
"""Tells from method and target (path and query) of a request what shall go wrong with it."""


def parse_listen(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``; an IPv6 address stands in brackets.

    Raises
    ------
    ListenError
        If it is neither.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not host or (":" in host and not host.startswith("[")):
        raise ListenError(text, "it is not HOST:PORT")
    return host.strip("[]"), int(port)


def _no_fault(_method: str, _target: str) -> Fault | None:
    return None


def _no_log(_line: str) -> None:
    pass


class Mirror:
    """A server of the bundle in `folder`, from `start` (or ``with``) to `stop`.

    Parameters
    ----------
    folder
        The bundle; may still be growing.
    listen
        Address and TCP port to listen on; port 0 takes a free one, which `port` tells once it is started.
    tls
        Serve HTTPS with these files; plain HTTP without. What is fetched is verified by its digest either way.
    log
        Gets one line per answered request.
    fault
        Asked with method and target (path and query) of every request what shall go wrong; may be replaced at any time.
    """

    def __init__(
        self,
        folder: Path,
        *,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        tls: TlsFiles | None = None,
        log: Callable[[str], None] = _no_log,
        fault: FaultHook = _no_fault,
    ) -> None:
        self.folder = folder
        self.layout = ImageLayout(folder / "images")
        self.host, self.port = listen
        self.tls = tls
        self.log = log
        self.fault: FaultHook = fault
        self.stopping = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Address to give to clients, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def start(self) -> Self:
        """Listen and answer from threads of its own; returns itself.

        Raises
        ------
        NoBundleError
            The folder does not exist.
        ListenError
            The address is not this machine's, or taken, or the certificate cannot be used.
        """
        if not self.folder.is_dir():
            raise NoBundleError(self.folder)
        try:
            self._server = _Server(self)
        except (OSError, OverflowError) as error:
            raise ListenError(self.url.partition("//")[2], str(error)) from error
        self.port = int(self._server.server_address[1])
        self.stopping.clear()
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="bundle-mirror", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and cut off whoever is still being served. Harmless when it does not run."""
        self.stopping.set()
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is not None and thread is not None:
            server.shutdown()
            thread.join()
            server.server_close()
            server.cut_off()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = BACKLOG

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self.address_family = socket.AF_INET6 if ":" in mirror.host else socket.AF_INET
        self._context: ssl.SSLContext | None = None
        if mirror.tls is not None:
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(mirror.tls.certificate, mirror.tls.key)
        self._changed = threading.Condition()
        self._connections: set[socket.socket] = set()
        super().__init__((mirror.host, mirror.port), _Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server who we are, as the parent would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Serve one connection, in its own thread, where also its TLS handshake belongs."""
        if isinstance(request, tuple):  # a datagram: never on a stream server
            return
        request.settimeout(IDLE_SECONDS)
        connection = request
        if self._context is not None:
            connection = self._context.wrap_socket(request, server_side=True)
        with self._changed:
            self._connections.add(connection)
        try:
            _Handler(connection, client_address, self)
        finally:
            with self._changed:
                self._connections.discard(connection)
                self._changed.notify_all()
            if connection is not request:
                connection.close()

    def cut_off(self) -> None:
        """Break all connections and wait until their threads noticed."""
        with self._changed:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:  # gone by itself
                    continue
            self._changed.wait_for(lambda: not self._connections, timeout=CLOSING_SECONDS)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Log a connection that broke; one client's trouble is nobody else's."""
        del request
        error = sys.exception()
        self.mirror.log(f"{_address(client_address)} broken off: {type(error).__name__}: {error}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "research-compute-bundle"
    sys_version = ""
    disable_nagle_algorithm = True

    def __init__(self, connection: socket.socket, client: object, server: _Server) -> None:
        self.mirror = server.mirror
        super().__init__(connection, client, server)

    def _serve(self) -> None:
        began = time.monotonic()
        mirror = self.mirror
        fault = mirror.fault(self.command, self.path) or Fault()
        if fault.stall_seconds and mirror.stopping.wait(fault.stall_seconds):
            self.close_connection = True
            return
        request = Request(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        if fault.status is not None:
            found = Answer(HTTPStatus(fault.status), (("Content-Type", "text/plain"),), b"as the test wants it\n")
        else:
            found = answer(request, mirror.folder, mirror.layout)
        self.send_response(found.status)
        for name, value in found.headers:
            self.send_header(name, value)
        if found.status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(found.length))
        if int(self.headers.get("Content-Length") or 0) or self.headers.get("Transfer-Encoding"):
            self.close_connection = True  # a body that nobody reads would be taken for the next request
            self.send_header("Connection", "close")
        self.end_headers()
        sent = 0
        if self.command != "HEAD":
            length = found.length if fault.cut_after_bytes is None else min(fault.cut_after_bytes, found.length)
            sent = self._send(found, length)
            self.close_connection = self.close_connection or length < found.length
        seconds = time.monotonic() - began
        mirror.log(f"{_address(self.client_address)} {self.command} {self.path} {found.status:d} {sent} {seconds:.3f}s")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - names the parent calls

    def _send(self, found: Answer, length: int) -> int:
        """Send `length` bytes of the body; return how many went out."""
        if not isinstance(found.body, FilePart):
            self.wfile.write(found.body[:length])
            return length
        with found.body.path.open("rb") as file:
            if not isinstance(self.connection, ssl.SSLSocket):
                return self.connection.sendfile(file, found.body.part.offset, length) if length else 0
            file.seek(found.body.part.offset)
            left = length
            while left and (block := file.read(min(BLOCK_BYTES, left))):
                self.connection.sendall(block)
                left -= len(block)
            return length - left

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name of it
        """Pass on what the parent has to say, such as a request that is none."""
        if not format.startswith('"%s"'):  # its access lines are no news: ours say more
            self.mirror.log(f"{_address(self.client_address)} {format % args}")


def _address(client: object) -> str:
    return str(cast("tuple[object, ...]", client)[0]) if isinstance(client, tuple) and client else "?"
