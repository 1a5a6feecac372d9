"""Every rule, held against the real stacks with one change each, and against objects that no stack of ours has."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import cast

import pytest
from rule_graphs import Change, Graph, changed, facts, gone, put, resource, reviewed, stack_graph, unprotected

from labctl.graph.rules import RULES, violations
from labctl.graph.values import UNKNOWN, Inputs, Secret, Value

DIGEST = "sha256:" + "0" * 64
RESOURCES: Value = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}
LABELS: Inputs = {"app.kubernetes.io/name": "web"}
HUB, NFS, GPU = "hub-jupyterhub", "storage-csi-driver-nfs", "gpu-operator"
PROXIES, GATEWAY, STEP_OF_A_HOST = "network-proxies", "network-gateway", "bootstrap-cp-1-system"
ENFORCE = 'metadata.labels["pod-security.kubernetes.io/enforce"]'
STACK_LABEL = 'metadata.labels["lab.internal/stack"]'
PLAIN_ROUTES = "spec.listeners[0].allowedRoutes"
KUBERNETES = "spec.provider.kubernetes"
HOST_DRIVER = "values.hub.extraVolumes[0].csi.driver"
SERVICE = f"{KUBERNETES}.envoyService"
REDIRECT = "spec.rules[0].filters[0].requestRedirect"
STEP = re.compile(r'([^.\[\]"]+)(?![^\[]*\])|\[(\d+)\]|\["([^"]+)"\]')
"""One step of a property path."""


@dataclass(frozen=True)
class Case:
    """A change of a real stack that breaks one rule in one place, or none."""

    rule: str
    name: str
    change: Change
    path: str | None
    """Where; None: it breaks nothing."""


def container(**more: Value) -> Inputs:
    return {"name": "web", "image": f"registry.example.org/web:1@{DIGEST}", "resources": RESOURCES, **more}


def deployment(replicas: Value = 2, labels: Value = None, **more: Value) -> Inputs:
    """Return a workload of which nothing is wrong, with more in its one container."""
    template: Value = {
        "metadata": {"labels": LABELS if labels is None else labels},
        "spec": {"containers": [container(**more)]},
    }
    return {"metadata": {"name": "web", "namespace": "hub-prod"}, "spec": {"replicas": replicas, "template": template}}


def budget(selector: Value) -> Inputs:
    return {
        "metadata": {"name": "web", "namespace": "hub-prod"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": selector}},
    }


KUBECONFIG = "users:\n- name: admin\n  user:\n    client-key-data: LS0tLS1CRUdJTiBQUklWQVRF\n"
DEPLOYMENT, BUDGET = "kubernetes:apps/v1:Deployment", "kubernetes:policy/v1:PodDisruptionBudget"
POD = "kubernetes:core/v1:Pod"

REMOVED = object()
"""In place of a value: what is there is taken away."""


def bad(rule: str, name: str, place: str, value: object, at: str | None = None) -> Case:
    """Return the case that `value` at `place` breaks `rule`, which is said of `at` (the same place, if not given)."""
    return Case(rule, name, change_of(place, value), place if at is None else at)


def fine(rule: str, name: str, place: str, value: object) -> Case:
    """Return the case that `value` at `place` breaks nothing."""
    return Case(rule, name, change_of(place, value), None)


def change_of(place: str, value: object) -> Change:
    steps = [int(index) if index else quoted or key for key, index, quoted in STEP.findall(place)]
    return gone(*steps) if value is REMOVED else put(cast("Value", value), *steps)


CHANGES = [
    # images
    bad("image-digest", HUB, "values.singleuser.profileList[0].kubespawner_override.image", "quay.io/x/y:latest"),
    bad("image-digest", HUB, "values.singleuser.image.tag", "2026-02-23", "values.singleuser.image"),
    bad("image-digest", HUB, "values.prePuller.extraImages.more", {"name": "quay.io/x/y", "tag": "1"}),
    bad("image-digest", GPU, "values.driver", {"repository": "nvcr.io/nvidia", "image": "driver", "version": "580.95"}),
    fine("image-digest", GPU, "values.driver", {"repository": "nvcr.io/nvidia", "image": "driver", "version": DIGEST}),
    bad("image-digest", NFS, "values.image.nfs", {"repository": "registry.k8s.io/nfsplugin", "tag": "v4.13.4"}),
    fine("image-digest", NFS, "values.image.nfs", {"repository": "r.example/nfs", "tag": "v4", "digest": DIGEST}),
    fine("image-digest", NFS, "values.image.nfs", {"pullPolicy": "IfNotPresent"}),
    bad("image-digest", PROXIES, f"{KUBERNETES}.envoyDeployment.container.image", "docker.io/envoyproxy/envoy:v1.37"),
    fine("image-digest", PROXIES, f"{KUBERNETES}.envoyDeployment.container.image", UNKNOWN),
    bad("image-digest", GPU, "values.images", ["quay.io/x/y:latest", f"quay.io/x/z@{DIGEST}"], "values.images[0]"),
    # charts
    bad("chart-pinned", HUB, "version", "~4.4"),
    bad("chart-pinned", HUB, "version", REMOVED),
    fine("chart-pinned", HUB, "version", "4.4.0-0.dev.git.1"),
    fine("chart-pinned", HUB, "version", UNKNOWN),
    bad("chart-pinned", HUB, "devel", value=True),
    bad("chart-pinned", HUB, "repositoryOpts.repo", "http://hub.jupyter.org/helm-chart/"),
    bad("chart-pinned", HUB, "repositoryOpts", REMOVED, "chart"),
    fine("chart-pinned", "network-gateway-helm", "chart", "/srv/charts/gateway-helm-1.9.0.tgz"),
    bad("chart-pinned", "network-gateway-helm", "chart", "http://example.org/gateway-helm"),
    # secrets
    bad("no-plain-secret", "hub-keys", "stringData", {"key": "in the clear"}, "stringData.key"),
    bad("no-plain-secret", "hub-keys", "stringData", {"key": UNKNOWN}, "stringData.key"),
    fine("no-plain-secret", "hub-keys", "stringData", {"key": Secret(UNKNOWN)}),
    fine("no-plain-secret", "hub-keys", "data", Secret({"key": "sealed"})),
    bad("no-plain-secret", HUB, "values.hub.db.password", "correct-horse"),
    fine("no-plain-secret", HUB, "values.hub.db.password", Secret("correct-horse")),
    bad("no-plain-secret", HUB, "values.hub.extraEnv.API_KEY", "correct-horse"),
    bad("no-plain-secret", HUB, "values.hub.env", [{"name": "DB_PASSWORD", "value": "x1"}], "values.hub.env[0].value"),
    fine("no-plain-secret", HUB, "values.hub.env", [{"name": "TOKEN_FILE", "value": "/run/token"}]),
    fine("no-plain-secret", HUB, "values.imagePullSecret", "registry-login"),
    fine("no-plain-secret", HUB, "values.hub.extraEnv.TOKEN", "/run/secrets/token"),
    bad("no-plain-secret", HUB, "values.hub.db.url", "postgresql://hub:correct-horse@db.example.org/hub"),
    fine("no-plain-secret", HUB, "values.hub.db.url", "postgresql://hub@db.example.org/hub"),
    bad("no-plain-secret", "hub-notices", "data.key", "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n"),
    bad("no-plain-secret", "gpu-teaching", "environment.GITHUB_TOKEN", "x1"),
    bad("no-plain-secret", "gpu-teaching", "create", "curl -H 'authorization: Bearer ghp_" + "a1" * 18 + "'"),
    bad("no-plain-secret", "hub-keys", "metadata.annotations.password", "correct-horse"),
    bad("no-plain-secret", "hub-keys", "metadata.annotations.note", "ghp_" + "a1" * 18),
    bad("no-plain-secret", HUB, "values.hub.args", ["--password=correct-horse"], "values.hub.args[0]"),
    fine("no-plain-secret", HUB, "values.hub.args", ["--token=$(TOKEN)", "--token-ttl=5m", "--secret=/run/secret"]),
    # privileges
    bad("no-privileges", "network-metallb", "values.speaker.hostNetwork", value=True),
    bad("no-privileges", HUB, "values.hub.config.KubeSpawner.privileged", value=True),
    bad("no-privileges", HUB, "values.hub.config.KubeSpawner.allow_privilege_escalation", value=True),
    bad("no-privileges", HUB, "values.hub.security.capabilities.add", ["SYS_ADMIN"]),
    fine("no-privileges", HUB, "values.hub.security.capabilities.add", ["NET_BIND_SERVICE"]),
    bad("no-privileges", HUB, "values.hub.seccompProfile", {"type": "Unconfined"}),
    bad("no-privileges", HUB, "values.hub.privileged", "true"),
    fine("no-privileges", HUB, "values.hub.privileged", "false"),
    bad("no-privileges", HUB, "values.hub.seLinuxOptions", {"type": "spc_t"}),
    bad("no-privileges", HUB, "values.hub.seLinuxOptions", {"type": "container_t", "user": "root"}),
    fine("no-privileges", HUB, "values.hub.seLinuxOptions", {"type": "container_t", "level": "s0:c1,c2"}),
    bad("no-privileges", HUB, "values.hub.sysctls", [{"name": "kernel.msgmax", "value": "65536"}]),
    fine("no-privileges", HUB, "values.hub.sysctls", [{"name": "net.ipv4.tcp_rmem", "value": "4096 87380 6291456"}]),
    bad(
        "no-privileges",
        HUB,
        'values.hub.annotations["container.apparmor.security.beta.kubernetes.io/hub"]',
        "unconfined",
    ),
    bad("no-privileges", NFS, "values.node.hostPort", 2049),
    fine("no-privileges", NFS, "values.node.hostPort", 0),
    bad("pod-security", "network-gateway-namespace", ENFORCE, "privileged"),
    bad("pod-security", "network-gateway-namespace", ENFORCE, REMOVED),
    fine("pod-security", "hub-namespace", ENFORCE, "baseline"),
    # host paths
    bad("no-host-path", HUB, "values.hub.extraVolumes[0].hostPath", {"path": "/"}),
    bad("no-host-path", HUB, "values.hub.extraVolumes[0].csi", {"driver": "hostpath.csi.k8s.io"}, HOST_DRIVER),
    bad("no-host-path", "hub-groups-pv", "spec.hostPath", {"path": "/tank"}),
    bad("no-host-path", "hub-groups-pv", "spec.local", {"path": "/mnt/disk"}),
    bad("no-host-path", GPU, "values.hostPaths", {"rootFS": "/"}),
    fine("no-host-path", GPU, "values.hostPaths", {}),
    # data
    bad("data-protected", "hub-groups-pv", "spec.persistentVolumeReclaimPolicy", "Delete"),
    # names
    bad("name-fits", "hub-keys", "metadata.name", "k" * 64),
    bad("name-fits", "hub-keys", "metadata.name", "Hub_Keys"),
    bad("name-fits", "hub-keys", "metadata.name", REMOVED),
    fine("name-fits", "hub-keys", "metadata.name", UNKNOWN),
    bad("name-fits", HUB, "name", "j" * 49 + "-prod"),
    bad("namespace-said", "hub-keys", "metadata.namespace", REMOVED),
    bad("namespace-said", HUB, "namespace", REMOVED),
    fine("namespace-said", HUB, "namespace", UNKNOWN),
    bad("name-carries-stack", "storage-homes", "metadata.name", "homes"),
    bad("name-carries-stack", HUB, "name", "jupyterhub"),
    bad("name-carries-stack", HUB, "name", "jupyterhub-production"),
    fine("name-carries-stack", HUB, "name", "prod-jupyterhub"),
    bad("labels", "storage-homes", STACK_LABEL, "test"),
    bad("labels", "network-class", STACK_LABEL, REMOVED),
    # ports
    bad("no-node-port", HUB, "values.proxy.service.type", "NodePort"),
    bad("no-node-port", HUB, "values.proxy.service.type", "LoadBalancer"),
    bad("no-node-port", HUB, "values.proxy.serviceType", "NodePort"),
    bad("no-node-port", HUB, "values.proxy.service.externalIPs", ["192.0.2.1"]),
    fine("no-node-port", HUB, "values.proxy.service.externalIPs", []),
    bad("no-node-port", HUB, "values.proxy.service.nodePorts", {"http": 30080}),
    fine("no-node-port", HUB, "values.proxy.service.nodePorts", {"http": None, "https": ""}),
    bad("no-node-port", PROXIES, f"{SERVICE}.allocateLoadBalancerNodePorts", REMOVED, f"{SERVICE}.type"),
    # TLS
    bad("tls-listener", GATEWAY, f"{PLAIN_ROUTES}.namespaces.from", "All", PLAIN_ROUTES),
    bad("tls-listener", GATEWAY, "spec.listeners[1].protocol", "TCP"),
    bad("tls-listener", GATEWAY, "spec.listeners[1].tls", REMOVED),
    fine("tls-listener", GATEWAY, "spec.listeners[1].tls", {"mode": "Passthrough"}),
    bad("tls-listener", "network-client-policy", "spec.tls.minVersion", "1.1"),
    fine("tls-listener", "network-client-policy", "spec.tls.minVersion", "1.3"),
    bad("tls-listener", HUB, "values.ingress", {"enabled": True, "hosts": ["hub.lab"]}),
    fine("tls-listener", HUB, "values.ingress", {"enabled": True, "tls": [{"secretName": "hub-tls"}]}),
    bad("tls-route", HUB, "values.httpRoute.gateway.sectionName", "http", "values.httpRoute.sectionName"),
    bad("tls-route", HUB, "values.httpRoute.gateway.sectionName", "https-hubb", "values.httpRoute.sectionName"),
    bad("tls-route", HUB, "values.httpRoute.gateway.sectionName", REMOVED, "values.httpRoute.sectionName"),
    fine("tls-route", HUB, "values.httpRoute.enabled", value=False),
    bad("tls-route", "network-redirect", "spec.rules[0].filters", REMOVED, "spec.parentRefs[0].sectionName"),
    bad("tls-route", "network-redirect", f"{REDIRECT}.scheme", "http", "spec.parentRefs[0].sectionName"),
    fine("tls-route", "network-redirect", "spec.parentRefs[0].sectionName", "https-hub"),
    # availability
    bad("replicas", PROXIES, f"{KUBERNETES}.envoyDeployment.replicas", 1),
    bad("replicas", PROXIES, f"{KUBERNETES}.envoyPDB", REMOVED),
    fine("replicas", PROXIES, f"{KUBERNETES}.envoyHpa", {"minReplicas": 2, "maxReplicas": 5}),
    bad("replicas", NFS, "values.controller.replicas", 1),
    # hosts
    bad("host-authenticated", STEP_OF_A_HOST, "connection", Secret({"host": "192.0.2.10", "user": "admin"})),
    bad("host-authenticated", STEP_OF_A_HOST, "connection", Secret({"hostKey": "k", "proxy": {"host": "jump"}})),
    fine("host-authenticated", STEP_OF_A_HOST, "connection", {"host": "192.0.2.10", "hostKey": "ssh-ed25519 A"}),
    bad("host-step-in-place", STEP_OF_A_HOST, "triggers", ["changed"]),
    fine("host-step-in-place", STEP_OF_A_HOST, "triggers", []),
]


def broken(graph: Graph, stack: str) -> list[tuple[str, str, str]]:
    """Return what is broken: rule, logical name, path."""
    found = violations(graph, facts(stack), reviewed())
    return [(each.rule, each.urn.rpartition("::")[2], each.path) for each in found]


def case_id(case: Case) -> str:
    return f"{case.rule}-{case.name}-{case.path or 'nothing'}"


@pytest.mark.parametrize("case", CHANGES, ids=case_id)
def test_one_change_of_a_real_stack(case: Case) -> None:
    graph = changed(stack_graph("prod"), case.name, case.change)
    expected = [] if case.path is None else [(case.rule, case.name, case.path)]
    assert broken(graph, "prod") == expected


def test_what_only_production_or_protected_environments_are_asked() -> None:
    one_proxy = changed(stack_graph("test"), PROXIES, change_of(f"{KUBERNETES}.envoyDeployment.replicas", 1))
    assert broken(one_proxy, "test") == []
    place = "spec.persistentVolumeReclaimPolicy"
    assert broken(changed(stack_graph("next"), "hub-notebooks-pv", change_of(place, "Delete")), "next") == []


@pytest.mark.parametrize(
    ("name", "stack", "expected"),
    [
        ("hub-groups-pv", "prod", [("data-protected", "hub-groups-pv", "")]),
        ("hub-notebooks-claim", "test", [("data-protected", "hub-notebooks-claim", "")]),
        ("hub-namespace", "prod", [("data-namespace-protected", "hub-namespace", "")]),
    ],
)
def test_what_is_not_protected(name: str, stack: str, expected: list[tuple[str, str, str]]) -> None:
    assert broken(unprotected(stack_graph(stack), name), stack) == expected
    assert broken(unprotected(stack_graph(stack), name), "next") == []


@dataclass(frozen=True)
class Objects:
    """Objects that no stack of ours has, and which rules they break."""

    title: str
    inputs: Inputs
    rules: set[str] = field(default_factory=set[str])
    type: str = DEPLOYMENT
    selected: Value = field(default_factory=lambda: {"app.kubernetes.io/name": "web"})


OBJECTS = [
    Objects("nothing wrong", deployment()),
    Objects("one pod", deployment(replicas=1), {"replicas"}),
    Objects("replicas not said", deployment(replicas=None), {"replicas"}),
    Objects("replicas not known", deployment(replicas=UNKNOWN)),
    Objects("another's budget", deployment(), {"disruption-budget"}, selected={"app.kubernetes.io/name": "other"}),
    Objects("no labels", deployment(labels={}), {"labels", "disruption-budget"}),
    Objects("no resources", deployment(resources=None), {"container-resources"}),
    Objects(
        "no limit of memory",
        deployment(resources={"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": 1}}),
        {"container-resources"},
    ),
    Objects(
        "an unknown limit",
        deployment(resources={"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": UNKNOWN}}),
    ),
    Objects("a tag", deployment(image="registry.example.org/web:1"), {"image-digest"}),
    Objects("a bare name", deployment(image="web"), {"image-digest"}),
    Objects("privileged", deployment(securityContext={"privileged": True}), {"no-privileges"}),
    Objects("a host's port", deployment(ports=[{"containerPort": 80, "hostPort": 80}]), {"no-privileges"}),
    Objects("a plain password", deployment(env=[{"name": "PASSWORD", "value": "correct-horse"}]), {"no-plain-secret"}),
    Objects(
        "a password by name",
        deployment(env=[{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}]),
    ),
    Objects(
        "a pod of the host",
        {
            "metadata": {"name": "web", "namespace": "hub-prod", "labels": LABELS},
            "spec": {
                "hostPID": True,
                "containers": [container()],
                "volumes": [{"name": "root", "hostPath": {"path": "/"}}],
            },
        },
        {"no-privileges", "no-host-path"},
        type=POD,
    ),
    Objects(
        "a pod without limits in its init container",
        {
            "metadata": {"name": "web", "namespace": "hub-prod", "labels": LABELS},
            "spec": {"containers": [container()], "initContainers": [container(resources={})]},
        },
        {"container-resources"},
        type=POD,
    ),
    Objects(
        "a service on every host",
        {
            "metadata": {"name": "web", "namespace": "hub-prod"},
            "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]},
        },
        {"no-node-port"},
        type="kubernetes:core/v1:Service",
    ),
    Objects(
        "a service of the cluster",
        {"metadata": {"name": "web", "namespace": "hub-prod"}, "spec": {"type": "ClusterIP", "ports": [{"port": 80}]}},
        type="kubernetes:core/v1:Service",
    ),
    Objects(
        "an Ingress without TLS",
        {"metadata": {"name": "web", "namespace": "hub-prod"}, "spec": {"rules": []}},
        {"tls-listener"},
        type="kubernetes:networking.k8s.io/v1:Ingress",
    ),
    Objects(
        "a route of TCP",
        {"metadata": {"name": "web", "namespace": "hub-prod"}, "spec": {}},
        {"tls-listener"},
        type="kubernetes:gateway.networking.k8s.io/v1alpha2:TCPRoute",
    ),
    Objects(
        "a schema that has a host path",
        {
            "metadata": {"name": "things.example.org", "labels": {"lab.internal/stack": "prod"}},
            "spec": {"hostPath": {"type": "string"}, "privileged": True},
        },
        type="kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
    ),
    Objects("a component", {"password": "correct-horse"}, {"no-plain-secret"}, type="lab:index:Hub"),
    Objects("a provider", {"kubeconfig": KUBECONFIG}, {"no-plain-secret"}, type="pulumi:providers:kubernetes"),
    Objects("a sealed provider", {"kubeconfig": Secret(KUBECONFIG)}, type="pulumi:providers:kubernetes"),
]


@pytest.mark.parametrize("case", OBJECTS, ids=lambda case: case.title)
def test_objects_that_no_stack_has(case: Objects) -> None:
    graph = (resource(case.type, "web", case.inputs), resource(BUDGET, "web-budget", budget(case.selected)))
    assert {each.rule for each in violations(graph, facts("prod"))} == case.rules


def test_a_budget_of_another_namespace_is_none() -> None:
    elsewhere: Inputs = {"metadata": {"name": "web", "namespace": "elsewhere"}}
    other = budget(LABELS) | elsewhere
    graph = (resource(DEPLOYMENT, "web", deployment()), resource(BUDGET, "web-budget", other))
    assert [each.rule for each in violations(graph, facts("prod"))] == ["disruption-budget"]
    assert not violations(graph, facts("test")), "only production is asked for them"


def test_of_a_part_of_a_stack_nothing_is_asked_that_compares() -> None:
    part = (resource(DEPLOYMENT, "web", deployment()),)
    assert [each.rule for each in violations(part, facts("prod"))] == ["disruption-budget"]
    assert violations(part, facts("prod"), whole=False) == ()


def test_every_rule_has_a_case_that_breaks_it_and_one_that_does_not() -> None:
    breaking = {case.rule for case in CHANGES if case.path} | {rule for case in OBJECTS for rule in case.rules}
    breaking |= {"data-protected", "data-namespace-protected"}
    assert breaking == {rule.name for rule in RULES}
    assert any(not case.rules for case in OBJECTS), "the unchanged stacks are the other passing ones"


def test_a_sealed_image_is_judged_and_not_shown() -> None:
    sealed: Inputs = deployment() | {"spec": Secret(deployment(image="registry.example.org/web:hush")["spec"])}
    graph = (resource(DEPLOYMENT, "web", sealed), resource(BUDGET, "web-budget", budget(LABELS)))
    (found,) = violations(graph, facts("prod"))
    assert (found.rule, found.path) == ("image-digest", "spec")
    assert "hush" not in repr(found)
