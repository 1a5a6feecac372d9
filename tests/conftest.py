"""Options and guards that every suite has."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from run_order import FromBothEnds, in_order

if TYPE_CHECKING:
    from xdist.remote import Producer  # pyright: ignore[reportMissingTypeStubs] - typed, but does not say so

FORGOTTEN = (
    "KUBECONFIG",
    "PULUMI_CONFIG_PASSPHRASE",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
    "PULUMI_BACKEND_URL",
    "LAB_STACK",
)
"""Variables that could lead a test to somebody's cluster, state or secrets; so could all of AWS's."""
NO_AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What keeps boto3 from the files in somebody's home and from the metadata service of a cloud machine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--update-golden`` and ``--update-screenshots``."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files after an intended change")
    parser.addoption(
        "--update-screenshots", action="store_true", help="take the pictures of docs/images anew (LAB_TESTS=all)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Clear the environment before anything is imported, workers included.

    Whoever runs the tests in the background of a shell has them ignore Ctrl-C, and with them every program they start.
    """
    # The order is ours; see `run_order`.
    config.option.loadscopereorder = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in (*FORGOTTEN, *(name for name in os.environ if name.startswith("AWS_"))):
        os.environ.pop(name, None)
    os.environ |= NO_AWS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have what takes long begin first."""
    in_order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FromBothEnds | None:
    """Hand whole files out from both ends of that order."""
    return FromBothEnds(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the project's folder."""
    return Path(__file__).resolve().parents[1]
