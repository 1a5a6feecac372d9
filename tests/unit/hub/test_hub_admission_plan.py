"""The policies as a plan: names that hold for every user, lists out of the values, expressions that hang together."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, cast

import pytest
from hub_labs import FACTS, IMAGES, hub, profile
from hypothesis import given, settings
from hypothesis import strategies as st

from components.hub.admission.cel import each_container, mapping, text, texts
from components.hub.admission.component import HubAdmission, HubAdmissionArgs
from components.hub.admission.identity import home_pattern
from components.hub.admission.plan import POLICIES, admission_policies
from components.hub.admission.planned import admission_plan, server_ids, server_plan
from components.hub.admission.policy import FixedIds, IdentityObject, hub_account
from components.hub.config import HomeKey
from components.hub.files.lab_hub.homes import claim_name
from components.hub.files.lab_hub.uid_homes import uid_claim
from components.hub.lxcfs import HOST_FILES
from components.hub.plan import hub_values
from labctl.graph.program import Program
from labctl.graph.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.hub.admission.policy import AdmissionPolicy, Ids
    from components.hub.config import HubConfig
    from labctl.graph.values import Value

STATIC = {"kind": "static", "users": {"ana": {"uid": 5001, "gid": 5100}}}
PLAN = server_plan(hub_values(hub(), FACTS))
ADMINISTRATIVE = re.compile(r"[\x00-\x1f]")


def planned(config: HubConfig) -> tuple[AdmissionPolicy, ...]:
    return admission_plan(config, "test", hub_values(config, FACTS), is_simulated=False)


def identities(config: HubConfig) -> AdmissionPolicy:
    return planned(config)[POLICIES.index("identities")]


HOME_RULE = next(
    rule for rule in identities(hub(homes={"capacity": "1Gi", "key": "username"})).rules if rule.name == "home"
)


@given(st.text(), st.text())
def test_every_accounts_home_is_named_as_homes_are(account: str, issuer: str) -> None:
    assert re.match(home_pattern(HomeKey.ACCOUNT), claim_name(account, issuer))


@given(st.integers(min_value=1, max_value=2**31 - 1))
def test_every_user_ids_home_is_named_as_homes_are(uid: int) -> None:
    assert re.match(home_pattern(HomeKey.UID), uid_claim(uid))


@pytest.mark.parametrize("name", ["home-uid-0", "home-uid-01", "home-uid-", "home-uid-1x", "home-ana", "hub-db-dir"])
def test_nothing_else_is_a_user_ids_home(name: str) -> None:
    assert not re.match(home_pattern(HomeKey.UID), name)


@settings(deadline=None)
@given(st.one_of(st.text(min_size=1), st.from_regex(r"[a-z][-a-z0-9]{0,60}", fullmatch=True)))
def test_the_home_of_a_user_name_is_what_kubespawner_makes_of_it(name: str) -> None:
    """The rule decides by the same two patterns: a plain name is its own slug, every other has a digest."""
    slugs = pytest.importorskip("kubespawner.slugs", reason="the hub's own packages are not installed")
    slug = slugs.safe_slug(name, max_length=48)
    plain, slugged = re.findall(r"matches\('([^']+)'\)", HOME_RULE.expression)
    is_plain = re.search(plain.replace("$", r"\Z"), name) is not None and "--" not in name
    assert is_plain == (slug == name)
    if not is_plain:
        assert re.search(slugged, f"home-{slug}")
    assert re.match(home_pattern(HomeKey.USERNAME), f"home-{slug}")


@given(st.text())
def test_a_text_in_an_expression_ends_where_it_ends(value: str) -> None:
    written = text(value)
    assert json.loads(written) == value
    assert not ADMINISTRATIVE.search(written)
    assert not re.search(r'(?<!\\)(\\\\)*"', written[1:-1])


def test_lists_and_maps_are_in_order_and_without_doubles() -> None:
    assert texts(["b", "a", "b"]) == '["a", "b"]'
    assert mapping({"b": "1", "a": "2"}) == '{"a": "2", "b": "1"}'


@settings(deadline=None)
@given(st.permutations(["one", "two", "three"]))
def test_the_order_of_profiles_changes_no_policy(order: list[str]) -> None:
    profiles = [profile(slug=slug, default=not index, image="minimal-notebook") for index, slug in enumerate(order)]
    assert planned(hub(profiles=profiles)) == planned(hub(profiles=[profile()]))


def test_only_what_the_values_say_is_planned() -> None:
    assert set(PLAN.images) == {str(image) for image in IMAGES.values()}
    assert PLAN.claims.items() >= {"shared-datasets": True, "shared-notebooks": False}.items()
    assert (PLAN.secrets, PLAN.pull_secrets, PLAN.host_files) == ((), (), {})
    assert (PLAN.scheduler, PLAN.priority) == ("default-scheduler", "interactive-test")
    assert (PLAN.home_class, PLAN.home_capacity, PLAN.home_access_modes) == ("homes-test", "100Gi", ("ReadWriteMany",))
    assert "nvidia.com/gpu|Exists||NoSchedule" in PLAN.tolerations or any("gpu" in each for each in PLAN.tolerations)
    without = hub(profiles=[profile()])
    assert server_plan(hub_values(without, FACTS)).images == (str(IMAGES["minimal-notebook"]),)


def test_a_scheduler_and_lxcfs_are_planned_where_they_are_declared() -> None:
    values = hub_values(hub(lxcfs=True), dataclasses.replace(FACTS, servers_scheduler="packing"))
    plan = server_plan(values, lxcfs=True, is_simulated=True)
    assert (plan.scheduler, plan.host_files) == ("packing", HOST_FILES)
    assert "lab.internal/run" in plan.labels
    assert "lab.internal/run" not in PLAN.labels


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, FixedIds(uid=1000, gid=100)),
        (
            {"identity": STATIC, "homes": {"capacity": "1Gi", "key": "uid"}},
            IdentityObject(namespace="identities-test", name="identities"),
        ),
    ],
    ids=["as-one-user", "as-themselves"],
)
def test_who_says_whom_servers_run_as(changes: dict[str, object], expected: Ids) -> None:
    config = hub(**changes)
    assert server_ids(config, "test") == expected
    with_params = [policy.key for policy in planned(config) if policy.identities is not None]
    assert with_params == (["identities"] if isinstance(expected, IdentityObject) else [])


@pytest.mark.parametrize("lxcfs", [False, True])
def test_expressions_hang_together(*, lxcfs: bool) -> None:
    policies = planned(hub(lxcfs=lxcfs))
    assert tuple(policy.key for policy in policies) == POLICIES
    for policy in policies:
        names = [rule.name for rule in policy.rules]
        assert len(set(names)) == len(names)
        known = set(policy.variables)
        every = [*policy.variables.values()]
        every += [each for rule in policy.rules for each in (rule.expression, rule.message_expression)]
        assert {name for each in every for name in re.findall(r"variables\.(\w+)", each)} <= known, policy.key
        for each in every:
            bare = re.sub(r"\"(\\.|[^\"\\])*\"|'(\\.|[^'\\])*'", "", each)
            assert all(bare.count(left) == bare.count(right) for left, right in ("()", "[]", "{}")), each
        assert all(rule.reason.endswith(".") and rule.message for rule in policy.rules)


def test_a_variable_uses_only_those_before_it() -> None:
    for policy in planned(hub(identity=STATIC, homes={"capacity": "1Gi", "key": "uid"})):
        before: set[str] = set()
        for name, expression in policy.variables.items():
            assert set(re.findall(r"variables\.(\w+)", expression)) <= before, (policy.key, name)
            before.add(name)


def test_the_message_names_the_containers() -> None:
    rule = each_container("x", "A reason.", "c.good", "is bad")
    assert rule.expression == "variables.containers.all(c, c.good)"
    assert rule.message_expression == (
        "'container ' + variables.containers.filter(c, !(c.good)).map(c, c.name).join(', ') + \" is bad\""
    )


def resources(config: HubConfig) -> Mapping[str, Mapping[str, Value]]:
    """Return what the component registers, by name."""

    def entry() -> None:
        HubAdmission("a", HubAdmissionArgs(namespace="hub-test", stack="test", policies=planned(config)))

    graph = record(Program(project="p", stack="test", entry=entry))
    return {goal.name: cast("Mapping[str, Value]", goal.inputs) for goal in graph.goals if goal.custom and goal.parent}


def spec(found: Mapping[str, Mapping[str, Value]], name: str) -> Mapping[str, Value]:
    return cast("Mapping[str, Value]", found[name]["spec"])


def test_policies_are_bound_to_the_hubs_namespace_alone() -> None:
    found = resources(hub(identity=STATIC, homes={"capacity": "1Gi", "key": "uid"}))
    assert set(found) == {f"a-{key}{kind}" for key in POLICIES for kind in ("", "-binding")}
    for key in POLICIES:
        binding = spec(found, f"a-{key}-binding")
        selected = cast("Mapping[str, Value]", binding["matchResources"])["namespaceSelector"]
        assert selected == {"matchLabels": {"kubernetes.io/metadata.name": "hub-test"}}
        assert (binding["policyName"], binding["validationActions"]) == (f"hub-{key}-test", ["Deny"])
        assert spec(found, f"a-{key}")["failurePolicy"] == "Fail"
        account = json.dumps(hub_account("hub-test"))
        sign = "!=" if key in {"others", "changes"} else "=="
        assert spec(found, f"a-{key}")["matchConditions"] == [
            {"name": "account", "expression": f"request.userInfo.username {sign} {account}"}
        ]


def test_the_table_is_needed_by_servers_and_by_nothing_else() -> None:
    found = resources(hub(identity=STATIC, homes={"capacity": "1Gi", "key": "uid"}))
    binding = spec(found, "a-identities-binding")
    assert binding["paramRef"] == {
        "namespace": "identities-test",
        "name": "identities",
        "parameterNotFoundAction": "Deny",
    }
    # The hub's and the proxy's own pods start without it.
    selected = cast("Mapping[str, Value]", binding["matchResources"])["objectSelector"]
    assert selected == {"matchLabels": {"app.kubernetes.io/component": "singleuser-server"}}
    assert [key for key in POLICIES if "paramRef" in spec(found, f"a-{key}-binding")] == ["identities"]
    assert not [key for key in POLICIES if "paramRef" in spec(resources(hub()), f"a-{key}-binding")]


def test_two_stacks_share_no_name() -> None:
    every = {
        stack: admission_policies(f"hub-{stack}", FixedIds(uid=1000, gid=100), HomeKey.ACCOUNT, PLAN)
        for stack in ("prod", "test")
    }
    assert {policy.account for policy in every["prod"]}.isdisjoint({policy.account for policy in every["test"]})
