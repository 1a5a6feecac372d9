"""Small Pulumi programs, and what every engine must say, do and store for them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from contract_api import Api
from contract_case import CASES, CaseData, Checker, ClusterData, part_of, read_case
from contract_engines import PROJECT, ContractEngine, EmbeddedEngine, OfficialEngine
from normal_form import differences

ENGINES: Final = ("embedded", "official") if shutil.which("pulumi") else ("embedded",)
"""The official CLI is in no package registry: its half is collected where it is on PATH."""
NAMES: Final = sorted(path.name for path in CASES.iterdir() if path.is_dir())
PLAIN_CASES: Final = [name for name in NAMES if not read_case(name).data.cluster]
CLUSTER_CASES: Final = [name for name in NAMES if read_case(name).data.cluster]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., ContractEngine]:
    """Make an engine with a stack of its own."""
    chosen: str = request.param

    def make(data: CaseData, namespace: str = "") -> ContractEngine:
        if chosen == "official" and data.embedded_only:
            pytest.skip(data.embedded_only)
        config, secrets = data.config | ({"namespace": namespace} if namespace else {}), data.secrets
        values = {f"{PROJECT}:{key}": value for key, value in (config | secrets).items()}
        keys = tuple(f"{PROJECT}:{key}" for key in secrets)
        if chosen == "official":
            return OfficialEngine(tmp_path, config=values, secret_keys=keys)
        return EmbeddedEngine(folder=tmp_path, config=values, secret_keys=keys)

    return make


@pytest.mark.parametrize("name", PLAIN_CASES)
def test_a_program_gives_its_steps_and_its_state(name: str, engine: Callable[..., ContractEngine]) -> None:
    case = read_case(name)
    checker = Checker(case, engine(case.data))
    checker.prepare()
    for index in range(len(case.data.rounds)):
        checker.round(index)
    checker.destroy()
    assert not checker.found, "\n".join(f"{place}: {how}" for place, how in checker.found.items())


@pytest.mark.cluster
@pytest.mark.parametrize("name", CLUSTER_CASES)
def test_a_program_gives_its_objects(
    name: str,
    engine: Callable[..., ContractEngine],
    api: Api,
    kubeconfig: str,
    namespace: str,
) -> None:
    case = read_case(name, namespace)
    if case.data.node:
        api.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": namespace}})
    checker = Checker(case, engine(case.data, namespace))
    checker.prepare()
    (checker.engine.folder / "kubeconfig").write_text(kubeconfig, encoding="utf-8")
    try:
        for index, data in enumerate(case.data.rounds):
            checker.round(index)
            for item in data.cluster:
                checker.found |= _object_differences(f"{name}, step {index + 1}, cluster", item, api)
        checker.destroy()
    finally:
        api.delete(f"/api/v1/nodes/{namespace}")
    assert not checker.found, "\n".join(f"{place}: {how}" for place, how in checker.found.items())


def _object_differences(place: str, wanted: ClusterData, api: Api) -> dict[str, str]:
    live = api.find(wanted.path)
    if wanted.has is None:
        return {} if live is None else {f"{place} {wanted.path}": "it is still there"}
    return differences(wanted.has, part_of(wanted.has, live), f"{place} {wanted.path}")
