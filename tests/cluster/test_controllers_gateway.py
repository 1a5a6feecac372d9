"""The dev lab's gateway under the real Envoy Gateway, MetalLB and cert-manager, which run beside the API server.

The proxies themselves are simulated pods: what they would be told is read from the controller as they read it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from cluster_api import Object, eventually
from controllers_bed import SETTLED_SECONDS, job_like, reasons
from controllers_lab import CERT_MANAGER, GATEWAY, METALLB, ControllersLab, controllers_lab, needs_controllers
from lab_facts import inventory, own

from components.namespaces.plan import GATEWAY_LABEL
from components.network.flows import PROXY_PODS
from components.network.gateway import HTTP_PORT, HTTPS_PORT, container_port
from labctl.control_plane import obtain_tool

pytestmark = needs_controllers

NAMESPACE, HUB = "gateway-dev", "hub-dev"
GATEWAYS = f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/gateways"
ENVOY = f"/apis/gateway.envoyproxy.io/v1alpha1/namespaces/{NAMESPACE}"
ADDRESS = "10.20.0.200"
"""The gateway's in the stack file."""
HOSTNAME = "hub.dev.lab.example.org"
WEBSOCKET_IDLE_SECONDS = 8 * 3600
"""What the stack file leaves to the default of `gateway.websocketIdle`."""
ACCEPTED = {"Accepted": "True", "ResolvedRefs": "True"}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControllersLab]:
    folder = tmp_path_factory.mktemp("gateway")
    with controllers_lab(folder, [GATEWAY, METALLB, CERT_MANAGER]) as made:
        runner = made.runner
        program = obtain_tool("envoy-gateway", print)
        envoy = runner.pod(NAMESPACE, "control-plane=envoy-gateway")
        # The chart's own Job has run in name only, and is gone by now.
        runner.run(job_like(envoy, f"{NAMESPACE}-{GATEWAY}-certgen"), program, ["certgen"])
        runner.start(envoy, program)
        balancer = runner.pod("metallb-dev", "app.kubernetes.io/component=controller")
        runner.start(balancer, obtain_tool("metallb-controller", print))
        certificates = runner.pod("cert-manager-dev", "app.kubernetes.io/component=controller")
        own = ["--cluster-resource-namespace=$(POD_NAMESPACE)"]
        runner.start(certificates, obtain_tool("cert-manager-controller", print), arguments=own)
        yield made


def route(namespace: str, name: str) -> str:
    """Return the path of an HTTPRoute."""
    return f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes/{name}"


@pytest.fixture(scope="module")
def hub_route(started: ControllersLab) -> str:
    """Path of the hub's HTTPRoute, made as the hub's chart makes it from the values that our release gives it."""
    values = release_values(started, "hub-jupyterhub")["httpRoute"]
    assert values["enabled"]
    labels = {"component": "proxy"}
    ports = [{"name": "http", "port": 80, "targetPort": 8000}]
    core = f"/api/v1/namespaces/{HUB}"
    started.api.post(
        f"{core}/services", {"metadata": {"name": "proxy-public"}, "spec": {"selector": labels, "ports": ports}}
    )
    # The proxy of the hub is one more pod in name only; without any, its route would answer 503 by itself.
    started.api.post(f"{core}/pods", {"metadata": {"name": "proxy", "labels": labels}, "spec": restricted("proxy")})
    (hostname,) = values["hostnames"]
    path = post_route(started, route(HUB, "hub"), values["gateway"], "proxy-public", hostname)
    started.settled(path, ACCEPTED, of=parent_of)
    return path


def restricted(name: str) -> Object:
    """Return a pod's spec that the hub's namespace admits."""
    security = {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    resources = {"requests": {"cpu": "10m", "memory": "10Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    return {"containers": [{"name": name, "image": "i", "securityContext": security, "resources": resources}]}


def release_values(started: ControllersLab, name: str) -> Object:
    """Return the values of a release, from the state."""
    (release,) = [item for item in started.lab.deployment()["resources"] if item["urn"].endswith(f":Release::{name}")]
    return release["inputs"]["values"]


def post_route(started: ControllersLab, path: str, parent: Object, service: str, hostname: str = HOSTNAME) -> str:
    """Create the HTTPRoute with this path, for a host name, and return the path."""
    version, collection, name = "gateway.networking.k8s.io/v1", *path.rsplit("/", 1)
    rules = [{"backendRefs": [{"name": service, "port": 80}]}]
    spec = {"parentRefs": [parent], "hostnames": [hostname], "rules": rules}
    started.api.post(collection, {"apiVersion": version, "kind": "HTTPRoute", "metadata": {"name": name}, "spec": spec})
    return path


def parent_of(route: Object) -> Object:
    """Return what the one parent of a route says of it; nothing yet if it has not spoken."""
    parents: list[Object] = route.get("status", {}).get("parents", [])
    return parents[0] if parents else {"conditions": []}


def of_gateway(policy: Object) -> Object:
    """Return what the one Gateway that a policy is for says of it."""
    ancestors: list[Object] = policy.get("status", {}).get("ancestors", [])
    return ancestors[0] if ancestors else {"conditions": []}


def listener(name: str, gateway: Object) -> Object:
    """Return the status of a listener."""
    found = [item for item in gateway["status"].get("listeners", []) if item["name"] == name]
    return found[0] if found else {"conditions": []}


# -- what the controllers say of the program's objects ----------------------------------------------------------------


def test_the_real_kinds_take_every_object_of_the_program_as_it_is(started: ControllersLab) -> None:
    kinds = {"Gateway", "GatewayClass", "HTTPRoute", "EnvoyProxy", "ClientTrafficPolicy", "BackendTrafficPolicy"}
    kinds |= {"ClusterIssuer", "Certificate"}
    ours = {key: item for key, item in inventory(started.api).items() if key.kind in kinds and own(item)}
    assert {key.kind for key in ours} == kinds
    for key, item in ours.items():
        listed = started.api.get(f"/apis/{key.version}")["resources"]
        (plural,) = [entry["name"] for entry in listed if entry["kind"] == key.kind and "/" not in entry["name"]]
        path = f"/apis/{key.version}/" + (f"namespaces/{key.namespace}/" if key.namespace else "") + plural
        body = {"apiVersion": key.version, "kind": key.kind, "metadata": {"name": f"{key.name}-again"}}
        started.api.post(f"{path}?dryRun=All&fieldValidation=Strict", {**body, "spec": item["spec"]})


def test_the_class_and_the_shape_of_its_proxies_are_accepted(started: ControllersLab) -> None:
    started.settled("/apis/gateway.networking.k8s.io/v1/gatewayclasses/envoy-dev", {"Accepted": "True"})
    started.settled(f"{ENVOY}/envoyproxies/lab", {"Accepted": "True"}, of=of_gateway)


def test_the_gateway_gets_its_fixed_address_and_is_programmed(started: ControllersLab) -> None:
    gateway = started.settled(f"{GATEWAYS}/lab", {"Accepted": "True", "Programmed": "True"})
    assert gateway["status"]["addresses"] == [{"type": "IPAddress", "value": ADDRESS}]


@pytest.mark.parametrize("name", ["http", "https-hub"])
def test_every_listener_is_programmed_and_has_its_certificate(started: ControllersLab, name: str) -> None:
    wanted = {"Accepted": "True", "Programmed": "True", "ResolvedRefs": "True"}
    gateway = started.settled(f"{GATEWAYS}/lab", wanted, of=lambda item: listener(name, item))
    assert {entry["name"] for entry in gateway["spec"]["listeners"]} == {"http", "https-hub"}


@pytest.mark.parametrize("kind", ["clienttrafficpolicies", "backendtrafficpolicies"])
def test_the_policies_of_the_gateway_are_accepted(started: ControllersLab, kind: str) -> None:
    started.settled(f"{ENVOY}/{kind}/lab", {"Accepted": "True"}, of=of_gateway)


def test_the_redirect_and_the_hubs_route_are_attached(started: ControllersLab, hub_route: str) -> None:
    for path in (route(NAMESPACE, "to-https"), hub_route):
        started.settled(path, ACCEPTED, of=parent_of)
    attached = {
        entry["name"]: entry["attachedRoutes"] for entry in started.api.get(f"{GATEWAYS}/lab")["status"]["listeners"]
    }
    assert attached == {"http": 1, "https-hub": 1}


def test_a_route_from_a_namespace_that_is_not_labelled_is_refused(started: ControllersLab, hub_route: str) -> None:
    parent = started.api.get(hub_route)["spec"]["parentRefs"][0]
    started.api.namespace("elsewhere")
    service = {"metadata": {"name": "theirs"}, "spec": {"ports": [{"port": 80}]}}
    started.api.post("/api/v1/namespaces/elsewhere/services", service)
    path = post_route(started, route("elsewhere", "intruder"), parent, "theirs")
    intruder = started.settled(path, {"Accepted": "False"}, of=parent_of)
    assert reasons(parent_of(intruder))["Accepted"] == "NotAllowedByListeners"
    # The label alone is what it lacks.
    label = started.api.get(f"/api/v1/namespaces/{HUB}")["metadata"]["labels"][GATEWAY_LABEL]
    started.api.merge("/api/v1/namespaces/elsewhere", {"metadata": {"labels": {GATEWAY_LABEL: label}}})
    started.settled(path, ACCEPTED, of=parent_of)
    started.api.delete("/api/v1/namespaces/elsewhere")


def test_a_route_of_a_labelled_namespace_may_not_answer_without_encryption(
    started: ControllersLab, hub_route: str
) -> None:
    parent = {**started.api.get(hub_route)["spec"]["parentRefs"][0], "sectionName": "http"}
    path = post_route(started, route(HUB, "in-plain"), parent, "proxy-public")
    plain = started.settled(path, {"Accepted": "False"}, of=parent_of)
    assert reasons(parent_of(plain))["Accepted"] == "NotAllowedByListeners"
    started.api.delete(path)


def test_no_controller_can_be_reached_from_outside_or_reach_out(started: ControllersLab) -> None:
    networks = {Path(f"/proc/{item.process.pid}/ns/net").readlink() for item in started.runner.running}
    assert len(networks) == len(started.runner.running) == 3
    assert Path("/proc/self/ns/net").readlink() not in networks
    for item in started.runner.running:
        assert [link["ifname"] for link in json.loads(item.inside(["ip", "-json", "link"]))] == ["lo"]


# -- what they make of them -------------------------------------------------------------------------------------------


def proxies(started: ControllersLab) -> list[Object]:
    selector = ",".join(f"{key}={value}" for key, value in PROXY_PODS.items())
    return started.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={selector}")["items"]


def test_our_policies_pick_the_proxies_by_their_labels_and_ports(started: ControllersLab) -> None:
    started.settled(f"{GATEWAYS}/lab", {"Programmed": "True"})
    eventually(lambda: len(proxies(started)) == 2, SETTLED_SECONDS)
    (service,) = services(started)
    ports = {entry["port"]: entry["targetPort"] for entry in service["spec"]["ports"]}
    assert ports == {port: container_port(port) for port in (HTTP_PORT, HTTPS_PORT)}
    policy = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies/users-to-proxies"
    assert {entry["port"] for entry in started.api.get(policy)["spec"]["ingress"][0]["ports"]} == set(ports.values())


def services(started: ControllersLab) -> list[Object]:
    found = started.api.get(f"/api/v1/namespaces/{NAMESPACE}/services")["items"]
    return [item for item in found if item["spec"]["type"] == "LoadBalancer"]


def test_the_proxies_service_is_as_the_plan_shapes_it(started: ControllersLab) -> None:
    started.settled(f"{GATEWAYS}/lab", {"Programmed": "True"})
    (service,) = services(started)
    assert service["status"]["loadBalancer"]["ingress"] == [{"ip": ADDRESS, "ipMode": "VIP"}]
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    assert not any("nodePort" in entry for entry in service["spec"]["ports"])
    budgets = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets"
    (budget,) = eventually(lambda: started.api.get(budgets)["items"], SETTLED_SECONDS)
    assert budget["spec"]["minAvailable"] == 1


# -- what the proxies are told ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """What a proxy of the gateway is told."""

    listeners: list[Object]
    routes: list[Object]
    clusters: list[Object]

    def managers(self) -> list[Object]:
        """Return how each of the program's listeners treats its connections."""
        ours = [item for item in self.listeners if item["name"].startswith(f"{NAMESPACE}/lab/")]
        marked = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
        found = [item for item in nested(ours) if str(item.get("@type", "")).endswith(marked)]
        assert len(found) == len(ours) == 2
        return found

    def route(self, name: str) -> Object:
        """Return the route that comes from an HTTPRoute."""
        (found,) = [item for item in nested(self.routes) if str(item.get("name")).startswith(f"httproute/{name}/")]
        return found

    def cluster(self, name: str) -> Object:
        """Return the cluster that comes from an HTTPRoute."""
        (found,) = [item for item in self.clusters if item["name"].startswith(f"httproute/{name}/")]
        return found


@pytest.fixture
def asked(started: ControllersLab, hub_route: str, tmp_path: Path) -> Callable[[], Told]:
    """Ask the controller as one of its proxies does, with their certificate."""
    for name, text in started.api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/envoy")["data"].items():
        (tmp_path / name).write_bytes(base64.b64decode(text))
    (controller,) = [item for item in started.runner.running if item.name.startswith("envoy-gateway-")]
    client = [str(obtain_tool("xds-client", print)), f"-certificates={tmp_path}", f"-fleet={NAMESPACE}/lab"]

    def resources(kind: str, *names: str) -> list[Object]:
        return json.loads(controller.inside([*client, f"-type=envoy.config.{kind}", *names])).get("resources", [])

    def ask() -> Told:
        listeners = resources("listener.v3.Listener")
        names = {str(item["routeConfigName"]) for item in nested(listeners) if "routeConfigName" in item}
        routes = resources("route.v3.RouteConfiguration", *sorted(names))
        return Told(listeners, routes, resources("cluster.v3.Cluster"))

    def reached() -> bool:
        # As long as something is missing it cannot be told apart, or nobody answers yet.
        with suppress(AssertionError, ValueError):
            told = ask()
            return len(told.listeners) > 2 and "route" in told.route(f"{HUB}/hub")
        return False

    eventually(reached, SETTLED_SECONDS)
    assert hub_route
    return ask


def nested(value: object) -> Iterator[Object]:
    """Yield every object in a JSON value, however deep."""
    if isinstance(value, dict):
        yield cast("Object", value)
        value = list(cast("Object", value).values())
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield from nested(item)


def seconds(text: str) -> float:
    """Return a duration of Envoy's JSON."""
    return float(text.removesuffix("s"))


def idle_times(value: object) -> list[float]:
    """Return every idle timeout in a JSON value, in seconds."""
    keys = ("idleTimeout", "streamIdleTimeout")
    return [seconds(item[key]) for item in nested(value) for key in keys if key in item]


def test_a_websocket_may_be_silent_for_as_long_as_the_stack_file_says(asked: Callable[[], Told]) -> None:
    told = asked()
    for manager in told.managers():
        assert seconds(manager["streamIdleTimeout"]) == WEBSOCKET_IDLE_SECONDS
        assert seconds(manager["commonHttpProtocolOptions"]["idleTimeout"]) == WEBSOCKET_IDLE_SECONDS
    # Whatever else may cut a silent connection on its way to the hub allows it as much.
    for part in (told.managers(), told.route(f"{HUB}/hub"), told.cluster(f"{HUB}/hub")):
        assert min(idle_times(part)) >= WEBSOCKET_IDLE_SECONDS


def test_an_answer_may_take_as_long_as_it_takes_and_websockets_are_let_through(asked: Callable[[], Told]) -> None:
    action = asked().route(f"{HUB}/hub")["route"]
    assert seconds(action["timeout"]) == 0, "0 is no limit"
    assert [entry["upgradeType"] for entry in action["upgradeConfigs"]] == ["websocket"]


def test_both_sides_of_the_proxies_probe_silent_connections(asked: Callable[[], Told]) -> None:
    told = asked()
    for item in told.listeners:
        if item["name"].startswith(f"{NAMESPACE}/lab/"):
            assert {"60", "20", "3"} <= {str(option.get("intValue")) for option in item["socketOptions"]}
    keepalive = told.cluster(f"{HUB}/hub")["upstreamConnectionOptions"]["tcpKeepalive"]
    assert keepalive == {"keepaliveProbes": 3, "keepaliveTime": 60, "keepaliveInterval": 20}


def test_the_listeners_take_their_own_name_over_tls_and_send_everyone_else_there(asked: Callable[[], Told]) -> None:
    told = asked()
    (secure,) = [item for item in told.listeners if item["name"] == f"{NAMESPACE}/lab/https-hub"]
    (chain,) = secure["filterChains"]
    assert chain["filterChainMatch"] == {"serverNames": [HOSTNAME]}
    (parameters,) = [item["tlsParams"] for item in nested(chain["transportSocket"]) if "tlsParams" in item]
    assert parameters["tlsMinimumProtocolVersion"] == "TLSv1_2"
    assert told.route(f"{NAMESPACE}/to-https")["redirect"]["schemeRedirect"] == "https"


def test_another_idle_time_in_the_stack_file_reaches_the_proxies(
    started: ControllersLab, asked: Callable[[], Told]
) -> None:
    def shorter(network: Object) -> None:
        network["gateway"]["websocketIdle"] = "2h"

    def longer(network: Object) -> None:
        del network["gateway"]["websocketIdle"]

    def told() -> set[float]:
        with suppress(AssertionError):
            return {seconds(manager["streamIdleTimeout"]) for manager in asked().managers()}
        return set()

    started.edit(shorter)
    eventually(lambda: told() == {2 * 3600}, SETTLED_SECONDS)
    started.edit(longer)
    eventually(lambda: told() == {WEBSOCKET_IDLE_SECONDS}, SETTLED_SECONDS)
