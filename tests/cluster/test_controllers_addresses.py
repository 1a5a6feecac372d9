"""Addresses of services under the real MetalLB: its controller gives them, a node's speaker answers for them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from cluster_api import Object, eventually
from controllers_bed import SETTLED_SECONDS, Container
from controllers_lab import METALLB, ControllersLab, controllers_lab, needs_controllers

from labctl.control_plane import obtain_tool

pytestmark = needs_controllers

NAMESPACE = "metallb-dev"
PUBLISHED = ["10.20.0.200", "10.20.0.201", "10.20.0.202"]
RESERVED = ["10.20.0.230", "10.20.0.231"]
SERVICES = "/api/v1/namespaces/published/services"
WANTED, POOL = "metallb.io/loadBalancerIPs", "metallb.io/address-pool"
NODE, INTERFACE, WIRE = "worker-1", "eth0", "wire"
"""A node, its interface on the hosts' network, and the other end of its cable."""
PROBE = Path(__file__).with_name("arp_probe.py")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControllersLab]:
    def pools(config: Object) -> None:
        config["network"]["loadBalancer"]["interfaces"] = [INTERFACE]
        config["network"]["loadBalancer"]["pools"] = [
            {"name": "published", "addresses": [f"{PUBLISHED[0]}-{PUBLISHED[-1]}"]},
            {"name": "reserved", "addresses": [f"{RESERVED[0]}-{RESERVED[-1]}"], "automatic": False},
        ]

    with controllers_lab(tmp_path_factory.mktemp("addresses"), [METALLB], pools) as made:
        pod = made.runner.pod(NAMESPACE, "app.kubernetes.io/component=controller")
        made.runner.start(pod, obtain_tool("metallb-controller", print))
        made.api.namespace("published")
        yield made


@pytest.fixture
def service(started: ControllersLab) -> Generator[Callable[..., str]]:
    """Make a Service of type LoadBalancer and return its path; all are gone after the test."""

    def make(name: str, annotations: dict[str, str] | None = None, **spec: object) -> str:
        meta = {"name": name, "annotations": annotations or {}}
        body = {"type": "LoadBalancer", "selector": {"app": name}, "ports": [{"port": 80}], **spec}
        started.api.post(SERVICES, {"metadata": meta, "spec": body})
        return f"{SERVICES}/{name}"

    yield make
    for item in started.api.get(SERVICES)["items"]:
        started.api.delete(f"{SERVICES}/{item['metadata']['name']}")
    # What was given back can be given again once the pool says so.
    eventually(lambda: pool(started, "published")["availableIPv4"] == len(PUBLISHED), SETTLED_SECONDS)


def pool(started: ControllersLab, name: str) -> Object:
    path = f"/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}/ipaddresspools/{name}"
    return started.api.get(path).get("status") or {"availableIPv4": -1}


def addresses(started: ControllersLab, path: str) -> list[str]:
    started.runner.alive()
    return [entry["ip"] for entry in started.api.get(path)["status"]["loadBalancer"].get("ingress", [])]


def given(started: ControllersLab, path: str) -> str:
    """Return the address that a Service is given."""
    eventually(lambda: addresses(started, path), SETTLED_SECONDS)
    (address,) = addresses(started, path)
    return address


def refused(started: ControllersLab, path: str) -> str:
    """Return why a Service is given no address, once MetalLB has said so; it has none then."""
    name = path.rsplit("/", 1)[-1]
    events = f"/api/v1/namespaces/published/events?fieldSelector=involvedObject.name={name},reason=AllocationFailed"
    eventually(lambda: started.runner.alive() and started.api.get(events)["items"], SETTLED_SECONDS)
    assert addresses(started, path) == []
    return started.api.get(events)["items"][0]["message"]


def test_a_service_is_given_an_address_of_the_automatic_pool(
    started: ControllersLab, service: Callable[..., str]
) -> None:
    assert given(started, service("any")) in PUBLISHED


def test_a_service_is_given_the_address_it_names(started: ControllersLab, service: Callable[..., str]) -> None:
    assert given(started, service("fixed", {WANTED: PUBLISHED[2]})) == PUBLISHED[2]


@pytest.mark.parametrize("address", ["10.20.0.199", "10.20.0.203", "192.0.2.1"])
def test_an_address_outside_every_pool_is_refused(
    started: ControllersLab, service: Callable[..., str], address: str
) -> None:
    why = refused(started, service(f"outside-{address.replace('.', '-')}", {WANTED: address}))
    assert address in why


def test_an_address_that_another_service_has_is_refused(started: ControllersLab, service: Callable[..., str]) -> None:
    assert given(started, service("first", {WANTED: PUBLISHED[0]})) == PUBLISHED[0]
    assert "also in use by published/first" in refused(started, service("second", {WANTED: PUBLISHED[0]}))


def test_a_full_pool_gives_nothing_of_one_that_is_not_automatic(
    started: ControllersLab, service: Callable[..., str]
) -> None:
    assert {given(started, service(f"filling-{number}")) for number in range(3)} == set(PUBLISHED)
    assert "no available IPs" in refused(started, service("too-many"))
    assert given(started, service("by-name", {POOL: "reserved"})) in RESERVED
    assert given(started, service("by-address", {WANTED: RESERVED[1]})) == RESERVED[1]
    eventually(lambda: pool(started, "published")["availableIPv4"] == 0, SETTLED_SECONDS)
    # An address that is given back goes to the one that waits.
    started.api.delete(f"{SERVICES}/filling-0")
    assert given(started, f"{SERVICES}/too-many") in PUBLISHED


# -- on the hosts' network --------------------------------------------------------------------------------------------


@pytest.fixture
def speaker(started: ControllersLab) -> Container:
    """The speaker of a node, on a network that ends at the other end of its cable."""
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods?fieldSelector=spec.nodeName={NODE}"
    (pod,) = [item for item in started.api.get(pods)["items"] if item["metadata"]["generateName"].endswith("speaker-")]
    # Alone on its network it cannot ask the others who is there; the API server tells it.
    made = started.runner.start(pod, obtain_tool("metallb-speaker", print), METALLB_ML_BIND_ADDR="")
    for command in (
        f"link add {INTERFACE} type veth peer name {WIRE}",
        f"link set {INTERFACE} up",
        f"link set {WIRE} up",
        f"addr add 10.20.0.31/24 dev {INTERFACE}",
    ):
        made.inside(["ip", *command.split()])
    return made


def answering(speaker: Container, address: str, via: str) -> str:
    """Return who answers a question for `address` that comes in at an end of the cable; nothing if nobody does."""
    return speaker.inside([sys.executable, str(PROBE), via, address]).strip()


def test_the_node_with_the_pods_answers_for_the_address_on_the_named_interface(
    started: ControllersLab, service: Callable[..., str], speaker: Container
) -> None:
    path = service("announced", {WANTED: PUBLISHED[1]}, externalTrafficPolicy="Local")
    assert given(started, path) == PUBLISHED[1]
    hardware = json.loads(speaker.inside(["ip", "-json", "link", "show", INTERFACE]))[0]["address"]
    assert answering(speaker, PUBLISHED[1], WIRE) == "", "it has no pod that could be reached"
    pod = {"nodeName": NODE, "containers": [{"name": "main", "image": "i"}]}
    meta = {"name": "announced", "labels": {"app": "announced"}}
    started.api.post("/api/v1/namespaces/published/pods", {"metadata": meta, "spec": pod})
    eventually(lambda: answering(speaker, PUBLISHED[1], WIRE) == hardware, SETTLED_SECONDS)
    assert answering(speaker, PUBLISHED[0], WIRE) == "", "nobody was given that one"
    assert answering(speaker, PUBLISHED[1], INTERFACE) == "", "the stack file names one interface"
    said = f"/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}/servicel2statuses"
    (status,) = eventually(lambda: started.api.get(said)["items"], SETTLED_SECONDS)
    assert status["status"]["node"] == NODE
    assert status["status"]["serviceName"] == "announced"
