"""The cluster of Kubernetes' own tests of network policies: pods a, b, c in each of the namespaces x, y, z.

Each serves TCP and UDP at ports 80 and 81, by name too (``serve-80-tcp``): test/e2e/network/netpol in Kubernetes'
repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from itertools import product
from typing import cast

from components.model import Value
from labctl.network_policies.model import Endpoint, Outside, Pod, Policy, Protocol
from labctl.network_policies.reading import read_policy
from labctl.network_policies.verdicts import Cluster, Connection, Verdict, verdict

Spec = dict[str, object]
"""A NetworkPolicy's ``spec``."""

NAMESPACES = {name: {"ns": name, "kubernetes.io/metadata.name": name} for name in "xyz"}
PORTS = tuple(product((80, 81), (Protocol.TCP, Protocol.UDP)))
NAMED = {f"serve-{port}-{protocol.lower()}": (port, protocol) for port, protocol in PORTS}


def pod(namespace: str, name: str, **labels: str) -> Pod:
    """Return a pod; x/a has 10.0.1.1 and fd00::1:1, z/c 10.0.3.3 and fd00::3:3."""
    first, second = "xyz".index(namespace) + 1, "abc".index(name) + 1
    return Pod(
        name=f"{namespace}/{name}",
        namespace=namespace,
        labels={"pod": name, **labels},
        addresses=(ip_address(f"10.0.{first}.{second}"), ip_address(f"fd00::{first}:{second}")),
        ports=NAMED,
        node=f"node-{name}",
    )


PODS = {f"{namespace}/{name}": pod(namespace, name) for namespace, name in product("xyz", "abc")}
STRANGER = Outside(name="stranger", addresses=(ip_address("203.0.113.7"), ip_address("2001:db8::7")))
NODE_A = Outside(name="node-a", addresses=(ip_address("192.0.2.1"),), node="node-a")


def policy(spec: Spec, namespace: str = "x", name: str = "policy") -> Policy:
    """Return a policy as it is read from an object."""
    item: Spec = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
    return read_policy(cast("Mapping[str, Value]", item))


def ask(
    policies: list[Policy],
    source: Endpoint,
    destination: Endpoint,
    at: tuple[int, Protocol] = (80, Protocol.TCP),
    *,
    ip_version: int = 4,
) -> Verdict:
    """Return the verdict in the cluster with these policies."""
    cluster = Cluster(namespaces=NAMESPACES, policies=policies)
    connection = Connection(source=source, destination=destination, port=at[0], protocol=at[1], ip_version=ip_version)
    return verdict(cluster, connection)
