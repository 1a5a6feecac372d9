"""A cache of the test's own, no programs on PATH, and pins to obtain."""

from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.control_plane.pins import ToolPin, VersionFit


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the cache of tools be empty and the test's own; return it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "research-compute"


@pytest.fixture
def bin_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let PATH be one empty folder, beside the system's own; return it."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    return path


@pytest.fixture
def program(bin_directory: Path) -> Callable[[str, str], Path]:
    """Put a program on PATH that prints a text, whatever it is asked."""

    def make(name: str, output: str) -> Path:
        path = bin_directory / name
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def pin() -> ToolPin:
    return ToolPin(
        name="tool",
        version="1.2.3",
        fits=VersionFit.MINOR,
        probe=("--version",),
        module="tool",
        package="example.org/tool",
        ldflags="-s -X main.version={version}",
    )
