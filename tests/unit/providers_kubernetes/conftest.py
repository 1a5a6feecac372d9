"""Fixtures of the kubernetes provider's unit tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kubernetes_samples import FakeServer

if TYPE_CHECKING:
    from collections.abc import Generator

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "KUBECONFIG")


@pytest.fixture(autouse=True)
def cleared_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches a proxy or somebody's cluster."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fake_server() -> Generator[FakeServer]:
    """An API server in a few lines, on loopback."""
    server = FakeServer()
    yield server
    server.close()
