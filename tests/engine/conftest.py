"""What the contract suite runs on: a control plane shared with the other tests of a run, and the recordings."""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from contract_api import Api, administrator

from labctl.control_plane import ControlPlane

ROOT: Final = Path(__file__).parents[2]
RECORDINGS_VARIABLE: Final = "LAB_CONTRACT"
"""Names a folder with recordings of the official engine, one folder per program."""
RECORDINGS_PLACE: Final = "../shared/contract"
"""Where they are otherwise looked for, from the project's folder."""
POD_NETWORK: Final = "10.244.0.0/16"
SERVICE_NETWORK: Final = "10.96.0.0/16"


@pytest.fixture(autouse=True)
def _cleared_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches somebody's cluster, state or passphrase."""
    for name in list(os.environ):
        if name == "KUBECONFIG" or name.startswith("PULUMI_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Return the folder of the recordings; without it nothing is compared with them, and the skip says so."""
    named = os.environ.get(RECORDINGS_VARIABLE)
    folder = Path(named) if named else (ROOT / RECORDINGS_PLACE).resolve()
    if not folder.is_dir():
        reason = f"no recordings of the official engine: {folder} is no folder ({RECORDINGS_VARIABLE} names another)"
        if named:
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    """A running control plane: the one that the tests of the cluster folder use, whoever comes first starts it."""
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    directory.mkdir(exist_ok=True)
    plane = ControlPlane(
        directory / "control-plane",
        kubeconfig=directory / "kubeconfig",
        pod_network=POD_NETWORK,
        service_network=SERVICE_NETWORK,
    )
    with (directory / "users").open("ab") as users:
        # Starting is idempotent; the last one out, and only that one, removes it.
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            plane.start()
            yield plane
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                plane.wipe()


@pytest.fixture
def kubeconfig(control_plane: ControlPlane) -> str:
    """Text of a kubeconfig of the shared control plane's administrator."""
    return control_plane.kubeconfig.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> Generator[Api]:
    """The shared control plane's API server."""
    with administrator(control_plane) as found:
        yield found


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Generator[str]:
    """A name that no other test and no other run uses; a namespace of it is deleted after the test."""
    name = f"contract-{uuid.uuid4().hex[:8]}"
    yield name
    with administrator(control_plane) as api:
        api.delete(f"/api/v1/namespaces/{name}")
