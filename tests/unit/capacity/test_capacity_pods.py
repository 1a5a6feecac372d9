"""A profile's shape is that of the pod KubeSpawner makes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Protocol, TypedDict, cast

import pytest

from components.gpu.slices import offered_slices
from components.hub.facts import HubFacts
from components.hub.values import hub_values
from labctl.capacity.pods import profiles_of
from labctl.capacity.question import scheduler_told, setting_of
from labctl.lab import open_lab
from stacks.checks import host_gpus
from stacks.pins import load_pins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from components.model import Value

kubespawner = pytest.importorskip(
    "kubespawner", reason="the hub's own packages are not installed (requirements-dev.txt)"
)
kubespawner_module = pytest.importorskip("kubespawner.spawner", reason="the hub's own packages are not installed")


def nothing(*_given: object, **_named: object) -> None:
    """Stand for what would look for a cluster."""


class Manifest(Protocol):
    """An object KubeSpawner would create."""

    def to_dict(self) -> Mapping[str, object]: ...


class RealSpawner(Protocol):
    """What is asked of KubeSpawner."""

    user: object
    get_env: object

    async def get_pod_manifest(self) -> Manifest: ...


class Container(TypedDict):
    resources: dict[str, dict[str, str] | None]


class PodSpec(TypedDict):
    """What is read of a pod."""

    containers: list[Container]
    node_selector: dict[str, str] | None
    tolerations: list[dict[str, str]] | None


@pytest.mark.parametrize("stack", ["dev", "prod", "test", "next"])
def test_every_profile_asks_for_what_kubespawners_pod_asks_for(
    stack: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for looks_for_a_cluster in ("load_config", "shared_client"):
        monkeypatch.setattr(kubespawner_module, looks_for_a_cluster, nothing)
    lab = open_lab(stack, root)
    assert lab.cluster.hub is not None
    images = {name: pin.image for name, pin in load_pins(lab.environment.name).images.items()}
    slices = offered_slices(lab.cluster.gpu, host_gpus(lab.cluster)) if lab.cluster.gpu is not None else ()
    facts = HubFacts(home_class="homes", secret="keys", images=images, slices=slices, servers_scheduler="packing")
    values = hub_values(lab.cluster.hub, facts)
    listed = cast("Sequence[Mapping[str, Value]]", values["singleuser"]["profileList"])
    profiles = profiles_of(lab.cluster.hub, images, slices, "packing")
    assert len(profiles) == len(listed) > 0
    for profile, entry in zip(profiles, listed, strict=True):
        theirs = spawned(cast("Mapping[str, object]", entry["kubespawner_override"]))
        ours = cast("Mapping[str, Mapping[str, object]]", profile.shape.manifest("pod", {}))["spec"]
        container = cast("Sequence[Mapping[str, Mapping[str, Mapping[str, str]]]]", ours["containers"])[0]
        requests = {name: float_of(text) for name, text in container["resources"]["requests"].items()}
        assert requests == theirs["requests"], profile.slug
        assert ours["schedulerName"] == "packing"
        assert ours["nodeSelector"] == theirs["selector"]
        wanted = {"key", "operator", "effect", "value"}
        assert (
            sorted(map(str, (kept(one, wanted) for one in cast("Sequence[Mapping[str, str]]", ours["tolerations"]))))
            == theirs["tolerations"]
        )


def kept(toleration: Mapping[str, str], wanted: set[str]) -> list[tuple[str, str]]:
    return sorted((key, value) for key, value in toleration.items() if key in wanted and value)


def float_of(text: str) -> float:
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def spawned(override: Mapping[str, object]) -> dict[str, object]:
    """Return what KubeSpawner's pod of these settings asks for, defaulted as the API server does."""
    tolerations = [
        {"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"}
        for key in ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
    ]
    make = cast("Callable[..., RealSpawner]", kubespawner.KubeSpawner)
    spawner = make(_mock=True, tolerations=tolerations, scheduler_name="packing")
    spawner.user = SimpleNamespace(name="ada", id=1, groups=())
    spawner.get_env = dict
    for key, value in override.items():
        setattr(spawner, key, value)
    spec = cast("PodSpec", asyncio.run(spawner.get_pod_manifest()).to_dict()["spec"])
    resources = spec["containers"][0]["resources"]
    limits = {name: float(amount) for name, amount in (resources["limits"] or {}).items()}
    requests = {name: float(amount) for name, amount in (resources["requests"] or {}).items()}
    wanted = {"key", "operator", "effect", "value"}
    return {
        "requests": {**limits, **requests},
        "selector": dict(spec["node_selector"] or {}),
        "tolerations": sorted(str(kept(one, wanted)) for one in spec["tolerations"] or ()),
    }


def test_hosts_that_become_nodes_keep_back_what_their_kubelets_do(root: Path) -> None:
    lab = open_lab("prod", root)
    setting = setting_of(lab, running=False)
    worker = next(machine for machine in setting.machines if machine.name == "worker-1")
    installed = lab.cluster.nodes.hosts["worker-1"].hardware.memory.bytes
    assert 0.9 * installed < worker.allocatable["memory"] < installed - 100 * 2**20
    simulated = setting_of(open_lab("dev", root), running=False).machines
    assert next(m for m in simulated if m.name == "worker-1").allocatable["memory"] == installed


def test_without_a_scheduling_section_the_scheduler_has_its_defaults(root: Path) -> None:
    lab = open_lab("dev", root)
    assert (scheduler_told(lab) is None) is (lab.cluster.scheduling is None)
