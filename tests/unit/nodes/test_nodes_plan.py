"""Labels, taints, capacities and SSH targets follow from the hosts; the checks are in the configuration's fixtures."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.nodes.checks import check
from components.nodes.config import HostConfig, NodesConfig, Role, TaintConfig
from components.nodes.plan import (
    CONTROL_PLANE_TAINT,
    KubeconfigSource,
    bootstrap_host,
    kubeconfig_source,
    members,
    node_labels,
    node_taints,
    simulated_nodes,
    ssh_targets,
)

HARDWARE = {"cpus": 128, "memory": "1Ti", "ephemeralStorage": "2T"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQ5h0WpOOUL5c+6YPQkmCkQNyu8U71JlFTv6/DxtS5V"


def host(*roles: str, address: str = "192.0.2.10", **more: object) -> dict[str, object]:
    return {"address": address, "roles": roles or ("worker",), "hardware": HARDWARE, **more}


def nodes(hosts: dict[str, dict[str, object]], **more: object) -> NodesConfig:
    return NodesConfig.model_validate({"hosts": hosts, **more})


def test_a_worker_has_its_role_and_its_own_labels() -> None:
    worker = HostConfig.model_validate(host(labels={"lab.example.org/rack": "r1"}))
    assert node_labels(worker) == {"node-role.kubernetes.io/worker": "", "lab.example.org/rack": "r1"}
    assert node_taints(worker) == ()


@pytest.mark.parametrize(
    ("roles", "tainted"),
    [(("control-plane",), True), (("control-plane", "worker"), False), (("control-plane", "storage"), True)],
)
def test_a_control_plane_host_is_reserved_unless_it_works(roles: tuple[str, ...], tainted: bool) -> None:  # noqa: FBT001 - a table's column
    own = TaintConfig.model_validate({"key": "dedicated", "effect": "NoSchedule"})
    planned = node_taints(HostConfig.model_validate(host(*roles, taints=(own,))))
    assert planned == ((CONTROL_PLANE_TAINT, own) if tainted else (own,))


def test_lost_hosts_and_pure_storage_are_no_nodes() -> None:
    config = nodes(
        {
            "worker-2": host(),
            "store-1": host("storage"),
            "worker-1": host(),
            "gone-1": host(lost=True),
            "store-2": host("storage", "worker"),
        }
    )
    assert list(members(config)) == ["store-2", "worker-1", "worker-2"]


def test_a_simulated_node_is_its_host_with_what_plugins_add() -> None:
    config = nodes({"gpu-1": host(gpus={"model": "A100-80GB-PCIe", "count": 2})})
    (planned,) = simulated_nodes(
        config, {"gpu-1": {"nvidia.com/mig-1g.10gb": 7}}, {"gpu-1": {"nvidia.com/gpu.present": "true"}}
    )
    assert planned.name == "gpu-1"
    assert planned.addresses == (ipaddress.ip_address("192.0.2.10"),)
    assert planned.labels == {"node-role.kubernetes.io/worker": "", "nvidia.com/gpu.present": "true"}
    assert planned.capacity == {
        "cpu": "128",
        "memory": "1Ti",
        "ephemeral-storage": "2T",
        "pods": "110",
        "nvidia.com/mig-1g.10gb": "7",
    }


def test_labels_of_the_file_win_over_discovered_ones() -> None:
    config = nodes({"gpu-1": host(labels={"nvidia.com/gpu.present": "false"})})
    (planned,) = simulated_nodes(config, {}, {"gpu-1": {"nvidia.com/gpu.present": "true"}})
    assert planned.labels["nvidia.com/gpu.present"] == "false"


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_in_the_file_means_nothing(order: list[str]) -> None:
    hosts = {name: host(address=f"192.0.2.{index}") for index, name in enumerate("abcd", start=10)}
    shuffled = nodes({name: hosts[name] for name in order})
    assert simulated_nodes(shuffled, {}, {}) == simulated_nodes(nodes(hosts), {}, {})
    assert ssh_targets(shuffled) == ssh_targets(nodes(hosts))


def test_a_host_is_reached_by_its_own_settings_over_the_common_ones() -> None:
    config = nodes(
        {"a": host(hostKey=KEY), "b": host(ssh={"user": "root"}), "c": host(ssh={"port": 22}), "d": host(lost=True)},
        ssh={"user": "admin", "port": 2222},
    )
    reached = [(target.host, target.user, target.port, target.host_key) for target in ssh_targets(config)]
    assert reached == [("a", "admin", 2222, KEY), ("b", "root", 2222, None), ("c", "admin", 22, None)]


def test_simulated_hosts_are_reached_by_nobody() -> None:
    assert ssh_targets(nodes({"a": host()}, adopt={"kubeconfig": "k", "simulated": True})) == []


def test_the_cluster_begins_on_the_named_or_the_first_control_plane_host() -> None:
    hosts = {"b": host("control-plane"), "a": host("control-plane"), "c": host()}
    assert bootstrap_host(nodes(hosts)) == "a"
    assert bootstrap_host(nodes(hosts, bootstrapHost="b")) == "b"
    assert bootstrap_host(nodes({"c": host()})) is None


@pytest.mark.parametrize(
    ("adopt", "source"),
    [
        (None, KubeconfigSource.BOOTSTRAP),
        ({"kubeconfig": ".lab/dev/kubeconfig"}, KubeconfigSource.FILE),
        ({"kubeconfigSecret": {"secret": "kubeconfig"}}, KubeconfigSource.SECRET),
    ],
)
def test_where_the_kubeconfig_comes_from(adopt: dict[str, object] | None, source: KubeconfigSource) -> None:
    assert kubeconfig_source(nodes({}, adopt=adopt)) is source


@pytest.mark.parametrize("planes", range(1, 8))
def test_a_control_plane_is_odd(planes: int) -> None:
    hosts = {
        f"cp-{index}": host("control-plane", address=f"192.0.2.{index}", hostKey=f"{KEY}")
        for index in range(1, planes + 1)
    }
    config = nodes(hosts, endpoint={"address": "192.0.2.100"})
    odd = not any("even number" in problem.what for problem in check(config, None))
    assert odd == (planes % 2 == 1)


def test_a_lost_control_plane_host_does_not_count() -> None:
    hosts = {
        "cp-1": host("control-plane", address="192.0.2.1", hostKey=KEY),
        "cp-2": host("control-plane", address="192.0.2.2", lost=True),
    }
    assert list(check(nodes(hosts), None)) == []


def test_roles_are_what_the_issue_names() -> None:
    assert [str(role) for role in Role] == ["control-plane", "worker", "storage"]
