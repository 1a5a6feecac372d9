"""The hosts' rules, evaluated on the table of what may reach a host."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from host_flows import HOST_FLOWS, PASSAGES, HostFlow, Passage, addresses, lab_nodes, lab_settings
from nft_rules import Packet, accepts

from components.nodes.config import NodesConfig
from components.nodes.firewall_plan import firewall_rules

VERSIONS = pytest.mark.parametrize("version", [4, 6])


def rules(host: str, config: NodesConfig | None = None) -> str:
    config = config or lab_nodes()
    found = firewall_rules(config, config.hosts[host], lab_settings())
    assert found is not None
    return found


def packet(source: str, target: str, port: int, version: int) -> Packet:
    first, second = (addresses(name)[0 if version == 4 else 1] for name in (source, target))
    return Packet(source=first, destination=second, port=port)


@VERSIONS
@pytest.mark.parametrize("flow", HOST_FLOWS, ids=str)
def test_what_reaches_a_host(flow: HostFlow, version: int) -> None:
    sent = replace(packet(flow.source, flow.target, flow.port, version), protocol=flow.protocol)
    assert accepts(rules(flow.target), sent) == flow.passes, flow.why


@VERSIONS
@pytest.mark.parametrize("passage", PASSAGES, ids=str)
def test_where_a_pod_gets_through_its_host(passage: Passage, version: int) -> None:
    sent = packet("pod", passage.target, passage.port, version)
    assert accepts(rules("worker-1"), sent, "forward") == passage.passes, passage.why


@VERSIONS
def test_answers_pass_and_nonsense_does_not(version: int) -> None:
    nobody = packet("user", "worker-1", 1, version)
    assert accepts(rules("worker-1"), replace(nobody, state="established"))
    assert not accepts(rules("worker-1"), replace(nobody, state="invalid"))
    assert not accepts(rules("worker-1"), nobody)
    assert accepts(rules("worker-1"), replace(nobody, interface="lo"))
    assert accepts(rules("worker-1"), replace(nobody, protocol="icmp" if version == 4 else "ipv6-icmp"))


def test_published_services_are_for_whom_the_lab_says() -> None:
    pod = ip_address("10.244.3.7")
    for source, passes in (("user", True), ("printer", True), ("pod", True), ("exporter", False)):
        sent = Packet(source=addresses(source)[0], destination=pod, port=10443, was_translated=True)
        assert accepts(rules("worker-1"), sent, "forward") == passes, source
    untranslated = Packet(source=addresses("exporter")[0], destination=pod, port=10443)
    assert accepts(rules("worker-1"), untranslated, "forward"), "between the CNI and its policies"


def test_the_virtual_address_is_agreed_upon_among_hosts_alone() -> None:
    heard = replace(packet("cp-2", "cp-1", 0, 4), protocol="vrrp")
    assert accepts(rules("cp-1"), heard)
    assert not accepts(rules("cp-1"), replace(heard, source=addresses("user")[0]))
    assert not accepts(rules("worker-1"), heard)
    alone = lab_nodes().model_copy(update={"endpoint": None})
    assert not accepts(rules("cp-1", alone), heard), "without one nobody needs to agree"


def test_ssh_of_a_host_is_where_the_host_has_it() -> None:
    config = lab_nodes()
    moved = config.hosts["worker-1"].model_copy(
        update={"ssh": config.hosts["worker-1"].ssh.model_copy(update={"port": 2222})}
    )
    config = config.model_copy(update={"hosts": {**config.hosts, "worker-1": moved}})
    assert accepts(rules("worker-1", config), packet("admin", "worker-1", 2222, 4))
    assert not accepts(rules("worker-1", config), packet("admin", "worker-1", 22, 4))
    assert not accepts(rules("worker-2", config), packet("pod", "worker-1", 2222, 4), "forward")


def test_whoever_may_reach_a_storage_host_by_nfs_is_a_node_or_named() -> None:
    text = rules("store-1")
    (line,) = (line for line in text.splitlines() if "dport 2049" in line and "ip saddr" in line)
    named = "192.0.2.11/32, 192.0.2.12/32, 192.0.2.31/32, 192.0.2.32/32, 198.51.100.40/32"
    assert f"ip saddr {{ {named} }} tcp dport 2049 accept" in line


def test_every_rule_says_why() -> None:
    for host in lab_nodes().hosts:
        for line in rules(host).splitlines():
            if line.strip().endswith(("accept", "drop")):
                assert line.strip().startswith(
                    ("ct state", "iif lo", "meta l4proto { icmp", "ip6 saddr fe80", "drop")
                ), line
