"""Real hubs for the tests of this folder."""

from collections.abc import Generator
from pathlib import Path

import pytest
from cluster_api import Api, make_plane

from labctl.control_plane import ControlPlane

TEST_SECONDS = 1500
"""For one test and what it begins with: a lab is brought up in it, on a machine that is busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder as one that needs the embedded control plane, and give it its time."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.fixture(scope="module")
def hub_plane(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    """A control plane of the module's own, running; gone after it."""
    plane = make_plane(tmp_path_factory.mktemp("plane"))
    plane.start()
    yield plane
    plane.wipe()


@pytest.fixture(scope="module")
def hub_api(hub_plane: ControlPlane) -> Api:
    """Its API server."""
    return Api(hub_plane)
