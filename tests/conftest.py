"""Options and guards that every suite has."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

FORGOTTEN = (
    "KUBECONFIG",
    "PULUMI_CONFIG_PASSPHRASE",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
    "PULUMI_BACKEND_URL",
    "LAB_STACK",
)
"""Variables that could lead a test to somebody's cluster, state or secrets."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--update-golden``."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files after an intended change")


def pytest_configure(config: pytest.Config) -> None:
    """Clear the environment before anything is imported, workers included.

    Whoever runs the tests in the background of a shell has them ignore Ctrl-C, and with them every program they start.
    """
    del config
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in FORGOTTEN:
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the project's folder."""
    return Path(__file__).resolve().parents[1]
