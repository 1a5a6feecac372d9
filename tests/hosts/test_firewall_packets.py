"""The hosts' rules in a kernel, judged by real packets: what the table lets pass gets an answer, the rest gets none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from bed_commands import call
from bed_machine import TESTING, require_on_machine
from host_flows import HOST_FLOWS, PASSAGES, ROLES, addresses, lab_nodes, lab_settings
from packet_ends import Outcome

from components.addresses import AnyAddress
from components.nodes.firewall_plan import firewall_rules

ENDS = Path(__file__).with_name("packet_ends.py")
HOST, PEERS, BEYOND = "host", "peers", "beyond"
"""The host under test; everybody who sends to it; what lies behind it for a pod of its own."""
GATEWAYS = {PEERS: ("10.99.0.1", "fd99:0::1"), BEYOND: ("10.99.1.1", "fd99:1::1")}
"""The host's own addresses towards the two, by which they are routed."""
SERVICE = ("192.0.2.200", "2001:db8:2::200")
"""A load balancer's address, which the host translates to a pod's."""

ANSWER_SECONDS, SILENCE_SECONDS = 30.0, 1.5
"""How long an answer is waited for that has to come, and one that may not: between two namespaces of one machine it
takes microseconds, but for a machine that does ten other things."""

Try = tuple[str, str, str, int]
"""Protocol, source, target, port."""


class Net:
    """Three namespaces in a row: peers, host, beyond."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def name(self, place: str) -> str:
        return f"{self._prefix}-{place}"

    def lay(self) -> None:
        """Connect host with peers and with what is beyond, no address of the table anywhere."""
        for place in (HOST, PEERS, BEYOND):
            call("ip", "netns", "add", self.name(place))
            # Neighbours are asked for by a link-local address; whether it is free would be found out for a second.
            self.run(place, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
            self.run(place, "ip", "link", "set", "lo", "up")
        for place in (PEERS, BEYOND):
            peer = ("peer", "name", "eth0", "netns", self.name(place))
            self.run(HOST, "ip", "link", "add", place, "type", "veth", *peer)
            self.run(HOST, "ip", "link", "set", place, "up")
            self.run(place, "ip", "link", "set", "eth0", "up")
            for gateway in GATEWAYS[place]:
                self._address(HOST, gateway, place)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.run(HOST, "sysctl", "-qw", f"{key}=1")

    def settle(self, place: str, held: Iterable[AnyAddress]) -> None:
        """Give the namespace these addresses, and the host routes to them."""
        for address in held:
            self._address(place, str(address), "eth0")
            self.run(HOST, "ip", "route", "replace", f"{address}/{address.max_prefixlen}", "dev", place)
        for gateway in GATEWAYS[place]:
            # The neighbour is the host's, whatever the network.
            family = "-6" if ":" in gateway else "-4"
            self.run(place, "ip", family, "route", "replace", "default", "via", gateway, "dev", "eth0", "onlink")

    def be(self, held: Iterable[AnyAddress]) -> None:
        """Give the host itself these addresses, where the peers see them."""
        for address in held:
            self._address(HOST, str(address), PEERS)

    def run(self, place: str, *command: str, text: str | None = None) -> str:
        return call("ip", "netns", "exec", self.name(place), *command, text=text)

    @contextmanager
    def answering(self, place: str, ends: Iterable[tuple[str, AnyAddress, int]]) -> Generator[None]:
        """Let something answer at these ends: protocol, address, port."""
        command = ["ip", "netns", "exec", self.name(place), sys.executable, str(ENDS), "answer"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(
                json.dumps(sorted({(protocol, str(address), port) for protocol, address, port in ends})) + "\n"
            )
            process.stdin.flush()
            assert process.stdout.readline() == "ready\n"
            try:
                yield
            finally:
                process.stdin.close()

    def tried(self, place: str, tries: Sequence[tuple[Try, bool, str]]) -> list[str]:
        """Return what comes of connections from the namespace; those that are to pass are waited for."""
        asked = [(*attempt, ANSWER_SECONDS if passes else SILENCE_SECONDS) for attempt, passes, _ in tries]
        return json.loads(self.run(place, sys.executable, str(ENDS), "try", text=json.dumps(asked)))

    def remove(self) -> None:
        for place in (HOST, PEERS, BEYOND):
            subprocess.run(["ip", "netns", "delete", self.name(place)], check=False, capture_output=True)  # noqa: S607

    def _address(self, place: str, address: str, interface: str) -> None:
        length, more = (128, ["nodad"]) if ":" in address else (32, [])
        self.run(place, "ip", "address", "replace", f"{address}/{length}", "dev", interface, *more)


@pytest.fixture
def make_net() -> Generator[Callable[[], Net]]:
    require_on_machine(TESTING)
    with ExitStack() as stack:

        def make() -> Net:
            net = Net(f"fw{os.getpid()}")
            stack.callback(net.remove)
            net.lay()
            return net

        yield make


def load(net: Net, host: str) -> None:
    config = lab_nodes()
    rules = firewall_rules(config, config.hosts[host], lab_settings())
    assert rules is not None
    net.run(HOST, "nft", "--check", "--file", "-", text=rules)
    net.run(HOST, "nft", "--file", "-", text=rules)


def open_to(tries: Sequence[tuple[Try, bool, str]]) -> list[tuple[Try, bool, str]]:
    """Return the same where there are no rules yet: everything passes."""
    return [(attempt, True, "no rules yet") for attempt, _, _ in tries]


def wrong(tries: Sequence[tuple[Try, bool, str]], found: Sequence[str]) -> list[str]:
    expected = [Outcome.ANSWER if passes else Outcome.SILENCE for _, passes, _ in tries]
    return [
        f"{attempt}: {outcome}, not {want} ({why})"
        for (attempt, _, why), outcome, want in zip(tries, found, expected, strict=True)
        if outcome != want
    ]


@pytest.mark.parametrize("target", sorted({flow.target for flow in HOST_FLOWS}))
def test_packets_to_a_host(make_net: Callable[[], Net], target: str) -> None:
    net, flows = make_net(), [flow for flow in HOST_FLOWS if flow.target == target]
    net.be(addresses(target))
    net.settle(PEERS, [address for flow in flows for address in addresses(flow.source)])
    tries = [
        ((flow.protocol, str(source), str(own), flow.port), flow.passes, flow.why)
        for flow in flows
        for source, own in zip(addresses(flow.source), addresses(target), strict=True)
    ]
    unruled = open_to(tries)
    with net.answering(HOST, [(flow.protocol, own, flow.port) for flow in flows for own in addresses(target)]):
        assert not wrong(unruled, net.tried(PEERS, unruled))
        load(net, target)
        assert not wrong(tries, net.tried(PEERS, tries))


def test_packets_of_a_pod_through_its_host(make_net: Callable[[], Net]) -> None:
    net = make_net()
    net.settle(PEERS, addresses("pod"))
    net.settle(BEYOND, [address for passage in PASSAGES for address in addresses(passage.target)])
    tries = [
        (("tcp", str(source), str(target), passage.port), passage.passes, passage.why)
        for passage in PASSAGES
        for source, target in zip(addresses("pod"), addresses(passage.target), strict=True)
    ]
    unruled = open_to(tries)
    with net.answering(BEYOND, [("tcp", end, each.port) for each in PASSAGES for end in addresses(each.target)]):
        assert not wrong(unruled, net.tried(PEERS, unruled))
        load(net, "worker-1")
        assert not wrong(tries, net.tried(PEERS, tries))


def test_packets_to_a_published_service(make_net: Callable[[], Net]) -> None:
    net = make_net()
    net.settle(PEERS, [address for name in ("user", "printer", "exporter") for address in addresses(name)])
    net.settle(BEYOND, addresses("pod"))
    pod4, pod6 = addresses("pod")
    net.run(
        HOST,
        "nft",
        "--file",
        "-",
        text=f"""table inet kube_proxy {{
            chain services {{
                type nat hook prerouting priority dstnat;
                ip daddr {SERVICE[0]} tcp dport 443 dnat ip to {pod4}:10443
                ip6 daddr {SERVICE[1]} tcp dport 443 dnat ip6 to [{pod6}]:10443
            }}
        }}
        """,
    )
    tries = [
        (("tcp", str(source), service, 443), passes, name)
        for name, passes in (("user", True), ("printer", True), ("exporter", False))
        for source, service in zip(addresses(name), SERVICE, strict=True)
    ]
    unruled = open_to(tries)
    with net.answering(BEYOND, [("tcp", pod4, 10443), ("tcp", pod6, 10443)]):
        assert not wrong(unruled, net.tried(PEERS, unruled))
        load(net, "worker-1")
        assert not wrong(tries, net.tried(PEERS, tries))


def test_the_table_is_that_of_a_lab_with_every_kind_of_host() -> None:
    roles = {role for names, _ in ROLES.values() for role in names}
    assert roles == {"control-plane", "worker", "storage"}
    assert {flow.target for flow in HOST_FLOWS} >= {"cp-1", "store-1", "worker-1"}
