"""A backend in a temporary folder, a passphrase whose key is derived once, and small states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bucket_server import BUCKET, BucketServer, never
from moto import mock_aws
from one_stack import PASSPHRASES, PROJECT, SALT, STACK, Lab

from labctl.engine.state import (
    Codec,
    FileBackend,
    FileStackFiles,
    Passphrase,
    S3Backend,
    SecretsManager,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def _no_passphrase_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)


@pytest.fixture
def backend(tmp_path: Path) -> FileBackend:
    return FileBackend(f"file://{tmp_path}/state")


@pytest.fixture
def files(backend: FileBackend) -> FileStackFiles:
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
def lab(files: FileStackFiles) -> Lab:
    return Lab(files)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Backend]:
    """A backend in an empty bucket of moto, in this process; what a test leaves locked goes with it."""
    monkeypatch.setattr("labctl.engine.state.locks.atexit.register", never)
    with mock_aws():
        backend = S3Backend(f"s3://{BUCKET}/teams/compute?region=us-east-1")
        backend.bucket.client.create_bucket(Bucket=BUCKET)
        yield backend


@pytest.fixture
def server() -> Iterator[BucketServer]:
    """A server that speaks S3, with an empty bucket, for processes that get killed."""
    with BucketServer() as running:
        yield running
