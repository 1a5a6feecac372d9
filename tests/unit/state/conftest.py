"""A backend in a temporary folder, a passphrase whose key is derived once, and small states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from one_stack import PASSPHRASES, PROJECT, SALT, STACK, Lab

from labctl.engine.state import (
    Codec,
    FileBackend,
    Passphrase,
    SecretsManager,
    StackFiles,
)

if TYPE_CHECKING:
    pass

DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def _no_passphrase_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)


@pytest.fixture
def backend(tmp_path: Path) -> FileBackend:
    return FileBackend(f"file://{tmp_path}/state")


@pytest.fixture
def files(backend: FileBackend) -> StackFiles:
    return backend.files(PROJECT, STACK)


@pytest.fixture
def codec() -> Codec:
    return Codec(SecretsManager(SALT, PASSPHRASES))


@pytest.fixture
def passphrases() -> tuple[Passphrase, ...]:
    return PASSPHRASES


@pytest.fixture
def official() -> dict[str, Any]:
    """What ``pulumi stack export`` printed: one stack, two providers, two commands, one id; passphrase ``contract``."""
    return json.loads((DATA / "official-secrets.deployment.json").read_text())


@pytest.fixture
def lab(files: StackFiles) -> Lab:
    return Lab(files)
