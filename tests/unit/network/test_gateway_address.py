"""The gateway's address: pool, families, what MetalLB and the lab's DNS are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from components.network.config import AddressPool, EnvoyGateway
from components.network.endpoints import endpoints
from components.network.gateway_address import address_annotations, address_families
from components.network.plan import network_plan
from components.networks import Networks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.model import Value
    from components.network.config import NetworkConfig

FOUR, SIX = "192.0.2.200/30", "2001:db8:1::200/126"
SERVICES = Networks.of("10.96.0.0/16", "fd00:10:96::/112")


def pool(name: str, *addresses: str, automatic: bool = True) -> AddressPool:
    return AddressPool.model_validate({"name": name, "addresses": addresses, "automatic": automatic})


@pytest.mark.parametrize(
    ("gateway", "pools", "annotations"),
    [
        ({}, [pool("a", FOUR)], {}),
        ({"address": "192.0.2.200"}, [pool("a", FOUR)], {"metallb.io/loadBalancerIPs": "192.0.2.200"}),
        ({"pool": "a"}, [pool("a", FOUR)], {"metallb.io/address-pool": "a"}),
        (
            {"address": "192.0.2.200"},
            [pool("a", FOUR, automatic=False), pool("b", SIX)],
            {"metallb.io/loadBalancerIPs": "192.0.2.200", "metallb.io/address-pool": "a"},
        ),
        (
            {"address": "192.0.2.200", "second_address": "2001:db8:1::200"},
            [pool("a", FOUR, SIX)],
            {"metallb.io/loadBalancerIPs": "192.0.2.200,2001:db8:1::200"},
        ),
        ({"address": "192.0.2.200"}, [], {"metallb.io/loadBalancerIPs": "192.0.2.200"}),
    ],
)
def test_what_metallb_is_asked_for(
    gateway: dict[str, str], pools: list[AddressPool], annotations: dict[str, str]
) -> None:
    assert address_annotations(EnvoyGateway.model_validate(gateway), pools) == annotations


@pytest.mark.parametrize(
    ("gateway", "pools", "families"),
    [
        ({"address": "192.0.2.200"}, [pool("a", FOUR, SIX)], {4}),
        ({"address": "192.0.2.200", "second_address": "2001:db8:1::200"}, [pool("a", FOUR, SIX)], {4, 6}),
        ({}, [pool("a", FOUR, SIX)], {4, 6}),
        ({}, [pool("a", SIX)], {6}),
        ({}, [pool("a", FOUR, SIX), pool("b", FOUR)], {4}),
        ({}, [pool("a", FOUR), pool("b", SIX)], {4}),
        ({"pool": "b"}, [pool("a", FOUR), pool("b", SIX)], {6}),
        ({}, [], {4}),
    ],
)
def test_a_service_asks_for_the_families_its_pool_can_give(
    gateway: dict[str, str], pools: list[AddressPool], families: set[int]
) -> None:
    assert address_families(EnvoyGateway.model_validate(gateway), pools, SERVICES) == families


@pytest.mark.parametrize(
    ("gateway", "family"),
    [
        ({"address": "192.0.2.200", "secondAddress": "2001:db8:1::200"}, "DualStack"),
        ({"address": "2001:db8:1::200"}, "IPv6"),
        ({"address": "192.0.2.200"}, "IPv4"),
        ({}, "DualStack"),
    ],
)
def test_the_proxies_service_is_of_its_address_families(
    dual_stack: Callable[..., NetworkConfig], gateway: Value, family: str
) -> None:
    plan = network_plan(dual_stack(gateway=gateway), "prod")
    (proxies,) = (step for part in plan.parts for step in part.resources if step.key == "proxies")
    assert proxies.spec["ipFamily"] == family


def test_a_cluster_of_one_family_says_nothing_of_families(network: Callable[..., NetworkConfig]) -> None:
    (proxies,) = (step for part in network_plan(network(), "prod").parts for step in part.resources
                  if step.key == "proxies")  # fmt: skip
    assert "ipFamily" not in proxies.spec


def test_the_records_the_lab_has_to_make(dual_stack: Callable[..., NetworkConfig]) -> None:
    made = endpoints(dual_stack(hostnames={"hub": "hub.lab.org", "grafana": "grafana.lab.org"}))
    assert list(made) == ["grafana", "hub"]
    assert made["hub"].outputs() == {
        "url": "https://hub.lab.org",
        "addresses": ["192.0.2.200", "2001:db8:1::200"],
        "records": [
            {"name": "hub.lab.org", "type": "A", "address": "192.0.2.200"},
            {"name": "hub.lab.org", "type": "AAAA", "address": "2001:db8:1::200"},
        ],
    }


def test_no_record_for_an_address_nobody_knows_yet(network: Callable[..., NetworkConfig]) -> None:
    made = endpoints(network(gateway={}))["hub"].outputs()
    assert made == {"url": "https://hub.lab.org", "addresses": [], "records": []}
    use = {"gateway": {"name": "lab", "namespace": "gateway-prod", "className": "envoy-prod"}, "issuer": "lab-prod"}
    used = endpoints(network(gateway=None, loadBalancer=None, certificates=None, use=cast("Mapping[str, Value]", use)))
    assert used["hub"].records == ()
