"""The plan of a network: parts, order, arithmetic, and what keeps a terminal alive."""

from __future__ import annotations

import dataclasses
import re
from ipaddress import ip_network
from typing import TYPE_CHECKING, cast

import pytest

from components.namespaces.plan import PodSecurity
from components.network.calico import block_count, pod_mtu_bytes
from components.network.config import Encapsulation
from components.network.errors import OwnClassError, UnorderedPartsError
from components.network.gateway import container_port
from components.network.parts import CustomResourcePlan, ReleasePlan
from components.network.plan import NetworkPlan, key_of, network_plan, secrets
from components.quantities import Duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.model import Value
    from components.network.config import NetworkConfig

SELF_SIGNED: Mapping[str, Value] = {"kind": "self-signed"}


def resources(plan: NetworkPlan) -> dict[str, CustomResourcePlan]:
    return {step.key: step for _, step in plan.steps() if isinstance(step, CustomResourcePlan)}


def releases(plan: NetworkPlan) -> dict[str, ReleasePlan]:
    return {step.chart: step for _, step in plan.steps() if isinstance(step, ReleasePlan)}


def at(value: object, *path: str | int) -> object:
    for step in path:
        value = cast("Mapping[str | int, object]", value)[step]
    return value


def test_the_lab_s_parts_and_charts(network: Callable[..., NetworkConfig]) -> None:
    plan = network_plan(network(), "prod")
    assert [part.key for part in plan.parts] == ["calico", "metallb", "gateway", "cert-manager"]
    assert list(releases(plan)) == [
        "crd.projectcalico.org.v1",
        "metallb",
        "gateway-helm",
        "tigera-operator",
        "cert-manager",
    ]
    assert {part.namespace.name for part in plan.parts} == {
        "tigera-operator",
        "metallb-prod",
        "gateway-prod",
        "cert-manager-prod",
    }


@pytest.mark.parametrize("certificates", [None, SELF_SIGNED])
def test_everything_comes_after_what_it_waits_for(
    network: Callable[..., NetworkConfig], certificates: Mapping[str, Value] | None
) -> None:
    plan = network_plan(network(**({} if certificates is None else {"certificates": certificates})), "prod")
    keys = [key_of(step) for _, step in plan.steps()]
    assert len(keys) == len(set(keys))
    for _, step in plan.steps():
        assert all(keys.index(before) < keys.index(key_of(step)) for before in step.after)
    assert keys.index("gateway-helm") < keys.index("gateway")
    assert keys.index("issuer") < keys.index("hub-tls")


def test_what_waits_for_itself_or_for_nothing_is_refused(network: Callable[..., NetworkConfig]) -> None:
    plan = network_plan(network(), "prod")
    part = plan.parts[0]
    lost = dataclasses.replace(part.resources[0], after=("nobody",))
    broken = dataclasses.replace(plan, parts=(dataclasses.replace(part, resources=(lost,)),))
    with pytest.raises(UnorderedPartsError, match="installation after nobody"):
        broken.steps()


def test_parts_left_out_are_not_planned(network: Callable[..., NetworkConfig]) -> None:
    bare = network_plan(network(cni=None, loadBalancer=None, gateway=None, certificates=None, hostnames=None), "x")
    assert bare.parts == ()
    assert (bare.facts.gateway, bare.facts.issuer) == (None, None)


def test_a_gateway_of_another_stack_is_named_and_not_made(network: Callable[..., NetworkConfig]) -> None:
    use: Mapping[str, Value] = {
        "gateway": {"name": "lab", "namespace": "gateway-prod", "className": "envoy-prod"},
        "issuer": "lab-prod",
    }
    plan = network_plan(network(cni=None, loadBalancer=None, gateway=None, certificates=None, use=use), "next")
    assert plan.parts == ()
    assert plan.facts.gateway is not None
    assert plan.facts.gateway.label == "gateway-prod.lab"
    assert plan.facts.issuer == "lab-prod"


def test_a_class_is_not_used_twice(network: Callable[..., NetworkConfig]) -> None:
    use: Mapping[str, Value] = {
        "gateway": {"name": "lab", "namespace": "gateway-prod", "className": "envoy-next"},
        "issuer": "lab-prod",
    }
    section = network(cni=None, loadBalancer=None, gateway=None, certificates=None, use=use)
    with pytest.raises(OwnClassError, match="envoy-next is the class that stack next gives a gateway of its own"):
        network_plan(section, "next")
    assert network_plan(section, "test").facts.gateway is not None


def test_two_stacks_on_one_cluster_share_no_cluster_scoped_name(network: Callable[..., NetworkConfig]) -> None:
    """But for Calico's: a cluster has one pod network, and one of the stacks owns it."""

    def names(stack: str) -> set[tuple[str, str]]:
        plan = network_plan(network(cni=None), stack)
        found = {("Namespace", part.namespace.name) for part in plan.parts}
        found |= {("Release", step.release_name) for step in releases(plan).values()}
        return found | {(step.kind, step.name) for step in resources(plan).values() if not step.namespaced}

    assert not names("prod") & names("test")


@pytest.mark.parametrize(
    ("encapsulation", "families", "mtu"),
    [
        (Encapsulation.VXLAN, (4,), 1450),
        (Encapsulation.VXLAN_CROSS_SUBNET, (4,), 1450),
        (Encapsulation.VXLAN, (6, 4), 1430),
        (Encapsulation.VXLAN, (4, 6), 1430),
        (Encapsulation.NONE, (4, 6), 1500),
    ],
)
def test_a_pod_s_packet_fits_into_the_hosts_frame(
    encapsulation: Encapsulation, families: tuple[int, ...], mtu: int
) -> None:
    assert pod_mtu_bytes(1500, encapsulation, families) == mtu


@pytest.mark.parametrize(
    ("pods", "size", "blocks"), [("10.0.0.0/16", 26, 1024), ("10.0.0.0/26", 26, 1), ("10.0.0.0/28", 26, 0)]
)
def test_blocks_of_a_pod_network(pods: str, size: int, blocks: int) -> None:
    assert block_count(ip_network(pods), size) == blocks


def test_the_installation_says_the_address_plan(network: Callable[..., NetworkConfig]) -> None:
    cni: Mapping[str, Value] = {
        "kind": "calico",
        "encapsulation": "VXLANCrossSubnet",
        "blockSize": 25,
        "hostMtuBytes": 9000,
    }
    spec = resources(network_plan(network(cni=cni), "prod"))["installation"].spec
    assert at(spec, "calicoNetwork", "ipPools", 0) == {
        "name": "default-ipv4-ippool",
        "cidr": "10.244.0.0/16",
        "encapsulation": "VXLANCrossSubnet",
        "blockSize": 25,
        "natOutgoing": "Enabled",
        "nodeSelector": "all()",
    }
    assert at(spec, "calicoNetwork", "mtu") == 8950
    assert at(spec, "calicoNetwork", "bgp") == "Disabled"
    assert at(spec, "calicoNetwork", "nodeAddressAutodetectionV4", "cidrs") == ["192.0.2.0/24"]
    routed = resources(network_plan(network(cni={"encapsulation": "None"}), "prod"))["installation"].spec
    assert at(routed, "calicoNetwork", "bgp") == "Enabled"


def test_each_family_has_a_pool_and_a_way_of_its_own(dual_stack: Callable[..., NetworkConfig]) -> None:
    cni: Mapping[str, Value] = {"blockSize": {"ipv6": 120}}
    spec = resources(network_plan(dual_stack(cni=cni), "prod"))["installation"].spec
    pools = cast("list[Mapping[str, object]]", at(spec, "calicoNetwork", "ipPools"))
    assert [(pool["name"], pool["cidr"], pool["blockSize"]) for pool in pools] == [
        ("default-ipv4-ippool", "10.244.0.0/16", 26),
        ("default-ipv6-ippool", "fd00:10:244::/56", 120),
    ]
    assert at(spec, "calicoNetwork", "mtu") == 1430
    assert at(spec, "calicoNetwork", "nodeAddressAutodetectionV4", "cidrs") == ["192.0.2.0/24"]
    assert at(spec, "calicoNetwork", "nodeAddressAutodetectionV6", "cidrs") == ["2001:db8:1::/64"]
    assert at(spec, "serviceCIDRs") == ["10.96.0.0/16", "fd00:10:96::/112"]


def test_pods_of_one_family_on_hosts_of_both_use_one_way(network: Callable[..., NetworkConfig]) -> None:
    spec = resources(network_plan(network(hosts=["192.0.2.0/24", "2001:db8:1::/64"]), "prod"))["installation"].spec
    assert "nodeAddressAutodetectionV6" not in cast("Mapping[str, object]", at(spec, "calicoNetwork"))
    assert at(spec, "calicoNetwork", "mtu") == 1450


def test_the_operator_makes_nothing_behind_the_program_s_back(network: Callable[..., NetworkConfig]) -> None:
    values = releases(network_plan(network(), "prod"))["tigera-operator"].values
    assert all(at(values, part, "enabled") is False for part in ("installation", "apiServer", "goldmane", "whisker"))
    assert values["manageCRDs"] is False


def test_pools_are_announced(network: Callable[..., NetworkConfig]) -> None:
    balancer: Mapping[str, Value] = {
        "interfaces": ["bond0"],
        "pools": [
            {"name": "lab", "addresses": ["192.0.2.200-192.0.2.219"]},
            {"name": "spare", "addresses": ["192.0.2.224/28", "192.0.2.250/32"], "automatic": False},
        ],
    }
    made = resources(network_plan(network(loadBalancer=balancer), "prod"))
    assert made["pool-spare"].spec == {
        "addresses": ["192.0.2.224-192.0.2.239", "192.0.2.250-192.0.2.250"],
        "autoAssign": False,
    }
    assert made["l2"].spec == {"ipAddressPools": ["lab", "spare"], "interfaces": ["bond0"]}


def test_a_silent_terminal_outlives_five_minutes_on_both_sides(network: Callable[..., NetworkConfig]) -> None:
    made = resources(network_plan(network(gateway={"websocketIdle": "90m"}), "prod"))
    client = at(made["client-policy"].spec, "timeout", "http")
    backend = at(made["backend-policy"].spec, "timeout", "http")
    for side in (client, backend):
        idle = Duration.parse(str(at(side, "streamIdleTimeout")))
        assert idle == Duration.parse("90m")
        assert re.fullmatch(r"([0-9]{1,5}(h|m|s|ms)){1,4}", str(idle))
    assert at(backend, "requestTimeout") == "0s"
    assert at(made["backend-policy"].spec, "httpUpgrade") == [{"type": "websocket"}]
    for policy in ("client-policy", "backend-policy"):
        assert at(made[policy].spec, "targetRefs", 0, "name") == made["gateway"].name


def test_every_published_service_has_a_listener_and_a_certificate(network: Callable[..., NetworkConfig]) -> None:
    plan = network_plan(network(hostnames={"hub": "hub.lab.org", "grafana": "grafana.lab.org"}), "prod")
    made = resources(plan)
    listeners = cast("list[Mapping[str, object]]", made["gateway"].spec["listeners"])
    assert [(listener["name"], listener.get("hostname"), listener["protocol"]) for listener in listeners] == [
        ("http", None, "HTTP"),
        ("https-grafana", "grafana.lab.org", "HTTPS"),
        ("https-hub", "hub.lab.org", "HTTPS"),
    ]
    for service in ("hub", "grafana"):
        certificate = made[f"{service}-tls"]
        assert at(certificate.spec, "dnsNames") == [f"{service}.lab.org"]
        assert at(certificate.spec, "issuerRef", "name") == plan.facts.issuer == "lab-prod"
        secret = at(certificate.spec, "secretName")
        assert any(at(entry, "tls", "certificateRefs", 0, "name") == secret for entry in listeners[1:])
    selector = at(listeners[1], "allowedRoutes", "namespaces", "selector", "matchLabels")
    assert selector == {"lab.internal/gateway": "gateway-prod.lab"}


def test_no_port_is_opened_on_every_node(network: Callable[..., NetworkConfig]) -> None:
    gateway: Mapping[str, Value] = {"address": "192.0.2.200", "replicas": 2, "allowedSources": ["198.51.100.0/24"]}
    made = resources(network_plan(network(gateway=gateway), "prod"))
    service = at(made["proxies"].spec, "provider", "kubernetes", "envoyService")
    assert at(service, "allocateLoadBalancerNodePorts") is False
    assert at(service, "loadBalancerSourceRanges") == ["198.51.100.0/24"]
    assert at(service, "annotations", "metallb.io/loadBalancerIPs") == "192.0.2.200"
    assert at(made["proxies"].spec, "provider", "kubernetes", "envoyPDB", "minAvailable") == 1
    alone = resources(network_plan(network(gateway={"replicas": 1}), "prod"))["proxies"].spec
    # A budget of one over one proxy would keep its node from ever being drained.
    assert "envoyPDB" not in cast("Mapping[str, object]", at(alone, "provider", "kubernetes"))


@pytest.mark.parametrize(
    ("certificates", "kinds", "spec"),
    [
        ({"kind": "acme", "email": "a@b.org"}, ["ClusterIssuer"], "acme"),
        (
            {"kind": "lab-ca", "certificate": "-----BEGIN CERTIFICATE-----\n", "privateKey": {"secret": "k"}},
            ["ClusterIssuer"],
            "ca",
        ),
        ({"kind": "self-signed"}, ["ClusterIssuer", "Certificate", "ClusterIssuer"], "ca"),
    ],
)
def test_issuers_by_kind(
    network: Callable[..., NetworkConfig], certificates: Mapping[str, Value], kinds: list[str], spec: str
) -> None:
    plan = network_plan(network(certificates=certificates), "prod")
    part = next(part for part in plan.parts if part.key == "cert-manager")
    assert [step.kind for step in part.resources] == kinds
    issuer = resources(plan)["issuer"]
    assert list(issuer.spec) == [spec]
    acme = certificates["kind"] == "acme"
    assert at(releases(plan)["cert-manager"].values, "config", "gatewayAPI", "enabled") is acme
    names = {flow.name for flow in part.namespace.flows}
    assert ({"to-internet", "to-own-challenge"} <= names) is acme


def test_files_need_no_cert_manager(network: Callable[..., NetworkConfig]) -> None:
    file: Value = {"chain": "-----BEGIN CERTIFICATE-----\n", "privateKey": {"secret": "hubTlsKey"}}
    config = network(certificates={"kind": "files", "services": {"hub": file}})
    plan = network_plan(config, "prod")
    assert "cert-manager" not in releases(plan)
    assert not any(step.kind in {"Certificate", "ClusterIssuer"} for step in resources(plan).values())
    (secret,) = (secret for part in plan.parts for secret in part.secrets)
    assert (secret.name, secret.type) == ("hub-tls", "kubernetes.io/tls")
    listener = at(resources(plan)["gateway"].spec, "listeners", 1)
    assert at(listener, "tls", "certificateRefs", 0, "name") == secret.name
    assert plan.facts.issuer is None
    assert [reference.secret for reference in secrets(config)] == ["hubTlsKey"]


def test_an_acme_answer_is_given_through_the_plain_listener(network: Callable[..., NetworkConfig]) -> None:
    solver = at(resources(network_plan(network(), "prod"))["issuer"].spec, "acme", "solvers", 0)
    parent = at(solver, "http01", "gatewayHTTPRoute", "parentRefs", 0)
    assert (at(parent, "name"), at(parent, "namespace"), at(parent, "sectionName")) == ("lab", "gateway-prod", "http")


def test_only_what_needs_the_host_is_privileged(network: Callable[..., NetworkConfig]) -> None:
    levels = {part.key: part.namespace.pod_security for part in network_plan(network(), "prod").parts}
    assert levels == {
        "calico": PodSecurity.PRIVILEGED,
        "metallb": PodSecurity.PRIVILEGED,
        "gateway": PodSecurity.BASELINE,
        "cert-manager": PodSecurity.RESTRICTED,
    }


def test_every_flow_gives_its_reason_and_every_namespace_is_closed(network: Callable[..., NetworkConfig]) -> None:
    for part in network_plan(network(), "prod").parts:
        policies = part.namespace.policies
        assert policies[0].name == "default-deny"
        assert all(len(policy.reason) > 20 for policy in policies)


@pytest.mark.parametrize(("port", "container"), [(80, 10080), (443, 10443), (8080, 8080)])
def test_proxies_listen_above_the_privileged_ports(port: int, container: int) -> None:
    assert container_port(port) == container


def test_releases_are_known_to_those_who_stand_in_for_them(network: Callable[..., NetworkConfig]) -> None:
    owners = network_plan(network(), "dev").helm_owners()
    assert owners["metallb"].annotations() == {
        "meta.helm.sh/release-name": "metallb-dev",
        "meta.helm.sh/release-namespace": "metallb-dev",
    }
    assert set(owners) == set(releases(network_plan(network(), "dev")))
