"""An update that cannot succeed is refused before anything is touched, whatever a preview of it shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labctl.engine.state import PassphraseMissingError
from labctl.lab import Lab, open_lab
from stacks.errors import MissingSecretsError

SEALED = "    secure: v1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"


def lab_of(root: Path, folder: Path, *, nodes: str = "", config: str = "") -> Lab:
    """Return the next stack of a folder of its own, with a changed nodes section and more configuration."""
    shutil.copy(root / "Pulumi.yaml", folder)
    text = (root / "Pulumi.next.yaml").read_text(encoding="utf-8")
    text = text.replace("    nodes:\n", f"    nodes:\n{nodes}", 1)
    if nodes == ADOPTED:
        text = text.replace("    scheduling: {interactive: spread, batch: pack}\n", "")
    (folder / "Pulumi.next.yaml").write_text(text.replace("config:\n", f"config:\n{config}", 1), encoding="utf-8")
    return open_lab("next", folder)


ADOPTED = "      adopt: {kubeconfigSecret: {secret: kubeconfig}}\n"


def test_secrets_that_are_set_nowhere(root: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingSecretsError, match=r"--secret githubClientSecret\n.*--secret kubeconfig"):
        lab_of(root, tmp_path, nodes=ADOPTED).require_deployable()


def test_secrets_that_cannot_be_opened(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    config = f"  research-compute:kubeconfig:\n{SEALED}  research-compute:githubClientSecret:\n{SEALED}"
    with pytest.raises(PassphraseMissingError):
        lab_of(root, tmp_path, nodes=ADOPTED, config=config).require_deployable()


def test_the_simulated_lab_needs_nothing(root: Path) -> None:
    open_lab("dev", root).require_deployable()
