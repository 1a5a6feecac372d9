"""The network as resources, recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pulumi
import pytest

from components.namespaces.component import PriorityClasses, PriorityClassesArgs
from components.network.component import Networking, NetworkingArgs
from components.network.errors import MissingSecretsError
from components.network.plan import key_of, network_plan
from components.pins import ChartPin, Pins
from labctl.graph.errors import GraphError
from labctl.graph.program import Program
from labctl.graph.record import record
from labctl.graph.values import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.model import Value
    from components.network.config import NetworkConfig
    from components.secrets import SecretRef
    from labctl.graph.goal import Goal

CHARTS = ("crd.projectcalico.org.v1", "tigera-operator", "metallb", "gateway-helm", "cert-manager")
PINS = Pins.model_construct(
    charts={name: ChartPin(chart=name, version="v1.2.3", repository="https://charts.example.org") for name in CHARTS},
    images={},
)
CANARY = "canary-of-the-ca-key"
CHAIN = "-----BEGIN CERTIFICATE-----\n"
ACME: dict[str, Value] = {"kind": "acme", "email": "a@lab.org"}
LAB_CA: dict[str, Value] = {
    "kind": "lab-ca",
    "certificate": "-----BEGIN CERTIFICATE-----\n",
    "privateKey": {"secret": "labCaKey"},
}


def goals(config: NetworkConfig, key: str | None = None) -> Mapping[str, Goal]:
    """Return what the component registers, by name; namespaces and their children by theirs."""

    def entry() -> None:
        first = PriorityClasses("first", PriorityClassesArgs(stack="test"))
        made = Networking(
            "network",
            NetworkingArgs(
                config=config,
                stack="test",
                pins=PINS,
                secret=None if key is None else _always(key),
                custom_resources_after=(first,),
            ),
        )
        pulumi.export("gateway", made.gateway_name)
        pulumi.export("issuer", made.issuer)
        pulumi.export("endpoints", {name: endpoint.outputs() for name, endpoint in made.endpoints.items()})

    graph = record(Program(project="p", stack="test", entry=entry))
    outputs, plan = graph.outputs[graph.goals[0].urn], network_plan(config, "test")
    assert outputs.get("issuer") == plan.facts.issuer
    assert outputs["endpoints"] == {name: endpoint.outputs() for name, endpoint in plan.endpoints.items()}
    return {goal.name: goal for goal in graph.goals if goal.parent}


def _always(key: str) -> Callable[[SecretRef], pulumi.Output[str]]:
    """Answer every question for a secret with the same one."""
    return lambda _: pulumi.Output.from_input(key)


def before(goal: Goal) -> set[str]:
    return {urn.rsplit("::", 1)[1] for urn in goal.dependencies}


def test_every_step_of_the_plan_is_a_resource(network: Callable[..., NetworkConfig]) -> None:
    config = network()
    made = goals(config)
    plan = network_plan(config, "test")
    for part in plan.parts:
        namespace = made[f"network-{part.key}-namespace"]
        for release in part.releases:
            goal = made[f"network-{release.chart}"]
            assert goal.inputs["namespace"] == part.namespace.name
            assert goal.inputs["name"] == release.release_name
            assert goal.inputs["values"] == release.values
            assert namespace.name in before(goal)
        for resource in part.resources:
            goal = made[f"network-{resource.key}"]
            assert (goal.inputs["kind"], goal.inputs["spec"]) == (resource.kind, resource.spec)
            metadata = cast("Mapping[str, object]", goal.inputs["metadata"])
            assert metadata.get("namespace") == (part.namespace.name if resource.namespaced else None)


def test_everything_is_a_child_of_the_network(network: Callable[..., NetworkConfig]) -> None:
    for goal in goals(network()).values():
        assert goal.name.startswith("first") or "lab:index:Networking" in goal.urn


def test_what_waits_depends(network: Callable[..., NetworkConfig]) -> None:
    config = network()
    made = goals(config)
    for _, step in network_plan(config, "test").steps():
        assert {f"network-{earlier}" for earlier in step.after} <= before(made[f"network-{key_of(step)}"])
    assert "first-services" in before(made["network-gateway"])
    assert "first-services" not in before(made["network-metallb"])


def test_a_policy_carries_its_reason(network: Callable[..., NetworkConfig]) -> None:
    policy = goals(network())["network-gateway-namespace-users-to-proxies"]
    metadata = cast("Mapping[str, Mapping[str, str]]", policy.inputs["metadata"])
    assert metadata["annotations"]["lab.internal/reason"] == "This is where users come in."
    assert policy.inputs["spec"] == {
        "podSelector": {
            "matchLabels": {
                "app.kubernetes.io/component": "proxy",
                "app.kubernetes.io/managed-by": "envoy-gateway",
            }
        },
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": 10080, "protocol": "TCP"}, {"port": 10443, "protocol": "TCP"}]}],
    }


def test_the_lab_s_own_authority_stays_a_secret(network: Callable[..., NetworkConfig]) -> None:
    made = goals(network(certificates=LAB_CA), CANARY)
    secret = made["network-lab-ca"]
    assert secret.type == "kubernetes:core/v1:Secret"
    assert secret.inputs["type"] == "kubernetes.io/tls"
    assert isinstance(secret.inputs["stringData"], Secret)
    others = "".join(str(goal.inputs) for goal in made.values() if goal is not secret)
    assert CANARY not in others


def test_without_its_key_the_authority_is_refused(network: Callable[..., NetworkConfig]) -> None:
    with pytest.raises(GraphError, match="labCaKey") as caught:
        goals(network(certificates=LAB_CA))
    assert isinstance(caught.value.__cause__, MissingSecretsError)


@pytest.mark.parametrize(
    ("certificates", "name", "keys"),
    [
        (LAB_CA, "lab-ca", {"tls.crt", "tls.key"}),
        (
            {"kind": "files", "services": {"hub": {"chain": CHAIN, "privateKey": {"secret": "hubTlsKey"}}}},
            "hub-tls",
            {"tls.crt", "tls.key"},
        ),
        (
            {**ACME, "solver": {"kind": "cloudflare", "token": {"secret": "cloudflareToken"}}},
            "acme-solver",
            {"token"},
        ),
    ],
)
def test_no_secret_leaves_its_secret(
    network: Callable[..., NetworkConfig], certificates: Value, name: str, keys: set[str]
) -> None:
    made = goals(network(certificates=certificates), CANARY)
    secret = made[f"network-{name}"]
    data = secret.inputs["stringData"]
    assert isinstance(data, Secret)
    assert set(cast("Mapping[str, str]", data.value)) == keys
    assert CANARY in str(data.value)
    others = "".join(str(goal.inputs) for goal in made.values() if goal is not secret)
    assert CANARY not in others


def test_self_signed_certificates_need_no_secret_of_ours(network: Callable[..., NetworkConfig]) -> None:
    made = goals(network(certificates={"kind": "self-signed"}))
    assert made["network-lab-ca"].inputs["kind"] == "Certificate"
    assert not any(goal.type == "kubernetes:core/v1:Secret" for goal in made.values())
