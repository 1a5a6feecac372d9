"""The hub as resources, recorded."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

import pulumi
import pytest
from hub_labs import FACTS, IMAGES, NETWORK, SLICES, hub, profile

from components.hub.admission.plan import POLICIES
from components.hub.component import Hub, HubArgs
from components.hub.plan import hub_values, namespace_plan
from components.pins import ChartPin, ImagePin, Pins
from components.quantities import Size
from components.storage.claims import SharedVolumes
from components.storage.plan import SharedVolumePlan
from labctl.graph.errors import GraphError
from labctl.graph.program import Program
from labctl.graph.record import record
from labctl.graph.values import Secret, contains_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.hub.config import HubConfig
    from labctl.graph.goal import Goal
    from labctl.graph.values import Value

CANARY = "c4n4ry-client-secret"
CHART = ChartPin(chart="jupyterhub", version="4.4.0", repository="https://charts.example.org")
PINS = Pins.model_construct(
    charts={"jupyterhub": CHART},
    images={name: ImagePin(image=image, source="a test") for name, image in IMAGES.items()},
)
RELEASE = "kubernetes:helm.sh/v3:Release::hub-jupyterhub"
DUMMY = {"authentication": {"kind": "dummy"}, "homes": {"key": "username", "capacity": "1Gi"}}


def goals(
    config: HubConfig,
    client_secret: str | None = CANARY,
    requests: SharedVolumes | None = None,
    *,
    simulated: bool = False,
) -> Mapping[str, Goal]:
    """Return what the component registers in stack ``test``, by type and name, the stack itself left out."""

    def entry() -> None:
        made = Hub(
            "hub",
            HubArgs(
                config=config,
                stack="test",
                pins=PINS,
                network=NETWORK,
                shared=SharedVolumes(claimed=tuple(FACTS.volumes)),
                home_class=pulumi.Output.from_input("homes-test"),
                slices=SLICES,
                gateway_name=pulumi.Output.from_input("lab"),
                gateway_namespace="gateway-test",
                priorities={"services": "services-test", "interactive": "interactive-test", "batch": "batch-test"},
                client_secret=client_secret,
                home_requests=requests,
                is_simulated=simulated,
            ),
        )
        assert made.url == "https://hub.lab.org"

    graph = record(Program(project="p", stack="test", entry=entry))
    return {f"{goal.type}::{goal.name}": goal for goal in graph.goals if goal.parent}


def plain_texts(value: Value) -> list[str]:
    """Return every text that stands in the clear, keys included."""
    if isinstance(value, Secret):
        return []
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in (key, *plain_texts(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in plain_texts(inner)]
    return [value] if isinstance(value, str) else []


def test_children() -> None:
    planned = namespace_plan(hub(), NETWORK, "test")
    policies = {
        f"kubernetes:networking.k8s.io/v1:NetworkPolicy::hub-namespace-{policy.name}" for policy in planned.policies
    }
    rules = {
        f"kubernetes:admissionregistration.k8s.io/v1:{kind}::hub-admission-{key}{ending}"
        for key in POLICIES
        for kind, ending in (("ValidatingAdmissionPolicy", ""), ("ValidatingAdmissionPolicyBinding", "-binding"))
    }
    assert set(goals(hub())) - policies - rules == {
        "lab:index:HubAccess::hub-access",
        "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole::hub-access-nodes",
        "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding::hub-access-nodes-binding",
        "lab:index:HubAdmission::hub-admission",
        "lab:index:LabNotices::hub-notices",
        "kubernetes:core/v1:ConfigMap::hub-notices",
        "lab:index:Hub::hub",
        "lab:index:Namespace::hub-namespace",
        "kubernetes:core/v1:Namespace::hub-namespace",
        "random:index/randomPassword:RandomPassword::hub-cookie",
        "random:index/randomPassword:RandomPassword::hub-crypt",
        "kubernetes:core/v1:Secret::hub-keys",
        "kubernetes:core/v1:Secret::hub-client",
        RELEASE,
    }


def test_the_program_that_keeps_tokens_is_there_where_a_profile_has_one() -> None:
    made = goals(hub(profiles=[profile(token={})]))["kubernetes:core/v1:ConfigMap::hub-token"]
    assert made.inputs["metadata"] == {"name": "lab-token-program", "namespace": "hub-test"}
    assert list(cast("Mapping[str, str]", made.inputs["data"])) == ["keep_token.py"]


def test_values_are_the_plans_whatever_arrives_as_an_output() -> None:
    release = goals(hub())[RELEASE]
    assert release.inputs["values"] == hub_values(hub(), FACTS)
    assert release.inputs["name"] == "jupyterhub-test"
    assert release.inputs["namespace"] == "hub-test"
    before = {urn.rsplit("::", 1)[1] for urn in release.dependencies}
    assert {"hub-keys", "hub-client", "hub-namespace", "hub-namespace-default-deny"} <= before


REQUESTS = SharedVolumes(
    plans=(
        SharedVolumePlan(
            name="home-requests",
            path="/tank/home-requests",
            mount_path="",
            read_only=False,
            size=Size.parse("64Mi"),
            mount_options=(),
        ),
    ),
    server="192.0.2.21",
)


def test_the_folder_homes_are_asked_for_in_is_claimed_by_the_hubs_namespace() -> None:
    found = goals(hub(), requests=REQUESTS)
    volume = found["kubernetes:core/v1:PersistentVolume::hub-home-requests-pv"].inputs
    spec = cast("Mapping[str, Mapping[str, object]]", volume["spec"])
    assert spec["csi"]["volumeAttributes"] == {"server": "192.0.2.21", "share": "/tank/home-requests"}
    claim = cast(
        "Mapping[str, object]", found["kubernetes:core/v1:PersistentVolumeClaim::hub-home-requests-claim"].inputs
    )
    assert claim["metadata"] == {"name": "shared-home-requests", "namespace": "hub-test"}
    asking = dataclasses.replace(FACTS, home_requests="shared-home-requests")
    assert found[RELEASE].inputs["values"] == hub_values(hub(), asking)


def test_on_simulated_nodes_nobody_makes_homes() -> None:
    found = goals(hub(), requests=REQUESTS, simulated=True)
    assert found[RELEASE].inputs["values"] == hub_values(hub(), dataclasses.replace(FACTS, is_simulated=True))
    assert not [name for name in found if "home-requests" in name]


def test_no_secret_stands_in_the_clear() -> None:
    found = goals(hub())
    for goal in found.values():
        assert CANARY not in "\n".join(plain_texts(goal.inputs)), goal.urn
    release = found[RELEASE]
    assert not contains_secret(release.inputs), "a secret in the values seals them all"
    sealed = found["kubernetes:core/v1:Secret::hub-client"].inputs["stringData"]
    assert isinstance(sealed, Secret)
    assert sealed.value == {"client-secret": CANARY}
    assert isinstance(found["kubernetes:core/v1:Secret::hub-keys"].inputs["stringData"], Secret)


def test_keys_are_hexadecimal_whatever_is_drawn() -> None:
    inputs = goals(hub())["random:index/randomPassword:RandomPassword::hub-cookie"].inputs
    assert inputs == {"length": 64, "lower": False, "upper": False, "special": False}


def test_without_a_provider_there_is_no_client_secret() -> None:
    found = goals(hub(**DUMMY), client_secret=None)
    assert "kubernetes:core/v1:Secret::hub-client" not in found
    values = cast("Mapping[str, Mapping[str, object]]", found[RELEASE].inputs["values"])
    assert "extraEnv" not in values["hub"]


def test_a_provider_without_its_secret_is_refused() -> None:
    with pytest.raises(GraphError, match=r"hub\.authentication\.clientSecret: its configuration key has no value"):
        goals(hub(), client_secret=None)


def test_the_namespace_is_restricted_and_takes_the_gateways_routes() -> None:
    planned = namespace_plan(hub(), NETWORK, "test")
    assert (planned.name, str(planned.pod_security), planned.gateway) == ("hub-test", "restricted", "gateway-test.lab")
