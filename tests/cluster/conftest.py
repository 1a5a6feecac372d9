"""A real control plane for the tests of this folder: one per test run, however many workers it has."""

import contextlib
import fcntl
import os
import sys
import uuid
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import pytest
from cluster_api import Api, make_plane
from lab_copy import LabCopy, copy_project
from lab_facts import Undisturbed, objects_of_ours, state_of
from reslice_bed import SMALL, Bed
from simulated_operator import SimulatedOperator

from labctl.control_plane import ControlPlane, SimulatedNode, obtain_tool
from labctl.control_plane.pins import CONTROL_PLANE_TOOLS

TEST_SECONDS = 1500
"""For one test and what it begins with: a lab is brought up in it, on a machine that is busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder as one that needs the embedded control plane, and give it its time."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    """A running control plane, shared by all workers of a test run: name what you create after `namespace`."""
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    directory.mkdir(exist_ok=True)
    plane = make_plane(directory)
    with (directory / "users").open("ab") as users:
        # Starting is idempotent; what needs care is that the last one out, and only that one, removes it.
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            plane.start()
            yield plane
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                plane.wipe()


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> Api:
    return Api(control_plane)


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Generator[str]:
    """A name no other test uses; a namespace of it is deleted after the test."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    yield name
    Api(control_plane).delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def own_plane(tmp_path: Path) -> Generator[ControlPlane]:
    """A control plane of the test's own, not started, gone after the test."""
    plane = make_plane(tmp_path / "own")
    yield plane
    plane.wipe()


@pytest.fixture
def other_plane(tmp_path: Path) -> Generator[ControlPlane]:
    """A second control plane of the test's own."""
    plane = make_plane(tmp_path / "other")
    yield plane
    plane.wipe()


@pytest.fixture
def figure() -> Callable[[str], None]:
    """Note a measured figure: shown with -s or -rP."""

    def note(line: str) -> None:
        sys.stdout.write(f"{line}\n")

    return note


@pytest.fixture
def gpu_node() -> Callable[..., SimulatedNode]:
    """Make a node like the lab's GPU hosts."""

    def make(name: str, *, slices: Mapping[str, str] | None = None, **labels: str) -> SimulatedNode:
        capacity = {"cpu": "32", "memory": "256Gi", "pods": "110", "ephemeral-storage": "400Gi"}
        named = {key.replace("_", "-"): value for key, value in labels.items()}
        return SimulatedNode(name=name, address="10.1.2.3", labels=named, capacity={**capacity, **(slices or {})})

    return make


@pytest.fixture(scope="module")
def project_copy(tmp_path_factory: pytest.TempPathFactory) -> Generator[LabCopy]:
    """A copy of the project, its programs obtained, nothing started; no control plane of it runs after the module."""
    for tool in CONTROL_PLANE_TOOLS:
        obtain_tool(tool, print)
    lab = copy_project(tmp_path_factory.mktemp("project"))
    yield lab
    for folder in sorted((lab.root / ".lab").glob("*/control-plane")):
        LabCopy(lab.root, folder.parent.name).plane.wipe()


@pytest.fixture(scope="module")
def undisturbed(project_copy: LabCopy) -> Undisturbed:
    project_copy.well("up", "--yes")
    found = Undisturbed(objects_of_ours(project_copy.api), state_of(project_copy))
    assert len(found.objects) > 70
    return found


@pytest.fixture
def empty(project_copy: LabCopy, undisturbed: Undisturbed) -> LabCopy:
    """A lab whose control plane runs and holds nothing of the program."""
    project_copy.well("destroy", "--yes")
    assert objects_of_ours(project_copy.api) == {}
    return project_copy


@pytest.fixture
def deployed(project_copy: LabCopy, undisturbed: Undisturbed) -> LabCopy:
    """A lab as it was left by the test before, brought up if it was not."""
    project_copy.well("up", "--yes")
    return project_copy


@pytest.fixture(scope="module")
def gpu_plane(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    """A control plane of the module's own, whose GPU nodes come and go with each test."""
    plane = make_plane(tmp_path_factory.mktemp("reslice"))
    plane.start()
    yield plane
    plane.wipe()


@pytest.fixture
def make_bed(gpu_plane: ControlPlane, request: pytest.FixtureRequest) -> Generator[Callable[..., Bed]]:
    """Make fresh nodes with an operator; one bed per test."""
    api, started = Api(gpu_plane), list[SimulatedOperator]()
    namespace = "r" + str(abs(hash(request.node.name)) % 10**8)

    def make(*nodes: str) -> Bed:
        capacity = {"cpu": "32", "memory": "256Gi", "pods": "110"}
        labels = {"test": namespace}
        gpu_plane.reconcile_nodes([])
        gpu_plane.reconcile_nodes(
            [SimulatedNode(name=name, address=None, labels=labels, capacity=capacity) for name in nodes]
        )
        api.namespace(namespace)
        api.namespace(f"{namespace}-users")
        operator = SimulatedOperator(api, namespace, dict.fromkeys(nodes, 1))
        operator.start()
        started.append(operator)
        return Bed(api, gpu_plane.kubeconfig.read_text(encoding="utf-8"), namespace, nodes, operator)

    yield make
    for operator in started:
        operator.stop()
    for name in (namespace, f"{namespace}-users"):
        api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def bed(make_bed: Callable[..., Bed]) -> Bed:
    """One node, cut into small slices."""
    made = make_bed("gpu-1")
    made.well(made.plan(SMALL))
    return made
