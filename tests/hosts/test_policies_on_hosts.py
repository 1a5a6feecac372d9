"""The hub's policies, enforced on a real cluster: connections between real pods, on hosts with their firewall.

The enforcer is kube-network-policies and not Calico, whose images cannot be had here; both are given the same objects.
Everything is tried twice, before anybody enforces and after: what gets through then got through before.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest
from bed_bundle import PROBE
from bed_commands import call
from cluster_api import Object, eventually
from hosts_lab import PODS, SERVICES, SETTLING_SECONDS, HostsLab, connect_pods, wait_for_names, wait_for_nodes
from policy_enforcer import enforce_policies
from policy_program import obtain_enforcer

from components.hub.config import HubConfig
from components.hub.flows import HUB, PROXY, SERVERS
from components.hub.plan import namespace_plan
from components.namespaces.component import LabNamespace, LabNamespaceArgs
from components.network.facts import NetworkFacts
from components.networks import Networks
from labctl.control_plane import obtain_tool
from labctl.graph.program import Program
from labctl.graph.record import record
from labctl.graph.values import as_mapping

STACK = "bed"
NAMESPACE = f"hub-{STACK}"
WEB_SITE = "203.0.113.80"
"""An address that is nobody's (RFC 5737), which this machine has for the hosts while the test runs."""
SECTION = {
    "authentication": {"kind": "dummy"},
    "homes": {"key": "username", "capacity": "1Gi"},
    "network": {"internet": "web"},
    "profiles": [
        {
            "slug": "minimal",
            "name": "Minimal",
            "image": "minimal-notebook",
            "default": True,
            "resources": {"guarantee": {"cpu": "100m", "memory": "64Mi"}},
        }
    ],
}
SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What the namespace asks of every container."""


SILENT = ("deadline exceeded", "i/o timeout")
"""What the client of the tests says when nothing comes back."""
ANSWERED = ("main", "certificate", "malformed HTTP", "HTTP response", "Unsolicited response", "reset by peer", "EOF")
"""What it says when something does: the pod's own word, or that the other end speaks something else."""


@dataclass(frozen=True)
class Tried:
    """One row: a pod asks an address (a pod's name stands for its own) at a port."""

    source: str
    target: str
    port: int
    passes: bool
    why: str
    by_policy: bool = True
    """Whether it is policies that stop it, and so not before they are enforced."""

    def __str__(self) -> str:
        return f"{self.source} to {self.target} {self.port}"


YES, NO = True, False
TABLE = (
    Tried("proxy", "ada", 8888, YES, "each user is handed on to their own server"),
    Tried("proxy", "grace", 8888, YES, "on another node too"),
    Tried("proxy", "hub", 8081, YES, "whoever has no server yet"),
    Tried("hub", "proxy", 8001, YES, "routes"),
    Tried("hub", "ada", 8888, YES, "whether a server answers"),
    Tried("hub", "10.96.0.1", 443, YES, "the hub starts servers through the API server"),
    Tried("ada", "hub", 8081, YES, "who knocks"),
    Tried("ada", f"hub.{NAMESPACE}.svc.cluster.local", 8081, YES, "by its name, through DNS and its service"),
    Tried("grace", "hub", 8081, YES, "from another node too"),
    Tried("ada", WEB_SITE, 443, YES, "packages"),
    Tried("ada", WEB_SITE, 80, YES, "packages"),
    Tried("ada", WEB_SITE, 25, NO, "mail"),
    Tried("ada", "grace", 8888, NO, "other people's servers are theirs"),
    Tried("grace", "ada", 8888, NO, "in either direction"),
    Tried("ada", "proxy", 8000, NO, "a server has nothing to ask the proxy"),
    Tried("ada", "proxy", 8001, NO, "least of all where routes are made"),
    Tried("ada", "10.96.0.1", 443, NO, "the API server"),
    Tried("ada", "the control plane", 6443, NO, "under its other address"),
    Tried("proxy", "10.96.0.1", 443, NO, "routes come from the hub"),
    Tried("grace", "10.96.0.1", 443, YES, "on a control plane it is her own node's, which no policy can forbid"),
    Tried("proxy", WEB_SITE, 443, NO, "the proxy asks nobody outside"),
    Tried("stranger", "ada", 8888, NO, "pods of other namespaces"),
    Tried("stranger", "hub", 8081, NO, "pods of other namespaces"),
    Tried("ada", "its node", 22, NO, "which no policy can forbid: its node's firewall does", by_policy=False),
    Tried("ada", "the control plane", 22, NO, "stopped on its own node before any policy", by_policy=False),
    Tried("stranger", "its node", 10250, NO, "kubelets are asked by the API server alone", by_policy=False),
)


@dataclass(frozen=True)
class Place:
    """A cluster with the table's pods on it."""

    lab: HostsLab
    addresses: Mapping[str, str]
    kubectl: tuple[str, ...]

    def get(self, row: Tried) -> str:
        """Return what a pod is told: what comes back, or how it failed."""
        target = self.addresses.get(row.target, row.target)
        scheme = "https" if row.port in (443, 6443, 10250) and target != WEB_SITE else "http"
        namespace = "default" if row.source == "stranger" else NAMESPACE
        command = [
            "-n",
            namespace,
            "exec",
            row.source,
            "-c",
            "main",
            "--",
            "/probe",
            "get",
            f"{scheme}://{target}:{row.port}/",
        ]
        ended = subprocess.run([*self.kubectl, *command], capture_output=True, text=True, check=False, timeout=120)
        return ended.stdout + ended.stderr

    def passes(self, row: Tried) -> bool:
        """Tell whether anything came back."""
        said = self.get(row)
        silent, answered = any(word in said for word in SILENT), any(word in said for word in ANSWERED)
        assert silent != answered, f"{row}: {said}"
        return answered

    def becomes(self, row: Tried, *, passes: bool) -> bool:
        """Tell whether a row is so before long: every node learns by itself of pods, names and policies."""

        def is_so() -> bool:
            with suppress(AssertionError):
                return self.passes(row) is passes
            return False

        with suppress(AssertionError):
            return eventually(is_so, SETTLING_SECONDS)
        return False


@pytest.fixture(scope="module")
def place(make_lab: Callable[[int, int], HostsLab]) -> Generator[Place]:
    """A control plane and a worker with firewalls, the hub's namespace with its policies, pods; nobody enforces yet."""
    lab = make_lab(1, 0)
    firewall = {"ssh": [f"{lab.bed.address}/32"], "apiServer": [f"{lab.bed.address}/32"]}
    lab.nodes["system"] = {"securityUpdates": "manual", "firewall": firewall}
    lab.up()
    connect_pods(lab)
    wait_for_nodes(lab, 2)
    wait_for_names(lab)
    for item in namespace_objects(lab):
        lab.kubectl("apply", "-f", "-", text=json.dumps(item))
    plane, worker = (host.name for host in lab.bed.hosts)
    # Grace's is on another node than everybody else's.
    for item in (
        pod("hub", HUB.labels, worker, 8081),
        pod("proxy", PROXY.labels, worker, 8000, 8001),
        pod("ada", SERVERS.labels, worker, 8888),
        pod("grace", SERVERS.labels, plane, 8888),
        pod("stranger", {}, worker, 8080, namespace="default"),
        service("hub", HUB.labels, 8081),
    ):
        lab.kubectl("apply", "-f", "-", text=json.dumps(item))
    for namespace in (NAMESPACE, "default"):
        lab.kubectl("-n", namespace, "wait", "pods", "--all", "--for=condition=Ready", f"--timeout={SETTLING_SECONDS}s")
    addresses = {item["metadata"]["name"]: item["status"]["podIP"] for item in lab.get("pods", "-A")["items"]}
    hosts = {"the control plane": lab.machine(plane).address, "its node": lab.machine(worker).address}
    with web_site(lab):
        yield Place(lab, {**addresses, **hosts}, (str(obtain_tool("kubectl")), "--kubeconfig", str(lab.kubeconfig())))


def namespace_objects(lab: HostsLab) -> list[Object]:
    """Return the hub's namespace and its policies as the program makes them, for the bed's addresses."""
    facts = NetworkFacts(
        pods=Networks.of(PODS),
        services=Networks.of(SERVICES),
        hosts=Networks.of(str(ip_network(f"{lab.bed.address}/24", strict=False))),
        cluster_domain="cluster.local",
    )
    plan = namespace_plan(HubConfig.model_validate(SECTION), facts, STACK)
    graph = record(
        Program(project="p", stack=STACK, entry=lambda: keep(LabNamespace("hub", LabNamespaceArgs(plan=plan))))
    )
    made = [goal for goal in graph.goals if goal.type.endswith((":Namespace", ":NetworkPolicy")) and goal.custom]
    assert len(made) > 10
    return [json.loads(json.dumps(dict(goal.inputs))) for goal in made if as_mapping(goal.inputs["metadata"])]


def keep(_made: LabNamespace) -> None:
    """Be the program that makes it, and no more."""


def pod(name: str, labels: Mapping[str, str], node: str, *ports: int, namespace: str = NAMESPACE) -> Object:
    """Return a pod that answers at its ports, on this node."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "nodeName": node,
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "main" if index == 0 else f"port-{port}",
                    "image": PROBE,
                    "args": ["serve", f":{port}"],
                    "env": [{"name": "NODE", "value": "main"}],
                    "ports": [{"containerPort": port}],
                    "readinessProbe": {"httpGet": {"path": "/", "port": port}, "periodSeconds": 1},
                    "securityContext": SECURITY,
                }
                for index, port in enumerate(ports)
            ],
        },
    }


def service(name: str, labels: Mapping[str, str], port: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": dict(labels), "ports": [{"port": port}]},
    }


@contextmanager
def web_site(lab: HostsLab) -> Generator[None]:
    """Have this machine be a web site for the hosts' pods; address and routes go with the bed's bridge."""
    bridge = lab.bed.bridge.name
    call("ip", "address", "replace", f"{WEB_SITE}/32", "dev", bridge)
    for node in lab.get("nodes")["items"]:
        call("ip", "route", "replace", node["spec"]["podCIDR"], "via", lab.machine(node["metadata"]["name"]).address)
    ends = [("tcp", WEB_SITE, port) for port in (25, 80, 443)]
    command = [sys.executable, str(Path(__file__).with_name("packet_ends.py")), "answer"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(ends) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            process.stdin.close()


def test_before_anybody_enforces_only_firewalls_stop_anything(place: Place) -> None:
    wrong = [f"{row}: {not row.by_policy}" for row in TABLE if not place.becomes(row, passes=row.by_policy)]
    assert not wrong


def test_the_table_is_true_of_real_connections(place: Place) -> None:
    enforce_policies(place.lab, obtain_enforcer())
    wrong = [f"{row}: {not row.passes} ({row.why})" for row in TABLE if not place.becomes(row, passes=row.passes)]
    assert not wrong


def test_the_kubelet_still_reaches_its_pods(place: Place) -> None:
    def unready() -> list[str]:
        pods = place.lab.get("pods", "-n", NAMESPACE)["items"]
        return [
            item["metadata"]["name"]
            for item in pods
            for each in item["status"]["conditions"]
            if each["type"] == "Ready" and each["status"] != "True"
        ]

    eventually(lambda: not unready(), SETTLING_SECONDS)


def test_a_policy_taken_away_lets_nothing_more_through_and_one_added_does(place: Place) -> None:
    kept = next(row for row in TABLE if str(row) == "proxy to ada 8888")
    policies = {item["metadata"]["name"]: item for item in place.lab.get("networkpolicies", "-n", NAMESPACE)["items"]}
    place.lab.kubectl("-n", NAMESPACE, "delete", "networkpolicy", "servers-from-proxy")
    assert place.becomes(kept, passes=False)
    again = policies["servers-from-proxy"]
    place.lab.kubectl(
        "apply",
        "-f",
        "-",
        text=json.dumps(
            {key: again[key] for key in ("apiVersion", "kind", "spec")}
            | {"metadata": {"name": "servers-from-proxy", "namespace": NAMESPACE}}
        ),
    )
    assert place.becomes(kept, passes=True)
