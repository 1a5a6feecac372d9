"""Whatever values a resource has, the rules give an answer, always the same, and no secret's text."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rule_graphs import ROOT, STACKS, Graph, facts, resource, stack_graph

from labctl.graph.rules import NoResourceError, RuledResource, Violation, from_json, from_state, judge, violations
from labctl.graph.rules.reading import nodes, path_text, words
from labctl.graph.values import UNKNOWN, UNKNOWN_WIRE, Inputs, Plain, Secret, Value, secret_texts

CANARY = "canary-7f3a-that-nobody-may-read"
TYPES = (
    "kubernetes:apps/v1:Deployment",
    "kubernetes:batch/v1:CronJob",
    "kubernetes:core/v1:ConfigMap",
    "kubernetes:core/v1:Namespace",
    "kubernetes:core/v1:PersistentVolume",
    "kubernetes:core/v1:PersistentVolumeClaim",
    "kubernetes:core/v1:Pod",
    "kubernetes:core/v1:Secret",
    "kubernetes:core/v1:Service",
    "kubernetes:gateway.envoyproxy.io/v1alpha1:EnvoyProxy",
    "kubernetes:gateway.networking.k8s.io/v1:Gateway",
    "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute",
    "kubernetes:helm.sh/v3:Release",
    "kubernetes:networking.k8s.io/v1:Ingress",
    "kubernetes:policy/v1:PodDisruptionBudget",
    "command:remote:Command",
    "command:local:Command",
    "lab:index:Hub",
    "pulumi:providers:kubernetes",
)
KEYS = (
    "add", "allocateLoadBalancerNodePorts", "backendRefs", "capabilities", "chart", "chp", "connection", "containers",
    "controller", "create", "data", "enabled", "env", "envoyDeployment", "envoyPDB", "filters", "gateway", "hostKey",
    "hostNetwork", "hostPath", "hostPort", "httpRoute", "hub", "image", "ingress", "initContainers", "kind",
    "kubernetes", "labels", "limits", "listeners", "local", "matchLabels", "memory", "metadata", "minVersion", "name",
    "namespace", "nodePort", "parentRefs", "password", "pdb", "privileged", "protocol", "provider", "proxy",
    "replicas", "repositoryOpts", "repository", "requestRedirect", "resources", "rules", "scheme", "sectionName",
    "selector", "spec", "stringData", "tag", "template", "tls", "triggers", "type", "value", "values", "version",
    "", "a.b/c", 'quo"ted', "x\ny",
)  # fmt: skip
TEXTS = (
    "", "HTTP", "HTTPS", "LoadBalancer", "NodePort", "Unconfined", "jupyterhub", "prod", "web:1", "1.2.3", "1.1",
    "postgresql://a:b@c/d", "https", "http://x", "oci://x/jupyterhub", "-----BEGIN PRIVATE KEY-----",
)  # fmt: skip

texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=12))
leaves: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70000),
    st.floats(allow_nan=False),
    texts,
    st.just(UNKNOWN),
    st.just(Secret(UNKNOWN)),
    st.just(Secret(CANARY)),
    texts.map(lambda text: Secret(f"{CANARY}{text}")),
)
keys = st.one_of(st.sampled_from(KEYS), st.text(max_size=6))


def nested(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    mappings = st.dictionaries(keys, inner, max_size=5)
    sealed = mappings.map(lambda value: Secret({**value, "note": CANARY}))
    return cast("st.SearchStrategy[Value]", st.one_of(st.lists(inner, max_size=3), mappings, sealed))


values = st.recursive(leaves, nested, max_leaves=25)
inputs: st.SearchStrategy[Inputs] = st.dictionaries(keys, values, max_size=6)
resources = st.builds(
    resource,
    st.sampled_from(TYPES),
    st.sampled_from(("a", "b", "hub-jupyterhub")),
    inputs,
    stack=st.sampled_from(("prod", "test", "dev")),
    protect=st.booleans(),
)


def told(found: tuple[Violation, ...]) -> str:
    return repr(found)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(graph=st.lists(resources, max_size=4), stack=st.sampled_from(STACKS), seed=st.integers(0, 99))
def test_any_values_have_an_answer_and_always_the_same(graph: list[RuledResource], stack: str, seed: int) -> None:
    found = violations(graph, facts(stack))
    shuffled = list(graph)
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - an order, no secret
    # Resources of one URN are of no stack: their order among themselves is theirs.
    if len({each.urn for each in graph}) == len(graph):
        assert violations(shuffled, facts(stack)) == found
    assert list(found) == sorted(set(found))
    assert CANARY not in told(found)


def poisoned(value: Value, at: int, counter: list[int], poison: Value) -> Value:
    """Return `value` with its leaf or branch number `at` replaced."""
    counter[0] += 1
    if counter[0] == at:
        return poison if poison is UNKNOWN else Secret([value, CANARY] if isinstance(value, list) else value)
    if isinstance(value, dict):
        return {key: poisoned(item, at, counter, poison) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, at, counter, poison) for item in value]
    return value


@pytest.mark.parametrize("poison", [UNKNOWN, Secret("sealed")], ids=["unknown", "secret"])
def test_a_real_graph_with_one_value_unknown_or_sealed(poison: Value) -> None:
    graph = stack_graph("prod")
    kinds: dict[str, RuledResource] = {each.type: each for each in graph if each.type.startswith("kubernetes:")}
    for each in kinds.values():
        size = sum(1 for _ in nodes(each.inputs)) + 2
        for at in range(2, size, max(1, size // 12)):
            changed = cast("Inputs", poisoned(each.inputs, at, [0], poison))
            mine = RuledResource(
                urn=each.urn, type=each.type, name=each.name, inputs=changed, parent=each.parent, protect=each.protect
            )
            found = violations((mine,), facts("prod"))
            hidden = [text for text in secret_texts(changed) if len(text) > 8]
            places = " ".join(f"{one.what} {one.remedy}" for one in found)
            assert not [text for text in hidden if text in places], each.urn


@pytest.mark.parametrize("stack", STACKS)
def test_the_order_of_registration_changes_nothing(stack: str) -> None:
    graph: Graph = stack_graph(stack)
    found = judge(graph, facts(stack))
    assert found.violations, "without the exceptions there are some"
    assert judge(tuple(reversed(graph)), facts(stack)) == found


def test_a_plan_as_json_is_judged_as_the_plan() -> None:
    state: dict[str, Plain] = {
        "urn": "urn:pulumi:prod::research-compute::kubernetes:core/v1:Secret::hub-keys",
        "type": "kubernetes:core/v1:Secret",
        "custom": True,
        "protect": True,
        "inputs": {
            "metadata": {"name": "hub-keys", "namespace": UNKNOWN_WIRE},
            "data": {"a": "[secret]", "b": "plain", "c": {"4dabf18193072939515e22adb298388d": "x"}},
            "stringData": {
                "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
                "ciphertext": "v1:abc",
            },
        },
    }
    read = from_json(state)
    assert (read.name, read.stack, read.protect) == ("hub-keys", "prod", True)
    assert read.inputs["stringData"] == Secret(UNKNOWN)
    places = [(each.rule, each.path) for each in violations((read,), facts("prod"))]
    assert ("no-plain-secret", "data.b") in places
    assert ("no-plain-secret", "data.a") not in places
    assert not [rule for rule, _ in places if rule == "namespace-said"]


@pytest.mark.parametrize("state", [{}, {"urn": "urn:pulumi:x"}, {"urn": "urn:pulumi:s::p::t::n", "type": 3}])
def test_json_that_is_no_resource(state: dict[str, Plain]) -> None:
    with pytest.raises(NoResourceError):
        from_json(state)


def test_a_state_is_judged_as_the_goal_it_came_from() -> None:
    graph = stack_graph("prod")
    assert [from_state(each) for each in graph] == list(graph)


def test_the_rules_know_neither_components_nor_stacks_nor_an_engine() -> None:
    unknown = ("components", "stacks", "labctl.engine", "labctl.verbs", "pulumi_kubernetes")
    code = f"import sys, labctl.graph.rules; print([name for name in sys.modules if name.startswith({unknown!r})])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_paths_are_written_as_pulumi_writes_them() -> None:
    assert path_text(("spec", "ports", 0, "example.org/key", 'a"b')) == 'spec.ports[0]["example.org/key"]["a\\"b"]'
    assert words("hostIPC") == ("host", "ipc")
    assert words("API_KEY") == ("api", "key")
    assert words("clientSecret2") == ("client", "secret", "2")
