"""A copy of the project's outline, small resources for pictures, and the command line in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl import run_log


@pytest.fixture
def project(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is a project, with the stack files, and go there."""
    folder = tmp_path / "project"
    folder.mkdir()
    for path in (root / "Pulumi.yaml", *root.glob("Pulumi.*.yaml"), root / "__main__.py"):
        shutil.copy(path, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    run_log.finish(0)
    yield
    run_log.finish(0)
