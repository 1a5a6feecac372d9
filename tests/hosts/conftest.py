"""Real hosts for the tests of this folder, only where they were asked for: they need root and change the machine."""

import os
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest
from bed import Bed
from bed_bundle import Bundle, make_bundle


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs hosts unless this run may have them."""
    if os.environ.get("LAB_TESTS") == "all" and os.geteuid() == 0:
        return
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.skip(reason="boots hosts: needs root and LAB_TESTS=all"))


@pytest.fixture(scope="module")
def make_bed() -> Generator[Callable[[int], Bed]]:
    """Start a bed with that many hosts; it is gone after the module."""
    with ExitStack() as stack:
        yield lambda count: stack.enter_context(Bed.start(count, progress=print))


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The files and images hosts need."""
    return make_bundle(print)
