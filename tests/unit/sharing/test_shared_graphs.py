"""What a stack and its tenant would make together: nothing twice, and the tenant's graph pinned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import pytest
from shared_stacks import graph_of

from components.hub.flows import HUB, PROXY, SERVERS
from components.model import Value
from components.network.flows import PROXY_PODS
from components.standins.plan import stand_in_kinds
from labctl.graph.canonical import graph_json
from labctl.graph.goal import Goal
from labctl.graph.record import Graph
from labctl.graph.values import as_mapping, as_text
from labctl.network_policies.model import Pod
from labctl.network_policies.reading import read_policy
from labctl.network_policies.verdicts import Cluster, Connection, verdict
from stacks.sharing import ONE_PER_CLUSTER, Subject, owned_twice

GOLDEN = Path(__file__).parent / "data" / "prod-open.json"
OWNERS = ("dev", "prod")
RELEASE = "kubernetes:helm.sh/v3:Release"


def kubernetes(graph: Graph) -> list[Goal]:
    return [goal for goal in graph.goals if goal.custom and goal.package == "kubernetes" and not goal.is_provider]


def chart(goal: Goal) -> str:
    return as_text(goal.inputs["chart"]).rpartition("/")[2]


def metadata(goal: Goal) -> Mapping[str, object]:
    return cast("Mapping[str, object]", as_mapping(goal.inputs.get("metadata")))


def changed(graph: Graph, resource: str, /, **inputs: object) -> list[Goal]:
    """Return the goals with other inputs of one of them."""
    (found,) = [goal for goal in graph.goals if goal.name == resource and goal.custom]
    other = replace(found, inputs={**found.inputs, **cast("dict[str, Value]", inputs)})
    return [other if goal is found else goal for goal in graph.goals]


def test_the_tenants_graph_is_what_is_pinned(request: pytest.FixtureRequest) -> None:
    text = json.dumps(graph_json(graph_of("prod-open")), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if request.config.getoption("--update-golden"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8"), "run this test with --update-golden if it is intended"


@pytest.mark.parametrize("owner", OWNERS)
def test_nothing_is_owned_twice(owner: str) -> None:
    assert owned_twice(graph_of(owner).goals, graph_of(f"{owner}-open").goals) == ()


@pytest.mark.parametrize("owner", OWNERS)
def test_every_name_of_the_tenant_carries_its_stack(owner: str) -> None:
    stack = f"{owner}-open"
    named = kubernetes(graph_of(stack))
    assert len(named) > 40
    for goal in named:
        where = goal.inputs if goal.type == RELEASE else metadata(goal)
        place = where.get("namespace") or where.get("name")
        carries = str(place).endswith(f"-{stack}") or str(place).startswith(f"hub-{stack}-")
        assert carries, f"{goal.urn}: {where.get('namespace')}/{where.get('name')}"


@pytest.mark.parametrize("owner", OWNERS)
def test_the_tenant_installs_nothing_that_a_cluster_has_once(owner: str) -> None:
    charts = {chart(goal) for goal in graph_of(f"{owner}-open").goals if goal.type == RELEASE}
    assert charts == {"jupyterhub"}
    installed = {chart(goal) for goal in graph_of(owner).goals if goal.type == RELEASE}
    assert installed <= ONE_PER_CLUSTER.keys() | {"jupyterhub"}, "say of a new chart what a cluster has once of it"
    assert {kind.chart for kind in stand_in_kinds()} <= ONE_PER_CLUSTER.keys()


def test_our_values_leave_the_hubs_chart_nothing_without_a_namespace() -> None:
    """Its scheduler and its priorities would have none (Zero to JupyterHub 4.4.0, ``templates/scheduling``)."""
    (hub,) = [goal for goal in graph_of("prod-open").goals if goal.type == RELEASE]
    values = as_mapping(hub.inputs["values"])
    scheduling = as_mapping(values["scheduling"])
    for part in ("userScheduler", "podPriority", "userPlaceholder"):
        assert as_mapping(scheduling[part]) == {"enabled": False}
    assert as_mapping(as_mapping(values["proxy"])["https"]) == {"enabled": False}


def test_the_hubs_route_is_at_the_listener_granted() -> None:
    (hub,) = [goal for goal in graph_of("prod-open").goals if goal.type == RELEASE]
    route = as_mapping(as_mapping(hub.inputs["values"])["httpRoute"])
    assert route["hostnames"] == ["open.lab.example.org"]
    assert route["gateway"] == {"name": "lab", "namespace": "gateway-prod", "sectionName": "https-open"}
    (gateway,) = [goal for goal in graph_of("prod").goals if goal.type.endswith(":Gateway") and goal.custom]
    listeners = cast("list[Mapping[str, object]]", as_mapping(gateway.inputs["spec"])["listeners"])
    (granted,) = [listener for listener in listeners if listener["name"] == "https-open"]
    assert granted["hostname"] == "open.lab.example.org"
    (space,) = [goal for goal in kubernetes(graph_of("prod-open")) if goal.type.endswith(":Namespace")]
    label = cast("Mapping[str, object]", metadata(space)["labels"])["lab.internal/gateway"]
    allowed = cast("Mapping[str, Mapping[str, Mapping[str, object]]]", granted["allowedRoutes"])
    assert allowed["namespaces"]["selector"]["matchLabels"] == {"lab.internal/gateway": label}


def test_every_policy_is_bound_to_its_own_hubs_namespace() -> None:
    for stack in ("prod", "prod-open"):
        bindings = [goal for goal in graph_of(stack).goals if goal.type.endswith(":ValidatingAdmissionPolicyBinding")]
        assert len(bindings) == 7
        for binding in bindings:
            spec = as_mapping(binding.inputs["spec"])
            selector = as_mapping(as_mapping(spec["matchResources"])["namespaceSelector"])
            assert selector == {"matchLabels": {"kubernetes.io/metadata.name": f"hub-{stack}"}}
            assert as_text(spec["policyName"]).endswith(f"-{stack}")


PARTS = {
    "gateway": ("gateway-prod", PROXY_PODS),
    "proxy": ("hub-{}", PROXY.labels),
    "hub": ("hub-{}", HUB.labels),
    "server": ("hub-{}", SERVERS.labels),
}
PORTS = {"proxy": 8000, "hub": 8081, "server": 8888}


def pod(part: str, stack: str, last: int) -> Pod:
    namespace, labels = PARTS[part]
    address = ip_address(f"10.244.0.{last}")
    return Pod(name=f"{part}-{stack}", namespace=namespace.format(stack), labels=labels, addresses=(address,))


@pytest.mark.parametrize(
    ("source", "of", "target", "at", "passes"),
    [
        ("gateway", "prod", "proxy", "prod-open", True),
        ("gateway", "prod", "proxy", "prod", True),
        ("gateway", "prod", "hub", "prod-open", False),
        ("gateway", "prod", "server", "prod-open", False),
        ("proxy", "prod-open", "server", "prod-open", True),
        ("proxy", "prod", "server", "prod-open", False),
        ("proxy", "prod-open", "server", "prod", False),
        ("hub", "prod-open", "server", "prod", False),
        ("hub", "prod", "server", "prod-open", False),
        ("server", "prod-open", "hub", "prod", False),
        ("server", "prod", "hub", "prod-open", False),
        ("server", "prod-open", "server", "prod", False),
        ("server", "prod", "server", "prod-open", False),
    ],
)
def test_who_reaches_whom_across_the_stacks(source: str, of: str, target: str, at: str, passes: bool) -> None:  # noqa: FBT001 - a column of the table
    goals = [goal for stack in ("prod", "prod-open") for goal in kubernetes(graph_of(stack))]
    namespaces: dict[str, dict[str, str]] = {}
    for goal in goals:
        if goal.type.endswith(":Namespace"):
            name = str(metadata(goal)["name"])
            labels = cast("Mapping[str, str]", metadata(goal)["labels"])
            namespaces[name] = {**labels, "kubernetes.io/metadata.name": name}
    policies = [
        read_policy(cast("Mapping[str, Value]", goal.inputs)) for goal in goals if goal.type.endswith(":NetworkPolicy")
    ]
    connection = Connection(source=pod(source, of, 10), destination=pod(target, at, 20), port=PORTS[target])
    assert verdict(Cluster(namespaces=namespaces, policies=policies), connection).allowed == passes


def test_a_stack_beside_itself_owns_everything_twice() -> None:
    goals = graph_of("prod").goals
    found = owned_twice(goals, goals)
    assert {clash.subject for clash in found} == set(Subject) - {Subject.LABEL}
    assert len([clash for clash in found if clash.subject is Subject.CHART]) == len(ONE_PER_CLUSTER)
    objects = [
        goal for goal in kubernetes(graph_of("prod")) if goal.type not in {RELEASE, "kubernetes:core/v1:NodePatch"}
    ]
    assert len([clash for clash in found if clash.subject is Subject.OBJECT]) == len(objects)


def test_what_would_be_owned_twice_is_named_with_both_owners() -> None:
    prod, tenant = graph_of("prod"), graph_of("prod-open")
    namespace = changed(tenant, "hub-namespace", metadata={"name": "hub-prod"})
    (clash,) = owned_twice(prod.goals, namespace)
    assert (clash.subject, clash.what) == (Subject.OBJECT, "Namespace hub-prod")
    assert "Namespace hub-prod: urn:pulumi:prod::" in str(clash)
    assert "urn:pulumi:prod-open::" in str(clash)

    release = changed(tenant, "hub-jupyterhub", name="jupyterhub-prod", namespace="hub-prod")
    assert [clash.what for clash in owned_twice(prod.goals, release)] == ["jupyterhub-prod in hub-prod"]

    (hub,) = [goal for goal in tenant.goals if goal.type == RELEASE]
    route = {**as_mapping(hub.inputs["values"]), "httpRoute": {"hostnames": ["hub.lab.example.org"]}}
    (clash,) = owned_twice(prod.goals, changed(tenant, "hub-jupyterhub", values=route))
    assert (clash.subject, clash.what) == (Subject.HOST_NAME, "hub.lab.example.org")

    for packed in ("oci://mirror.example.org/charts/metallb", "file:///srv/charts/metallb-0.16.1.tgz"):
        (clash,) = owned_twice(prod.goals, changed(tenant, "hub-jupyterhub", chart=packed))
        assert (clash.subject, clash.what.partition(" ")[0]) == (Subject.CHART, "metallb")


def test_a_label_of_a_node_may_be_said_twice_but_not_differently() -> None:
    prod = graph_of("prod")
    (patch,) = [goal for goal in prod.goals if goal.name == "nodes-gpu-1" and goal.custom]
    said = cast("Mapping[str, str]", metadata(patch)["labels"])
    its = replace(patch, urn=patch.urn.replace(":prod::", ":prod-open::"))
    assert owned_twice(prod.goals, [its]) == ()
    other = replace(its, inputs={"metadata": {"name": "gpu-1", "labels": {**said, "lab.example.org/chassis": "other"}}})
    (clash,) = owned_twice(prod.goals, [other])
    assert clash.subject is Subject.LABEL
    assert clash.what == "gpu-1 lab.example.org/chassis: supermicro-4124gs-tnr or other"


def test_an_address_of_the_others_pool_is_named() -> None:
    prod = graph_of("prod")
    (pool,) = [goal for goal in prod.goals if goal.type.endswith(":IPAddressPool") and goal.custom]
    spec = {"addresses": ["192.0.2.220-192.0.2.230"]}
    mine = replace(pool, urn="urn:mine", inputs={"metadata": {"name": "mine", "namespace": "m"}, "spec": spec})
    (clash,) = owned_twice(prod.goals, [mine])
    assert clash.subject is Subject.ADDRESS
    assert "192.0.2.220-192.0.2.230, of 192.0.2.200-192.0.2.220" in clash.what
