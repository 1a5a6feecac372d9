"""Files from the web by their checksum: gone on with where they ended, tried again where that can help."""

from __future__ import annotations

import errno
import hashlib
import shutil
import time
import urllib.request
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import urllib3

from .errors import ChecksumError, DiskFullError, FetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["BLOCK_BYTES", "Client", "Download", "digest_of", "is_done"]

CONNECT_SECONDS: Final = 10.0
"""A host that has not answered by then will not: three lost packets and their repetitions (RFC 6298)."""
READ_SECONDS: Final = 60.0
"""Between two pieces of a download: slower than this is a dead connection."""
ATTEMPTS: Final = 5
"""Of one download; with pauses of 0.5, 1, 2 and 4 s between them a server's restart is outlived."""
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 60.0
"""A server that asks for a longer pause is told that this download failed."""
BLOCK_BYTES: Final = 1 << 20
"""Read, hashed and written at a time."""
WORTH_RETRYING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that can be another one in a moment (RFC 9110; 425 is RFC 8470, 429 RFC 6585)."""
STOPPED: Final = "stopped"
REDIRECTS: Final = 5
"""Followed at most; a registry sends to its storage, a release page to its own, none of them twice."""


def _ignore(_count: int) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Download:
    """One file that is wanted."""

    url: str
    path: Path
    sha256: str
    """64 hexadecimal digits."""
    size: int | None = None
    """Bytes, where they are known."""


def digest_of(path: Path) -> str:
    """Return the sha256 of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def is_done(download: Download) -> bool:
    """Tell whether the file is there already and the right one."""
    path = download.path
    if not path.is_file() or (download.size is not None and path.stat().st_size != download.size):
        return False
    return digest_of(path) == download.sha256


class Client:
    """HTTP for one run: connections are kept, proxies of the environment used, and it can be told to stop.

    Parameters
    ----------
    parallel
        Downloads that run at once, for as many connections.
    stopping
        Set to have every download end at its next block.
    pause
        Waits so many seconds between attempts.
    """

    def __init__(
        self, *, parallel: int = 8, stopping: Event | None = None, pause: Callable[[float], object] = time.sleep
    ) -> None:
        self._parallel = parallel
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        self._pause = pause
        self.stopping = stopping or Event()

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.clear()

    def request(self, url: str, headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        """Return the answer to a GET, its body not yet read; redirects are followed, failures not tried again.

        Raises
        ------
        urllib3.exceptions.HTTPError
            There is no answer.
        """
        return self._pool(url).request(
            "GET",
            url,
            headers=dict(headers or {}),
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=urllib3.Retry(total=REDIRECTS, connect=0, read=0, status=0, other=0, redirect=REDIRECTS),
            preload_content=False,
            decode_content=False,
        )

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        """Return the answer to a GET with its body in memory, tried again where that can help.

        Raises
        ------
        FetchError
            There is no answer.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self.request(url, headers)
                response.read(cache_content=True)
            except urllib3.exceptions.HTTPError as error:
                if attempt == ATTEMPTS:
                    raise FetchError(url, _reason(error)) from error
                self._wait(url, attempt, None)
                continue
            response.release_conn()
            if response.status not in WORTH_RETRYING or attempt == ATTEMPTS:
                return response
            self._wait(url, attempt, response)
        raise FetchError(url, "no attempt was made")

    def fetch(
        self,
        download: Download,
        *,
        headers: Callable[[], Mapping[str, str]] = dict,
        advance: Callable[[int], None] = _ignore,
    ) -> None:
        """Leave the file at its path, verified; what an earlier run began is gone on with.

        Parameters
        ----------
        download
            The file.
        headers
            Returns what else to send, asked at each attempt.
        advance
            Told of every so many bytes received; negative where some were thrown away.

        Raises
        ------
        FetchError
            It cannot be had.
        ChecksumError
            What came, from its first byte on, is not what was wanted; nothing is left of it.
        DiskFullError
            There is no room; what came so far stays for the next run.
        """
        if self.stopping.is_set():
            raise FetchError(download.url, STOPPED)
        path = download.path
        part = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._receive_all(download, part, headers, advance)
            part.replace(path)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise DiskFullError(path, shutil.disk_usage(path.parent).free) from error
            raise FetchError(download.url, f"{error.strerror or error}: {path}") from error

    def _receive_all(
        self,
        download: Download,
        part: Path,
        headers: Callable[[], Mapping[str, str]],
        advance: Callable[[int], None],
    ) -> None:
        resumed = part.exists() and part.stat().st_size > 0
        attempt = 0
        while True:
            attempt += 1
            response = None
            try:
                response = self._receive(download, part, headers(), advance)
                if response is None:
                    break
                reason = f"HTTP {response.status}"
                if response.status not in WORTH_RETRYING:
                    raise FetchError(download.url, reason)
            except urllib3.exceptions.HTTPError as error:
                reason = _reason(error)
                attempt += _lost_attempts(error)
            if attempt >= ATTEMPTS:
                raise FetchError(download.url, f"{reason}, and trying again did not help")
            self._wait(download.url, attempt, response)
        actual = digest_of(part)
        if actual == download.sha256:
            return
        advance(-part.stat().st_size)
        part.unlink()
        if not resumed:
            raise ChecksumError(download.url, expected=download.sha256, actual=actual)
        self._receive_all(download, part, headers, advance)  # what was there before may have been another file's

    def _receive(
        self, download: Download, part: Path, headers: Mapping[str, str], advance: Callable[[int], None]
    ) -> urllib3.BaseHTTPResponse | None:
        """Receive the rest of one file; None when it is complete, else the answer that says why not."""
        offset = part.stat().st_size if part.exists() else 0
        if download.size is not None and offset >= download.size:
            return None  # complete, or too long: its checksum says which
        wanted = {**headers, **({"Range": f"bytes={offset}-"} if offset else {})}
        response = self.request(download.url, wanted)
        try:
            if response.status == 416:  # noqa: PLR2004 - nothing is left to send: its checksum says whether it is right
                return None
            if response.status not in {200, 206}:
                return response
            with part.open("ab" if response.status == 206 else "wb") as file:  # noqa: PLR2004 - partial content
                if offset and response.status != 206:  # noqa: PLR2004 - the server begins anew
                    advance(-offset)
                for block in response.stream(BLOCK_BYTES):
                    if self.stopping.is_set():
                        raise FetchError(download.url, STOPPED)
                    file.write(block)
                    advance(len(block))
        finally:
            response.close()
        return None

    def _wait(self, url: str, attempt: int, response: urllib3.BaseHTTPResponse | None) -> None:
        """Wait as long as the server asks, else twice as long as the time before."""
        pause = FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        if asked.isdecimal():
            pause = float(asked)
            if pause > LONGEST_PAUSE_SECONDS:
                raise FetchError(url, f"asks to come back in {asked} s")
        if self.stopping.is_set():
            raise FetchError(url, STOPPED)
        self._pause(pause)

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Return the connections that go the way HTTPS_PROXY, HTTP_PROXY and NO_PROXY say."""
        parts = urlsplit(url)
        proxy = urllib.request.getproxies().get(parts.scheme)
        if proxy and urllib.request.proxy_bypass(parts.hostname or ""):
            proxy = None
        if proxy not in self._pools:
            self._pools[proxy] = (
                urllib3.ProxyManager(proxy, maxsize=self._parallel)
                if proxy
                else urllib3.PoolManager(maxsize=self._parallel)
            )
        return self._pools[proxy]


def _lost_attempts(error: urllib3.exceptions.HTTPError) -> int:
    """Return how many attempts an error costs beside its own: a name that is not known will hardly be in a moment."""
    inner = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    return ATTEMPTS // 2 if isinstance(inner, urllib3.exceptions.NameResolutionError) else 0


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    """Return what went wrong in a line, without urllib3's own names around it."""
    inner = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    if isinstance(inner, urllib3.exceptions.NameResolutionError):
        return "its name cannot be resolved"
    if isinstance(inner, urllib3.exceptions.NewConnectionError):  # before the class above it
        return "does not accept connections"
    if isinstance(inner, urllib3.exceptions.ConnectTimeoutError):
        return "cannot be reached"
    if isinstance(inner, urllib3.exceptions.ReadTimeoutError):
        return f"sent nothing for {READ_SECONDS:.0f} s"
    if isinstance(inner, urllib3.exceptions.SSLError):
        return f"its certificate is not accepted ({inner})"
    return f"broke off ({type(inner).__name__})" if inner is not None else "no answer"
