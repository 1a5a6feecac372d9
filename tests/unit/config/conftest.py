"""What the tests of the configuration share: where the files are, and how one is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.images import ImageReference
from components.pins import ImagePin
from stacks.environments import EnvironmentName
from stacks.loading import load_cluster, load_stack_file
from stacks.pins import load_pins

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacks.config import ClusterConfig

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "unit" / "data" / "config"


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def load() -> Callable[[Path], ClusterConfig]:
    """Load a fixture as a stack of the dev environment would be."""
    pins = load_pins(EnvironmentName.DEV)
    # Whoever reads a directory pins the hub's image; no digest of it is known here.
    image = ImageReference.parse(f"quay.io/jupyterhub/k8s-hub:4.4.0@sha256:{'0' * 64}")
    hub_image = {"k8s-hub": ImagePin(image=image, source="none")}
    with_hub = pins.model_copy(update={"images": {**pins.images, **hub_image}})
    return lambda path: load_cluster(load_stack_file(path), with_hub if ".happy." in path.name else pins)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per fixture file, per stack, per environment."""
    if "happy_file" in metafunc.fixturenames:
        files = sorted(DATA.glob("*.happy.yaml"))
        metafunc.parametrize("happy_file", files, ids=[file.name.removesuffix(".happy.yaml") for file in files])
    if "error_file" in metafunc.fixturenames:
        files = sorted(DATA.glob("*.error.*.yaml"))
        metafunc.parametrize("error_file", files, ids=[file.name.removesuffix(".yaml") for file in files])
    if "stack_name" in metafunc.fixturenames:
        metafunc.parametrize("stack_name", sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml")))
    if "environment" in metafunc.fixturenames:
        metafunc.parametrize("environment", list(EnvironmentName))
