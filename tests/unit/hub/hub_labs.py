"""Sections and facts that the hub tests share, as plain data."""

from __future__ import annotations

import copy

from components.gpu.models import GpuModelName
from components.gpu.slices import Slice
from components.hub.config import HubConfig
from components.hub.facts import HubFacts, RouteTarget
from components.images import ImageReference
from components.network.facts import GatewayReference, NetworkFacts
from components.networks import Networks
from components.storage.plan import SharedMount

DIGEST = "sha256:" + "0123456789abcdef" * 4

SECTION: dict[str, object] = {
    "authentication": {
        "kind": "auth0",
        "domain": "lab.eu.auth0.com",
        "clientId": "public-id",
        "clientSecret": {"secret": "oauthClientSecret"},
        "groupsClaim": "groups",
        "groups": ["lab"],
        "admins": ["boss@lab.org"],
    },
    "homes": {"capacity": "100Gi"},
    "profiles": [
        {
            "slug": "minimal",
            "name": "Minimal",
            "description": "Python only.",
            "image": "minimal-notebook",
            "default": True,
            "resources": {"guarantee": {"cpu": "100m", "memory": "512Mi"}},
        },
        {
            "slug": "gpu-small",
            "name": "GPU, small",
            "image": "pytorch-notebook",
            "resources": {"guarantee": {"cpu": "2", "memory": "1536Mi"}},
            "gpu": {"slice": "1g.10gb"},
        },
    ],
}
"""A small lab's hub section."""

NETWORK = NetworkFacts(
    pods=Networks.of("10.244.0.0/16"),
    services=Networks.of("10.96.0.0/16"),
    hosts=Networks.of("192.0.2.0/24"),
    cluster_domain="cluster.local",
    gateway=GatewayReference(name="lab", namespace="gateway-test", class_name="envoy-test"),
    hostnames={"hub": "hub.lab.org"},
)

SLICES = (
    Slice(
        name="1g.10gb",
        resource="nvidia.com/mig-1g.10gb",
        model=GpuModelName.A100_80_PCIE,
        memory_gigabytes=10,
        nodes=(("gpu1", 4), ("gpu2", 2)),
    ),
    Slice(
        name="whole.shared",
        resource="nvidia.com/gpu.shared",
        model=GpuModelName.T4,
        memory_gigabytes=16,
        nodes=(("teach1", 8),),
    ),
)

IMAGES = {
    name: ImageReference.parse(f"quay.io/jupyter/{name}:2026-11-02@{DIGEST}")
    for name in ("minimal-notebook", "pytorch-notebook")
}


def section(**changes: object) -> dict[str, object]:
    """Return the small lab's section with some of its keys replaced."""
    return {**copy.deepcopy(SECTION), **changes}


def hub(**changes: object) -> HubConfig:
    """Return the small lab's section as a model."""
    return HubConfig.model_validate(section(**changes))


def profile(**changes: object) -> dict[str, object]:
    """Return one profile, the default, with some of its keys replaced."""
    return {
        "slug": "one",
        "name": "One",
        "image": "minimal-notebook",
        "default": True,
        "resources": {"guarantee": {"cpu": "1", "memory": "1Gi"}},
        **changes,
    }


FACTS = HubFacts(
    home_class="homes-test",
    secret="hub-keys",
    client_secret="hub-client",
    hostname="hub.lab.org",
    route=RouteTarget(gateway="lab", namespace="gateway-test", listener="https-hub"),
    volumes=(
        SharedMount(name="datasets", claim="shared-datasets", mount_path="/shared/datasets", read_only=True),
        SharedMount(name="notebooks", claim="shared-notebooks", mount_path="/shared/notebooks", read_only=False),
    ),
    services_priority="services-test",
    servers_priority="interactive-test",
    images=IMAGES,
    slices=SLICES,
)
"""What is around the small lab's hub."""
