"""A host for scripts, without a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from script_workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return Workshop(tmp_path, monkeypatch)
