"""A project in git whose stack test has a twin on other machines: ``test-lund``."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = """        lund-worker-{number}:
          address: 203.0.113.{number}
          roles: [worker]
          hostKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL1FDx0Pyi+pSe74DLjV5g6QDbjOvorP7fldV+f6/KM{mark}
          hardware: {{cpus: 64, memory: 512Gi, ephemeralStorage: 1920G}}
"""


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - pytest uses it
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def project(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of what a comparison reads, and go there."""
    folder = tmp_path / "project"
    (folder / "stacks").mkdir(parents=True)
    shutil.copytree(root / "stacks" / "pins", folder / "stacks" / "pins")
    for path in (root / "__main__.py", *root.glob("Pulumi*.yaml")):
        shutil.copy2(path, folder)
    text = (folder / "Pulumi.test.yaml").read_text()
    for old, new in (
        ("sensorlab-test", "photonlab"),
        ("test.lab.example.org", "photon.example.net"),
        ("198.51.100.", "203.0.113."),
        ("ata-ST8000NM017B_WWZ1A", "wwn-0x5000c500a1b2c3d"),
    ):
        assert old in text
        text = text.replace(old, new)
    text = re.sub(r"\b(cp|store|gpu|worker)-(\d)\b", r"lund-\1-\2", text)
    text = re.sub(r"(?<=hostKey: ssh-ed25519 )(\S+)(?=.\n)", lambda found: found[0][:40] + found[0][40:][::-1], text)
    more = "".join(WORKER.format(number=number, mark=mark) for number, mark in ((32, "b"), (33, "c")))
    (folder / "Pulumi.test-lund.yaml").write_text(
        text.replace("        lund-gpu-1:\n", more + "        lund-gpu-1:\n", 1)
    )
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def revisions(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the whole program in git, and go there."""
    folder = tmp_path / "revisions"
    folder.mkdir()
    for part in ("components", "stacks"):
        shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (root / "__main__.py", root / "Pulumi.yaml", root / "Pulumi.dev.yaml"):
        shutil.copy2(path, folder)
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@lab.example.org", "-c", "commit.gpgsign=false")
    for arguments in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message=Start")):
        subprocess.run([*git, *arguments], cwd=folder, check=True)
    monkeypatch.chdir(folder)
    return folder
