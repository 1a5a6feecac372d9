"""The network's secrets through the whole program: which are asked for, and what is refused before anything exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab_authority import Authority

from components.network.errors import CertificateKeyError
from labctl.graph.errors import GraphError
from labctl.graph.program import Program
from labctl.graph.record import record
from stacks.cluster import Cluster
from stacks.config import ClusterConfig
from stacks.environments import EnvironmentName, environment_of
from stacks.pins import load_pins
from stacks.project import PROJECT
from stacks.secrets import used_secrets

if TYPE_CHECKING:
    from components.model import Value
    from labctl.graph.record import Graph


def cluster(certificates: Value) -> ClusterConfig:
    section: dict[str, object] = {
        "name": "lab",
        "domain": "lab.org",
        "contact": "cluster@lab.org",
        "nodes": {"adopt": {"kubeconfig": "kubeconfig", "simulated": True}},
        "network": {
            "pods": "10.244.0.0/16",
            "services": "10.96.0.0/16",
            "hosts": "192.0.2.0/24",
            "loadBalancer": {"pools": [{"name": "lab", "addresses": ["192.0.2.200-192.0.2.219"]}]},
            "gateway": {"address": "192.0.2.200"},
            "certificates": certificates,
            "hostnames": {"hub": "hub.lab.org"},
        },
    }
    return ClusterConfig.model_validate(section)


def recorded(config: ClusterConfig, **secrets: str) -> Graph:
    def entry() -> None:
        Cluster(config, environment_of("dev"), load_pins(EnvironmentName.DEV)).export()

    keys = {f"{PROJECT}:{name}": value for name, value in secrets.items()}
    return record(Program(project=PROJECT, stack="dev", entry=entry, config=keys, secret_keys=tuple(keys)))


def files(chain: str) -> ClusterConfig:
    return cluster({"kind": "files", "services": {"hub": {"chain": chain, "privateKey": {"secret": "hubTlsKey"}}}})


def test_a_key_that_fits_becomes_a_secret_beside_the_gateway(authority: Authority) -> None:
    chain, key = authority.issue("hub.lab.org")
    goals = {goal.name: goal for goal in recorded(files(chain), hubTlsKey=key).goals}
    assert goals["network-hub-tls"].inputs["type"] == "kubernetes.io/tls"
    assert goals["network-hub-tls"].inputs["metadata"] == {"name": "hub-tls", "namespace": "gateway-dev"}
    assert "network-cert-manager" not in goals


def test_a_key_that_does_not_fit_is_refused_before_anything_is_registered(authority: Authority) -> None:
    chain, _ = authority.issue("hub.lab.org")
    _, other = authority.issue("hub.lab.org")
    with pytest.raises(GraphError, match=r"network\.certificates\.services\.hub") as caught:
        recorded(files(chain), hubTlsKey=other)
    assert isinstance(caught.value.__cause__, CertificateKeyError)
    assert other not in str(caught.value)


@pytest.mark.parametrize(
    ("certificates", "keys"),
    [
        ({"kind": "self-signed"}, []),
        ({"kind": "lab-ca", "certificate": "-----BEGIN CERTIFICATE-----\n", "privateKey": {"secret": "ca"}}, ["ca"]),
        (
            {"kind": "acme", "email": "a@lab.org", "solver": {"kind": "cloudflare", "token": {"secret": "token"}}},
            ["token"],
        ),
    ],
)
def test_the_program_asks_for_what_certificates_take(certificates: Value, keys: list[str]) -> None:
    assert [reference.secret for reference in used_secrets(cluster(certificates))] == keys
