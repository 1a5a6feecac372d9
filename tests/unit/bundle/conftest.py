"""A small bundle on disk, and a mirror of it on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import urllib3
from bundle_samples import BUSYBOX, PAUSE, SmallBundle, put_image

from labctl.bundle.mirror import Mirror

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture
def small_bundle(tmp_path: Path) -> SmallBundle:
    folder = tmp_path / "bundle"
    program = folder / "files" / "dl.example.org" / "release" / "v1.2" / "kubelet+1~rc"
    program.parent.mkdir(parents=True)
    program.write_bytes(bytes(range(256)) * 4)
    (folder / ".signing").mkdir()
    (folder / ".signing" / "key").write_text("private")
    return SmallBundle(
        folder,
        put_image(folder / "images", PAUSE, b"pause" * 1000),
        put_image(folder / "images", BUSYBOX, b"busybox" * 1000),
    )


@pytest.fixture
def mirror(small_bundle: SmallBundle) -> Generator[Mirror]:
    with Mirror(small_bundle.folder) as running:
        yield running


@pytest.fixture
def http() -> Generator[urllib3.PoolManager]:
    with urllib3.PoolManager(timeout=10, retries=False, maxsize=16) as pool:
        yield pool
