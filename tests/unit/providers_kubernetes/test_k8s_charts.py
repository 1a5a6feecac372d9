from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from kubernetes_samples import FakeServer

from labctl.engine.providers.kubernetes.releases import charts
from labctl.engine.providers.kubernetes.releases.charts import ChartKind, ChartReference, ChartSources
from labctl.graph.values import Inputs


@pytest.mark.parametrize(
    ("chart", "repo", "kind", "reference", "name"),
    [
        ("web", "https://charts.example", ChartKind.REPOSITORY, "web", "web"),
        ("oci://reg.example/charts/web", "", ChartKind.OCI, "oci://reg.example/charts/web", "web"),
        ("web", "oci://reg.example/charts/", ChartKind.OCI, "oci://reg.example/charts/web", "web"),
        ("https://x.example/web-1.tgz", "", ChartKind.ARCHIVE, "https://x.example/web-1.tgz", "web-1"),
        ("./charts/web", "", ChartKind.LOCAL, "./charts/web", "web"),
        ("web", "file:///srv/charts", ChartKind.LOCAL, "/srv/charts/web", "web"),
    ],
)
def test_where_a_chart_comes_from(chart: str, repo: str, kind: ChartKind, reference: str, name: str) -> None:
    inputs: Inputs = {"chart": chart, "version": "1.0.0", "repositoryOpts": {"repo": repo}}

    found = ChartReference.of(inputs)

    assert (found.kind, found.chart, found.name, found.version) == (kind, reference, name, "1.0.0")


def of(chart: str, repo: str = "") -> ChartReference:
    return ChartReference.of({"chart": chart, "version": "1.0.0", "repositoryOpts": {"repo": repo}})


def test_a_host_is_asked_once_however_many_charts_come_from_it(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, int]] = []
    real = socket.create_connection

    def counted(address: tuple[str, int], timeout: float) -> socket.socket:
        opened.append(address)
        return real(address, timeout)

    monkeypatch.setattr(charts.socket, "create_connection", counted)
    sources = ChartSources(project=Path())
    threads = [
        threading.Thread(target=sources.why_unreachable, args=(of(f"chart-{number}", fake_server.url),))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sources.why_unreachable(of("x", fake_server.url)) == ""
    assert len(opened) == 1


def test_nobody_there_is_said_within_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, over = threading.Event(), threading.Event()

    def slow(address: tuple[str, int], timeout: float) -> socket.socket:
        del address, timeout
        asked.set()
        over.wait(10)
        return socket.socket()

    monkeypatch.setattr(charts, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(charts, "LATER_PROBE_SECONDS", 0.01)
    monkeypatch.setattr(charts.socket, "create_connection", slow)
    started = time.monotonic()

    sources = ChartSources(project=Path())

    assert "no answer within" in sources.why_unreachable(of("web", "https://charts.invalid"))
    for number in range(3):
        assert "no answer within 0.01 s" in sources.why_unreachable(of("web", f"https://other-{number}.invalid"))
    assert time.monotonic() - started < 2
    assert asked.is_set()
    over.set()


def test_a_refused_connection_is_a_reason() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"

        assert "refused" in ChartSources(project=Path()).why_unreachable(of("web", url))


def test_a_proxy_that_lets_nobody_through_is_a_reason(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", fake_server.url)

    reason = ChartSources(project=Path()).why_unreachable(of("web", "https://charts.invalid"))

    assert "501" in reason


def test_what_no_proxy_excludes_is_asked_directly(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    assert ChartSources(project=Path()).why_unreachable(of("web", fake_server.url)) == ""


def test_a_local_chart_is_there_or_not(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    sources = ChartSources(project=tmp_path)

    assert sources.why_unreachable(of("./web")) == ""
    assert sources.why_unreachable(of("./other")) == "no such file or folder"
