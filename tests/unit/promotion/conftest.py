"""Pins as text, and a project in a folder of its own whose test environment is ahead of its prod."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from pin_texts import PinsText, bumped, git

from labctl.promotion.pins import pins_in


@pytest.fixture
def pins_text() -> PinsText:
    return PinsText()


@pytest.fixture
def project(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project in git: test is a patch of Kubernetes and a major version of JupyterHub ahead of prod."""
    folder = tmp_path / "project"
    folder.mkdir()
    for part in ("components", "stacks"):
        shutil.copytree(root / part, folder / part)
    for path in (root / "__main__.py", *root.glob("Pulumi*.yaml")):
        shutil.copy2(path, folder)
    pins = folder / "stacks" / "pins"
    text = (pins / "test.yaml").read_text()
    (pins / "prod.yaml").write_text(
        text.replace("# Versions of the test environment", "# Versions of the prod environment")
    )
    kubernetes = pins_in(text, file="test.yaml")["kubernetes"].version
    ahead = text.replace(kubernetes, bumped(kubernetes, 2))
    ahead = ahead.replace(f"kubeadm {kubernetes[1:]}", f"kubeadm {bumped(kubernetes, 2)[1:]}")
    ahead = re.sub(r"(?<=chart: jupyterhub\n    version: )\S+", lambda found: bumped(found[0], 0), ahead)
    (pins / "test.yaml").write_text(ahead)
    (folder / ".gitignore").write_text("__pycache__/\n.lab/\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "user.name", "Ada")
    git(folder, "config", "user.email", "ada@lab.example.org")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=Start")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return folder
