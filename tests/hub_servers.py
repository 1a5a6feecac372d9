"""Users' servers as a hub would make them: KubeSpawner itself, configured by the values of our own hub section."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from components.hub.config import HubConfig
from components.hub.facts import HubFacts
from components.hub.values import hub_values
from components.images import ImageReference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cluster_api import Object

IMAGE = ImageReference.parse("registry.invalid/notebook:1@sha256:" + "0" * 64)


def hub_section(policy: str, resources: Mapping[str, Mapping[str, object]]) -> HubConfig:
    """Return a hub section with a profile of each name, of these resources."""
    return HubConfig.model_validate(
        {
            "authentication": {"kind": "dummy"},
            "homes": {"capacity": "1Gi", "key": "username"},
            "resourcePolicy": policy,
            "profiles": [
                {"slug": name, "name": name, "image": "notebook", "resources": wanted, "default": not index}
                for index, (name, wanted) in enumerate(resources.items())
            ],
        }
    )


def _nothing(*_given: object, **_named: object) -> None:
    """Stand for what would look for a cluster."""


def server_pod(config: HubConfig, profile: str, user: str, *, scheduler: str | None = None) -> Object:
    """Return the pod of one user's server, as JSON has it; without its home, which needs storage."""
    spawner_module = pytest.importorskip("kubespawner.spawner", reason="the hub's own packages are not installed")
    configuration = pytest.importorskip("traitlets.config")
    client = pytest.importorskip("kubernetes_asyncio.client")
    facts = HubFacts(home_class="homes", secret="keys", images={"notebook": IMAGE}, servers_scheduler=scheduler)
    values = hub_values(config, facts)
    sections: Any = values["hub"]["config"]
    c = configuration.Config({"KubeSpawner": dict(sections["KubeSpawner"])})
    c.KubeSpawner.profile_list = values["singleuser"]["profileList"]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("load_config", "shared_client"):
            patch.setattr(spawner_module, name, _nothing)
        spawner = spawner_module.KubeSpawner(config=c, _mock=True)
        patch.setattr(spawner, "get_env", dict)
        spawner.user = SimpleNamespace(name=user, id=1, groups=())
        spawner.user_options = {"profile": profile}

        async def manifest() -> Object:
            await spawner.load_user_options()
            pod = await spawner.get_pod_manifest()
            async with client.ApiClient() as api:
                return api.sanitize_for_serialization(pod)

        return asyncio.run(manifest())
