"""Stopping a cluster that others live on, whatever their files look like by now."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labctl.control_plane import ControlPlane
from labctl.verbs.down import down


def test_a_tenant_whose_file_fits_no_more_keeps_nobody_from_stopping_the_owner(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (root / "Pulumi.yaml", root / "Pulumi.dev.yaml", root / "__main__.py"):
        shutil.copy(path, tmp_path)
    # dev has granted it nothing: `labctl preview --stack dev-open` ends with 3.
    shutil.copy(root / "docs" / "examples" / "open-data" / "Pulumi.dev-open.yaml", tmp_path)
    stopped: list[str] = []

    class Hub:
        def __init__(self, folder: Path, *_: object) -> None:
            self._stack = folder.name

        def stop(self) -> list[str]:
            stopped.append(self._stack)
            return []

    def stop_plane(plane: ControlPlane) -> list[str]:
        stopped.append(plane.name)
        return []

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("labctl.local_hub.hub.LocalHub", Hub)
    monkeypatch.setattr(ControlPlane, "stop", stop_plane)
    down("dev", wipe=False, as_json=True)
    assert stopped == ["dev", "dev-open", "lab-dev"]
