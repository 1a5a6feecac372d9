"""A cluster with a network of each family, as its hosts are told."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import yaml
from preparation_samples import HARDWARE, KEY, cluster

from components.networks import Networks
from components.nodes import checks
from components.nodes.config import NodesConfig
from components.nodes.firewall_plan import firewall_rules
from components.nodes.kubeadm_plan import kubeadm_configuration
from components.nodes.plan import simulated_nodes
from components.nodes.system_plan import host_sysctls, system_steps

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0v6NH7anTus2RJs7dNYAOwh7FK1Ah7GQw3WUW15JvI"
SETTINGS = replace(
    cluster(),
    hosts=Networks.of("10.0.0.0/24", "2001:db8:1::/64"),
    pods=Networks.of("10.244.0.0/16", "fd00:10:244::/56"),
    services=Networks.of("10.96.0.0/16", "fd00:10:96::/112"),
    host_mtu_bytes=9000,
)


def lab(second: str | None = "2001:db8:1::1", **changes: object) -> NodesConfig:
    host = {"address": "10.0.0.1", "hostKey": KEY, "hardware": HARDWARE, "roles": ["control-plane"]}
    other = {**host, "address": "10.0.0.2", "roles": ["storage"], "hostKey": OTHER_KEY}
    if second is not None:
        host["secondAddress"] = second
    return NodesConfig.model_validate({"hosts": {"cp-1": host, "nas-1": other}, **changes})


def test_kubeadm_is_told_both_with_a_comma_between() -> None:
    documents = {
        document["kind"]: document for document in yaml.safe_load_all(kubeadm_configuration(lab(), SETTINGS, "cp-1"))
    }
    assert documents["ClusterConfiguration"]["networking"] == {
        "podSubnet": "10.244.0.0/16,fd00:10:244::/56",
        "serviceSubnet": "10.96.0.0/16,fd00:10:96::/112",
        "dnsDomain": "cluster.local",
    }
    registration = documents["InitConfiguration"]["nodeRegistration"]
    assert registration["kubeletExtraArgs"] == [{"name": "node-ip", "value": "10.0.0.1,2001:db8:1::1"}]
    assert documents["InitConfiguration"]["localAPIEndpoint"]["advertiseAddress"] == "10.0.0.1"


def test_a_node_of_one_family_has_one_address() -> None:
    text = kubeadm_configuration(lab(second=None), cluster(), "cp-1")
    assert "value: 10.0.0.1\n" in text


def test_hosts_let_both_of_the_cluster_s_networks_in() -> None:
    config = lab(system={"firewall": {"ssh": ["192.0.2.0/24"]}})
    rules = cast("str", firewall_rules(config, config.hosts["cp-1"], SETTINGS))
    for network in (*SETTINGS.hosts, *SETTINGS.pods):
        assert str(network) in rules


def test_a_node_passes_packets_of_both_on() -> None:
    config = lab()
    assert host_sysctls(config, config.hosts["cp-1"], SETTINGS)["net.ipv6.conf.all.forwarding"] == "1"
    assert "net.ipv6.conf.all.forwarding" not in host_sysctls(config, config.hosts["cp-1"], cluster())
    assert "net.ipv6.conf.all.forwarding" not in host_sysctls(config, config.hosts["nas-1"], SETTINGS)


def test_the_step_looks_for_the_second_address_and_the_path_s_packets() -> None:
    values = {step.host: step.values for step in system_steps(lab(), SETTINGS)}
    assert (values["cp-1"]["SECOND_ADDRESS"], values["cp-1"]["MTU_BYTES"]) == ("2001:db8:1::1", 9000)
    assert (values["nas-1"]["SECOND_ADDRESS"], values["nas-1"]["MTU_BYTES"]) == ("", "")


def test_simulated_nodes_have_both_addresses() -> None:
    (node,) = simulated_nodes(lab(), {}, {})
    assert [str(address) for address in node.addresses] == ["10.0.0.1", "2001:db8:1::1"]


@pytest.mark.parametrize(
    ("network", "second", "changes", "problem"),
    [
        (SETTINGS.hosts, "2001:db8:1::1", {}, None),
        (SETTINGS.hosts, None, {}, None),
        (SETTINGS.hosts, "2001:db8:2::1", {}, "hosts.cp-1.secondAddress: 2001:db8:2::1 lies outside"),
        (SETTINGS.hosts, "10.0.0.9", {}, "hosts.cp-1.secondAddress: 10.0.0.9 lies outside the hosts' network 2001"),
        (SETTINGS.hosts, "2001:db8:1::1", {"endpoint": {"address": "2001:db8:1::9"}}, "endpoint.address: 2001:db8"),
        (cluster().hosts, "2001:db8:1::1", {}, "hosts.cp-1.secondAddress: cp-1 has a second address"),
        (SETTINGS.hosts, "2001:db8:1::1", {"endpoint": {"address": "10.0.0.1"}}, "endpoint.address: 10.0.0.1 is"),
        (None, "2001:db8:1::1", {}, None),
    ],
)  # fmt: skip
def test_what_is_wrong_with_addresses(
    network: Networks | None, second: str | None, changes: dict[str, object], problem: str | None
) -> None:
    found = [str(entry) for entry in checks.check(lab(second, **changes), network)]
    assert found == [] if problem is None else found[0].startswith(problem), found
