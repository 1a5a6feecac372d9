"""Where a chart comes from, and whether that place answers."""

from __future__ import annotations

import http.client
import socket
import tarfile
import urllib.request
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from labctl.engine.providers.kubernetes.documents import MalformedDocumentError, parsed
from labctl.graph.values import as_mapping, as_text

from .exceptions import UnreadableChartError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labctl.graph.values import Value

__all__ = ["ChartKind", "ChartReference", "ChartSources", "local_version"]

PROBE_SECONDS: Final = 2.0
"""For a name look-up and a connection, once per host and run; a slow answer is no answer."""
LATER_PROBE_SECONDS: Final = 0.5
"""The same once a host has kept silent: most likely there is no network, and the other hosts are not waited for."""
SILENCE: Final = "no answer within"
HTTPS_PORT: Final = 443
HTTP_PORT: Final = 80


class ChartKind(StrEnum):
    """What sort of place a chart comes from."""

    LOCAL = "folder or archive"
    REPOSITORY = "repository"
    OCI = "registry"
    ARCHIVE = "URL of an archive"


@dataclass(frozen=True)
class ChartReference:
    """One chart by what the program says of it."""

    kind: ChartKind
    chart: str
    """Name within a repository, path, or whole reference."""
    repository: str
    """URL of the repository; empty for other kinds."""
    version: str

    @classmethod
    def of(cls, inputs: Mapping[str, Value]) -> ChartReference:
        """Return the chart of checked release `inputs`."""
        chart, version = as_text(inputs.get("chart")), as_text(inputs.get("version"))
        repository = as_text(as_mapping(inputs.get("repositoryOpts")).get("repo"))
        if repository.startswith("oci://"):
            return cls(ChartKind.OCI, f"{repository.rstrip('/')}/{chart}", "", version)
        if repository.startswith(("http://", "https://")):
            return cls(ChartKind.REPOSITORY, chart, repository, version)
        if repository:
            return cls(ChartKind.LOCAL, f"{repository.removeprefix('file://')}/{chart}", "", version)
        if chart.startswith("oci://"):
            return cls(ChartKind.OCI, chart, "", version)
        if chart.startswith(("http://", "https://")):
            return cls(ChartKind.ARCHIVE, chart, "", version)
        return cls(ChartKind.LOCAL, chart, "", version)

    @property
    def source(self) -> str:
        """Where it comes from, for a person."""
        return self.repository or self.chart

    @property
    def name(self) -> str:
        """The chart's short name."""
        return self.chart.rstrip("/").rsplit("/", 1)[-1].removesuffix(".tgz")


def local_version(path: Path) -> str:
    """Return the version of the chart in a folder or archive; empty when nothing is there.

    Raises
    ------
    UnreadableChartError
        Something is there, and it is no chart.
    """
    text = _chart_yaml(path)
    if text is None:
        return ""
    try:
        loaded = parsed(text)
    except MalformedDocumentError as error:
        raise UnreadableChartError(str(path), "its Chart.yaml is not YAML") from error
    version = as_text(as_mapping(loaded).get("version"))
    if not version:
        raise UnreadableChartError(str(path), "its Chart.yaml names no version")
    return version


def _chart_yaml(path: Path) -> str | None:
    if path.is_dir():
        file = path / "Chart.yaml"
        if not file.is_file():
            raise UnreadableChartError(str(path), "it has no Chart.yaml")
        return file.read_text(encoding="utf-8")
    if not path.is_file():
        return None
    try:
        with tarfile.open(path) as archive:
            member = next(
                (item for item in archive if item.name.count("/") == 1 and item.name.endswith("/Chart.yaml")), None
            )
            content = archive.extractfile(member) if member is not None else None
            if content is None:
                raise UnreadableChartError(str(path), "it has no Chart.yaml")
            return content.read().decode()
    except (tarfile.TarError, OSError, UnicodeDecodeError) as error:
        raise UnreadableChartError(str(path), f"it cannot be read ({error})") from error


class ChartSources:
    """Which chart sources answer, asked once per host; thread-safe.

    Parameters
    ----------
    project
        Folder that relative paths start from.
    """

    def __init__(self, *, project: Path) -> None:
        self.project = project
        self._answers: dict[tuple[str, int], str] = {}
        self._locks: dict[tuple[str, int], Lock] = {}
        self._lock = Lock()

    def why_unreachable(self, reference: ChartReference) -> str:
        """Return why the chart's source does not answer; empty when it does."""
        if reference.kind is ChartKind.LOCAL:
            return "" if (self.project / reference.chart).exists() else "no such file or folder"
        parts = urlsplit(reference.source)
        scheme = "http" if parts.scheme == "http" else "https"
        host = parts.hostname or ""
        place = (host, parts.port or (HTTP_PORT if scheme == "http" else HTTPS_PORT))
        with self._lock:
            lock = self._locks.setdefault(place, Lock())
        with lock:
            if place not in self._answers:
                with self._lock:
                    is_silent = any(map(_is_silence, self._answers.values()))
                answer = _within(LATER_PROBE_SECONDS if is_silent else PROBE_SECONDS, scheme, *place)
                with self._lock:
                    self._answers[place] = answer
            return self._answers[place]


def _is_silence(reason: str) -> bool:
    return reason.startswith(SILENCE)


def _within(seconds: float, scheme: str, host: str, port: int) -> str:
    """Return why there is no connection after `seconds`; a name look-up has no time limit of its own."""
    answer = [f"{SILENCE} {seconds:g} s"]

    def probe() -> None:
        try:
            _connect(scheme, host, port, seconds)
        except (OSError, ValueError, http.client.HTTPException) as error:
            answer[0] = getattr(error, "strerror", None) or str(error) or type(error).__name__
        else:
            answer[0] = ""

    thread = Thread(target=probe, daemon=True, name=f"probe-{host}")
    thread.start()
    thread.join(seconds)
    return answer[0]


def _connect(scheme: str, host: str, port: int, seconds: float) -> None:
    """Open a connection to `host`, through the proxy that the environment names for it, and close it."""
    proxy = "" if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(scheme, "")
    if not proxy:
        socket.create_connection((host, port), timeout=seconds).close()
        return
    parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or HTTP_PORT, timeout=seconds)
    if scheme == "https":
        connection.set_tunnel(host, port)
    try:
        connection.connect()
    finally:
        connection.close()
