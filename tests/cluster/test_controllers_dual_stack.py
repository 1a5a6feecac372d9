"""A lab of both families whose certificates are files, under the real Envoy Gateway and MetalLB."""

from __future__ import annotations

import base64
from collections.abc import Generator

import pytest
from cluster_api import Object, eventually
from controllers_bed import SETTLED_SECONDS, job_like
from controllers_lab import GATEWAY, METALLB, ControllersLab, controllers_lab, needs_controllers
from lab_authority import Authority

from labctl.control_plane import obtain_tool

pytestmark = needs_controllers

NAMESPACE = "gateway-dev"
HOSTNAME = "hub.dev.lab.example.org"
ADDRESSES = ["10.20.0.200", "2001:db8:20::200"]
GATEWAYS = f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/gateways"


@pytest.fixture(scope="module")
def chain() -> tuple[str, str]:
    """A certificate of the hub's with its intermediate, and its key."""
    intermediate = Authority("Intermediate", signed_by=Authority())
    own, key = intermediate.issue(HOSTNAME)
    return own + intermediate.certificate, key


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, chain: tuple[str, str]) -> Generator[ControllersLab]:
    def both_families(config: Object) -> None:
        for index, host in enumerate(config["nodes"]["hosts"].values()):
            host["secondAddress"] = f"2001:db8:20::{index + 10}"
        network = config["network"]
        for section, second in (("hosts", "2001:db8:20::/64"), ("pods", "fd00:10:244::/56")):
            network[section] = [network[section], second]
        network["services"] = [network["services"], "fd00:10:96::/112"]
        addresses = ["10.20.0.200-10.20.0.220", "2001:db8:20::200-2001:db8:20::220"]
        network["loadBalancer"]["pools"] = [{"name": "published", "addresses": addresses, "automatic": False}]
        network["gateway"] |= {"address": ADDRESSES[0], "secondAddress": ADDRESSES[1]}
        file = {"chain": chain[0], "privateKey": {"secret": "hubTlsKey"}}
        network["certificates"] = {"kind": "files", "services": {"hub": file}}

    folder = tmp_path_factory.mktemp("families")
    with controllers_lab(folder, [GATEWAY, METALLB], both_families, hubTlsKey=chain[1]) as made:
        runner = made.runner
        program = obtain_tool("envoy-gateway", print)
        envoy = runner.pod(NAMESPACE, "control-plane=envoy-gateway")
        runner.run(job_like(envoy, f"{NAMESPACE}-{GATEWAY}-certgen"), program, ["certgen"])
        runner.start(envoy, program)
        balancer = runner.pod("metallb-dev", "app.kubernetes.io/component=controller")
        runner.start(balancer, obtain_tool("metallb-controller", print))
        yield made


def proxies(started: ControllersLab) -> Object:
    """Return the Service that Envoy Gateway made, once MetalLB has given it its addresses."""
    path = f"/api/v1/namespaces/{NAMESPACE}/services"
    found: list[Object] = []

    def given() -> bool:
        started.runner.alive()
        found[:] = [item for item in started.api.get(path)["items"] if item["spec"]["type"] == "LoadBalancer"]
        return bool(found and found[0]["status"]["loadBalancer"].get("ingress"))

    eventually(given, SETTLED_SECONDS)
    return found[0]


def test_the_gateway_has_an_address_of_each_family_out_of_a_pool_that_is_not_automatic(started: ControllersLab) -> None:
    service = proxies(started)
    assert service["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert service["spec"]["ipFamilyPolicy"] == "RequireDualStack"
    assert len(service["spec"]["clusterIPs"]) == 2
    assert [entry["ip"] for entry in service["status"]["loadBalancer"]["ingress"]] == ADDRESSES


def test_the_records_the_lab_is_told_to_make_are_of_the_addresses_it_has(started: ControllersLab) -> None:
    proxies(started)
    said = started.lab.well("outputs", "--json").json["endpoints"]["hub"]
    eventually(lambda: len(started.api.get(f"{GATEWAYS}/lab")["status"].get("addresses", [])) == 2, SETTLED_SECONDS)
    shown = [entry["value"] for entry in started.api.get(f"{GATEWAYS}/lab")["status"]["addresses"]]
    assert [(record["name"], record["type"]) for record in said["records"]] == [(HOSTNAME, "A"), (HOSTNAME, "AAAA")]
    assert sorted(record["address"] for record in said["records"]) == sorted(shown) == sorted(ADDRESSES)


def test_the_listener_takes_the_certificate_of_the_file(started: ControllersLab, chain: tuple[str, str]) -> None:
    def listener(gateway: Object) -> Object:
        found = [item for item in gateway["status"].get("listeners", []) if item["name"] == "https-hub"]
        return found[0] if found else {"conditions": []}

    started.settled(f"{GATEWAYS}/lab", {"Accepted": "True", "ResolvedRefs": "True", "Programmed": "True"}, of=listener)
    secret = started.api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/hub-tls")
    assert secret["type"] == "kubernetes.io/tls"
    assert base64.b64decode(secret["data"]["tls.crt"]).decode() == chain[0]


def test_there_is_no_cert_manager(started: ControllersLab) -> None:
    assert not started.api.exists("/api/v1/namespaces/cert-manager-dev")
