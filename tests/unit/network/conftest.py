"""The network sections of the lab, and ways to change them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from lab_authority import Authority

from components.network.config import NetworkConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.model import Value

SECTION: Mapping[str, Value] = {
    "pods": "10.244.0.0/16",
    "services": "10.96.0.0/16",
    "hosts": "192.0.2.0/24",
    "cni": {"kind": "calico"},
    "loadBalancer": {"kind": "metallb", "pools": [{"name": "lab", "addresses": ["192.0.2.200-192.0.2.219"]}]},
    "gateway": {"kind": "envoy", "address": "192.0.2.200"},
    "certificates": {"kind": "acme", "email": "cluster@lab.org"},
    "hostnames": {"hub": "hub.lab.org"},
}


@pytest.fixture
def network() -> Callable[..., NetworkConfig]:
    """Return the lab's section with parts replaced; None leaves a part out."""

    def change(**changes: Value) -> NetworkConfig:
        section = {key: value for key, value in {**SECTION, **changes}.items() if value is not None}
        return NetworkConfig.model_validate(cast("dict[str, object]", section))

    return change


DUAL_STACK: Mapping[str, Value] = {
    "pods": ["10.244.0.0/16", "fd00:10:244::/56"],
    "services": ["10.96.0.0/16", "fd00:10:96::/112"],
    "hosts": ["192.0.2.0/24", "2001:db8:1::/64"],
    "loadBalancer": {
        "pools": [{"name": "lab", "addresses": ["192.0.2.200-192.0.2.219", "2001:db8:1::200-2001:db8:1::219"]}]
    },
    "gateway": {"address": "192.0.2.200", "secondAddress": "2001:db8:1::200"},
}


@pytest.fixture
def dual_stack(network: Callable[..., NetworkConfig]) -> Callable[..., NetworkConfig]:
    """Return the lab's section in both families, with parts replaced."""

    def change(**changes: Value) -> NetworkConfig:
        return network(**{**DUAL_STACK, **changes})

    return change


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Return an authority that certifies whatever it is asked to."""
    return Authority()
