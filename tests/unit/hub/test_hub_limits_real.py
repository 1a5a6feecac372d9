"""The planned volume and the step's annotations in a pod of the real KubeSpawner, as the API server would get it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Protocol, cast

import pytest
from hub_labs import hub, profile

from components.hub.files.lab_hub.limits import GPU_IDLE_ANNOTATION, RECORD, WALLTIME_ANNOTATION, keep_limits
from components.hub.limits.plan import limits_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.hub.files.lab_hub.limits import LimitsSettings
    from components.hub.files.lab_hub.objects import Spawner

MISSING = "the hub's own packages are not installed (requirements-dev.txt)"
kubespawner = pytest.importorskip("kubespawner", reason=MISSING)
kubespawner_module = pytest.importorskip("kubespawner.spawner", reason=MISSING)
kubernetes_client = pytest.importorskip("kubernetes_asyncio.client", reason=MISSING)
traitlets_config = pytest.importorskip("traitlets.config", reason=MISSING)

STARTED = datetime(2026, 11, 23, 10, 0)  # noqa: DTZ001 - as the hub keeps it: UTC, without a zone
PROMETHEUS = {"address": "http://prometheus.monitoring:9090", "namespace": "monitoring"}


class RealSpawner(Protocol):
    """What is asked of KubeSpawner."""

    user: object
    orm_spawner: object
    user_options: Mapping[str, object]

    async def get_pod_manifest(self) -> object: ...
    def clear_state(self) -> None: ...


class Ana:
    """The user a server is for."""

    name = "Ana.Novak@lab.org"
    id = 7
    groups: tuple[object, ...] = ()
    url = "/user/ana"
    spawners: Mapping[str, object] = {}
    settings: Mapping[str, Mapping[object, object]] = {"users": {}}


def nothing(*_given: object, **_named: object) -> None:
    """Stand for what would look for a cluster."""


@pytest.fixture
def spawner(monkeypatch: pytest.MonkeyPatch) -> RealSpawner:
    """Return KubeSpawner with the planned volume, as the chart hands it on."""
    monkeypatch.setattr(kubespawner_module, "load_config", nothing)
    monkeypatch.setattr(kubespawner_module, "shared_client", nothing)
    part = limits_part(hub())
    c = traitlets_config.Config()
    c.KubeSpawner.volumes = {
        name: {"name": name, **cast("Mapping[str, object]", each)} for name, each in part.server_volumes.items()
    }
    c.KubeSpawner.volume_mounts = dict(part.server_mounts)
    c.KubeSpawner.environment = dict(part.server_environment)
    c.KubeSpawner.handle_legacy_names = False
    made = cast("RealSpawner", kubespawner.KubeSpawner(config=c, _mock=True))
    made.user = Ana()
    made.orm_spawner = SimpleNamespace(started=STARTED, user_options={}, name="", state={}, server=None)
    # As the hub does before each start: names follow from the user anew.
    made.clear_state()
    return made


def test_the_pod_says_when_it_ends_and_jupyterlab_is_shown_it(spawner: RealSpawner) -> None:
    culling = {"gpu": {"idle": "30m", "prometheus": PROMETHEUS}}
    gpu = profile(slug="gpu", default=False, gpu={"slice": "1g.10gb"}, walltime="4h")
    config = hub(profiles=[profile(), gpu], culling=culling)
    spawner.user_options = {"profile": "gpu"}
    step = keep_limits(cast("LimitsSettings", limits_part(config).settings["limits"]))

    async def manifest() -> object:
        await step(cast("Spawner", spawner))
        return await spawner.get_pod_manifest()

    pod = cast("Mapping[str, Mapping[str, object]]", as_sent(asyncio.run(manifest())))
    annotations = cast("Mapping[str, str]", pod["metadata"]["annotations"])
    assert annotations[WALLTIME_ANNOTATION] == "2026-11-23T14:00:00Z"
    assert annotations[GPU_IDLE_ANNOTATION] == "1800"
    volumes = cast("Sequence[Mapping[str, object]]", pod["spec"]["volumes"])
    planned = cast("Mapping[str, object]", limits_part(config).server_volumes["lab-notices"])
    assert {"name": "lab-notices", **planned} in volumes
    (container,) = cast("Sequence[Mapping[str, Sequence[Mapping[str, object]]]]", pod["spec"]["containers"])
    assert limits_part(config).server_mounts["lab-notices"] in container["volumeMounts"]
    noted = cast("Mapping[str, object]", spawner.user_options[RECORD])
    assert noted["pod"] == pod["metadata"]["name"]
    assert noted["gpus"] == 1


def as_sent(manifest: object) -> object:
    """Return a manifest as the client sends it; a client of its own would look for a cluster."""
    client = kubernetes_client.ApiClient.__new__(kubernetes_client.ApiClient)
    return client.sanitize_for_serialization(manifest)
