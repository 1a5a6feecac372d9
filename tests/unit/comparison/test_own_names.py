"""What is a stack's own, recognised wherever it stands, and nothing else."""

from __future__ import annotations

import pytest

from labctl.comparison.hosts import host_names, host_of, without_host
from labctl.comparison.names import Owner, Side, sides
from labctl.graph.values import Plain


def cluster(name: str, network: str, *hosts: str) -> dict[str, Plain]:
    """Return a cluster in a network of its own."""
    machines: dict[str, Plain] = {
        host: {"address": f"{network}.{number}", "roles": ["worker"], "hostKey": f"ssh-ed25519 AAAA{host}="}
        for number, host in enumerate(hosts, 11)
    }
    return {
        "name": f"lab-{name}",
        "domain": f"{name}.lab.example.org",
        "nodes": {"hosts": machines, "endpoint": {"address": f"{network}.10"}},
        "network": {
            "hosts": f"{network}.0/24",
            "loadBalancer": {"pools": [{"name": "published", "addresses": [f"{network}.200-{network}.210"]}]},
        },
    }


@pytest.fixture
def pair() -> tuple[Side, Side]:
    return sides(
        Owner(stack="test", cluster=cluster("test", "198.51.100", "w-1", "gpu-1")),
        Owner(stack="prod", cluster=cluster("prod", "192.0.2", "w-1", "w-2", "w-3", "gpu-1")),
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("homes-test", "homes-prod"),
        ("lab-test", "lab-prod"),
        ("https://hub.test.lab.example.org/x", "https://hub.prod.lab.example.org/x"),
        ("198.51.100.11", "192.0.2.12"),
        ("https://198.51.100.10:6443", "https://192.0.2.10:6443"),
        ("198.51.100.0/24", "192.0.2.0/24"),
        ("198.51.100.11/32", "192.0.2.14/32"),
        ("198.51.100.200-198.51.100.210", "192.0.2.200-192.0.2.210"),
        ("w-1 gpu-1", "w-1 w-2 w-3 gpu-1"),
        ("w-1,gpu-1", "w-1,w-2,w-3,gpu-1"),
        ("198.51.100.11 w-1\n198.51.100.12 gpu-1\n", "192.0.2.11 w-1\n192.0.2.12 w-2\n192.0.2.13 w-3\n"),
        ("ssh-ed25519 AAAAw-1=", "ssh-ed25519 AAAAw-3="),
        ("/dev/disk/by-id/ata-A_1", "/dev/disk/by-id/wwn-0x1"),
        ("run /lib/step-0123456789ab.sh", "run /lib/step-ba9876543210.sh"),
        ("[ -f x ] || test -f y", "[ -f x ] || test -f y"),
    ],
)
def test_the_same_but_for_names(pair: tuple[Side, Side], one: str, other: str) -> None:
    assert pair[0].text(one) == pair[1].text(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("homes-test", "home-prod"),
        ("10.0.0.1", "10.0.0.2"),
        ("198.51.100.0/24", "198.51.100.0/24"),  # of the other side it is a foreign network
        ("198.51.100.11", "10.0.0.1"),
        ("latest", "laprod"),
        ("quay.io/a@sha256:" + "a" * 64, "quay.io/a@sha256:" + "b" * 64),
        ("v1.36.3", "v1.36.1"),
        ("w-1 10Gi", "w-1 20Gi"),
        ("step-0123456789ab.py", "step-ba9876543210.py"),
    ],
)
def test_what_differs_stays_different(pair: tuple[Side, Side], one: str, other: str) -> None:
    assert pair[0].text(one) != pair[1].text(other)


def test_data_is_read_key_by_key(pair: tuple[Side, Side]) -> None:
    one = pair[0].value(
        {"w-1": {"n": 1}, "gpu-1": {"n": 1}, "list": ["198.51.100.11/32", "198.51.100.12/32", "x", "x"]}
    )
    other = pair[1].value({"w-2": {"n": 1}, "list": ["192.0.2.11/32", "x", "x"]})
    assert one == other == {"<host>": {"n": 1}, "list": ["<address>", "x", "x"]}
    assert pair[1].value({"w-2": {"n": 1}, "w-3": {"n": 2}}) != other
    assert pair[0].seen == {"host", "address"}


@pytest.mark.parametrize(
    ("name", "host", "rest"),
    [
        ("bootstrap-gpu-1-join", "gpu-1", "join"),
        ("bootstrap-gpu-10-join", "gpu-10", "join"),
        ("bootstrap-gpu-1-admit-0", "gpu-1", "admit-0"),
        ("nodes-gpu-1", "gpu-1", "nodes-gpu-1"),
        ("bootstrap-kubeconfig-0", None, "bootstrap-kubeconfig-0"),
        ("gpu-2-join", None, "gpu-2-join"),
    ],
)
def test_which_host_a_resource_is_about(name: str, host: str | None, rest: str) -> None:
    hosts = ["gpu", "gpu-1", "gpu-10"][1:]
    assert (host_of(name, hosts), without_host(name, hosts)) == (host, rest)


def test_hosts_of_a_file_that_is_wrong() -> None:
    assert host_names({"nodes": {"hosts": ["a"]}}) == ()
    assert host_names(None) == ()
    assert host_names({"nodes": {"hosts": {"a": 1}}}) == ("a",)
