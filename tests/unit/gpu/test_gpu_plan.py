"""What the GPU operator is told."""

from __future__ import annotations

import json
import re
from typing import cast

import pytest
from gpu_labs import JSI_SECTION, Gpus
from hypothesis import given
from hypothesis import strategies as st

from components.gpu.config import GpuConfig
from components.gpu.geometry import layouts_of
from components.gpu.models import GpuModelName
from components.gpu.plan import namespace_plan, offered_slices, plan, simulated_capacity
from components.namespaces.plan import namespace_labels
from components.network.facts import NetworkFacts
from components.networks import Networks

A100 = GpuModelName.A100_80_PCIE
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


SHARED_KINDS = st.sampled_from(["timeSlicing", "mps"])


def documents(text: str) -> dict[str, object]:
    return cast("dict[str, object]", json.loads(text))


def sharing_of(slicing: object, model: str = A100) -> dict[str, object]:
    """Return the device plugin's file of one host's only group."""
    planned = plan(one_group(slicing), {"gpu1": Gpus(model, 2)})
    return documents(planned.sharing[planned.nodes["gpu1"].labels["nvidia.com/device-plugin.config"]])


def one_group(slicing: object) -> GpuConfig:
    return GpuConfig.model_validate({"groups": {"g" * 40: {"hosts": ["gpu1"], "slicing": slicing}}})


def test_the_jsi_labs_layouts_are_mig_parteds(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    planned = plan(jsi, jsi_hosts)
    entry = planned.nodes["gpu1"].labels["nvidia.com/mig.config"]
    assert planned.mig_layouts == {
        "all-disabled": [{"devices": "all", "mig-enabled": False}],
        entry: [
            {"devices": [0], "mig-enabled": True, "mig-devices": {"1g.10gb": 4, "3g.40gb": 1}},
            {"devices": [1], "mig-enabled": True, "mig-devices": {"2g.20gb": 2, "3g.40gb": 1}},
        ],
    }


def test_one_layout_for_all_gpus_and_one_gpu_left_whole(
    mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]
) -> None:
    planned = plan(mixed_lab, mixed_hosts)
    labels = {name: node.labels for name, node in planned.nodes.items()}
    assert planned.mig_layouts[labels["gpu1"]["nvidia.com/mig.config"]] == [
        {"devices": "all", "mig-enabled": True, "mig-devices": {"1g.10gb": 7}}
    ]
    assert labels["gpu1"] == labels["gpu2"]
    assert planned.mig_layouts[labels["gpu3"]["nvidia.com/mig.config"]] == [
        {"devices": [0], "mig-enabled": True, "mig-devices": {"3g.40gb": 2}},
        {"devices": [1], "mig-enabled": False},
    ]


def test_nodes_declare_their_layout_and_sharing(mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]) -> None:
    nodes = plan(mixed_lab, mixed_hosts).nodes
    assert list(nodes) == ["gpu1", "gpu2", "gpu3", "t4", "whole1"]
    assert set(nodes["t4"].labels) == {"nvidia.com/device-plugin.config"}
    assert nodes["t4"].labels["nvidia.com/device-plugin.config"].startswith("teaching-")
    # An H100 that was cut once and is whole now has to be told so.
    assert nodes["whole1"].labels == {
        "nvidia.com/device-plugin.config": "exclusive",
        "nvidia.com/mig.config": "all-disabled",
    }
    assert nodes["gpu1"].labels["nvidia.com/device-plugin.config"] == "exclusive"
    assert {name: node.group for name, node in nodes.items()}["gpu3"] == "half"


def test_nodes_must_offer_what_was_planned(mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]) -> None:
    planned = {name: node.allocatable for name, node in plan(mixed_lab, mixed_hosts).nodes.items()}
    assert planned == simulated_capacity(mixed_lab, mixed_hosts)
    assert planned["gpu3"] == {"nvidia.com/gpu": 1, "nvidia.com/mig-3g.40gb": 2}


RENAMED = {"renameByDefault": True, "failRequestsGreaterThanOne": True}
"""What every sharing says: a name of its own, one share at a time."""


@pytest.mark.parametrize(
    ("slicing", "strategy", "sharing"),
    [
        ({"kind": "whole"}, "mixed", None),
        ({"kind": "mig", "layout": {"1g.10gb": 7}}, "mixed", None),
        ({"kind": "mig", "layout": {"1g.10gb": 7}, "strategy": "single"}, "single", None),
        (
            {"kind": "timeSlicing", "replicas": 4},
            "mixed",
            {"timeSlicing": {**RENAMED, "resources": [{"name": "nvidia.com/gpu", "replicas": 4}]}},
        ),
        (
            {"kind": "mps", "replicas": 8},
            "mixed",
            {"mps": {**RENAMED, "resources": [{"name": "nvidia.com/gpu", "replicas": 8}]}},
        ),
        (
            {
                "kind": "mig",
                "layout": {"3g.40gb": 1, "1g.10gb": 3, "1g.10gb+me": 1},
                "shared": {"1g.10gb+me": 2, "1g.10gb": 4},
            },
            "mixed",
            {
                "timeSlicing": {
                    **RENAMED,
                    "resources": [
                        {"name": "nvidia.com/mig-1g.10gb", "replicas": 4},
                        {"name": "nvidia.com/mig-1g.10gb.me", "replicas": 2},
                    ],
                }
            },
        ),
        (
            {"kind": "mig", "layout": {"1g.10gb": 7}, "strategy": "single", "shared": {"1g.10gb": 4}},
            "single",
            {"timeSlicing": {**RENAMED, "resources": [{"name": "nvidia.com/gpu", "replicas": 4}]}},
        ),
    ],
)
def test_the_device_plugin_is_told_strategy_and_sharing(slicing: object, strategy: str, sharing: object) -> None:
    expected: dict[str, object] = {"version": "v1", "flags": {"migStrategy": strategy}}
    assert sharing_of(slicing) == (expected if sharing is None else {**expected, "sharing": sharing})


def test_the_operator_reads_our_config_maps(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    values = plan(jsi, jsi_hosts).values
    manager = {"create": False, "name": "mig-layouts", "default": "all-disabled"}
    assert values["migManager"] == {"enabled": True, "config": manager}
    plugin = {"create": False, "name": "gpu-sharing", "default": "exclusive"}
    assert values["devicePlugin"] == {"enabled": True, "config": plugin, "mps": {"root": "/run/nvidia/mps"}}
    # A strategy here would win over every node's own.
    assert values["mig"] == {"strategy": ""}
    assert values["psa"] == {"enabled": False}
    assert values["dcgmExporter"] == {"enabled": True, "serviceMonitor": {"enabled": False}}


def test_a_driver_is_never_there_twice(jsi_hosts: dict[str, Gpus | None]) -> None:
    on_hosts = GpuConfig.model_validate({"driver": {"source": "host"}, **JSI_SECTION})
    assert plan(on_hosts, jsi_hosts).values["driver"] == {"enabled": False}
    by_operator = GpuConfig.model_validate({"driver": {"kernelModule": "open"}, **JSI_SECTION})
    driver = cast("dict[str, object]", plan(by_operator, jsi_hosts).values["driver"])
    assert (driver["enabled"], driver["kernelModuleType"]) == (True, "open")


def test_a_driver_is_exchanged_under_nobodys_work(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    driver = cast("dict[str, object]", plan(jsi, jsi_hosts).values["driver"])
    (offered, *_) = offered_slices(jsi, jsi_hosts)
    ((label, value),) = offered.pod_labels.items()
    assert driver["upgradePolicy"] == {
        "autoUpgrade": True,
        "maxParallelUpgrades": 1,
        "waitForCompletion": {"podSelector": f"{label}={value}", "timeoutSeconds": 0},
        "gpuPodDeletion": {"force": False, "deleteEmptyDir": False, "timeoutSeconds": 0},
        "drain": {"enable": False},
    }
    assert cast("dict[str, object]", driver["manager"])["env"] == [
        {"name": "ENABLE_GPU_POD_EVICTION", "value": "false"},
        {"name": "ENABLE_AUTO_DRAIN", "value": "false"},
    ]


@given(data=st.data())
def test_another_layout_is_another_label_and_another_entry(data: st.DataObject) -> None:
    layouts = [dict(layout) for layout in layouts_of(A100) if layout]
    first, second = data.draw(st.sampled_from(layouts)), data.draw(st.sampled_from(layouts))

    def planned(layout: dict[str, int]) -> tuple[str, object]:
        found = plan(one_group({"kind": "mig", "layout": layout}), {"gpu1": Gpus(A100, 1)})
        label = found.nodes["gpu1"].labels["nvidia.com/mig.config"]
        assert LABEL_VALUE.fullmatch(label)
        return label, found.mig_layouts[label]

    one, other = planned(first), planned(dict(reversed(second.items())))
    assert (one[0] == other[0]) == (one[1] == other[1]) == (first == second)


@given(first=st.integers(2, 48), second=st.integers(2, 48), kinds=st.tuples(SHARED_KINDS, SHARED_KINDS))
def test_another_sharing_is_another_label_and_another_file(first: int, second: int, kinds: tuple[str, str]) -> None:
    def planned(kind: str, replicas: int) -> tuple[str, str]:
        found = plan(one_group({"kind": kind, "replicas": replicas}), {"gpu1": Gpus("T4", 1)})
        label = found.nodes["gpu1"].labels["nvidia.com/device-plugin.config"]
        assert LABEL_VALUE.fullmatch(label)
        return label, found.sharing[label]

    one, other = planned(kinds[0], first), planned(kinds[1], second)
    assert (one[0] == other[0]) == (one[1] == other[1]) == ((kinds[0], first) == (kinds[1], second))


@pytest.mark.parametrize("name", ["exclusive", "all"])
def test_no_groups_entry_is_taken_for_a_default(name: str) -> None:
    groups = {name: {"hosts": ["gpu1"], "slicing": {"kind": "mig", "layout": {"1g.10gb": 7}, "shared": {"1g.10gb": 2}}}}
    planned = plan(GpuConfig.model_validate({"groups": groups}), {"gpu1": Gpus(A100, 1)})
    assert len(planned.mig_layouts) == len(planned.sharing) == 2


def test_reordering_the_file_changes_nothing(mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]) -> None:
    groups = dict(reversed(mixed_lab.model_dump(by_alias=True)["groups"].items()))
    turned = GpuConfig.model_validate({"groups": groups})
    assert plan(turned, dict(reversed(mixed_hosts.items()))) == plan(mixed_lab, mixed_hosts)


def test_the_namespace_is_privileged_and_says_whose_it_is() -> None:
    planned = namespace_plan("prod")
    assert planned.name == "gpu-operator-prod"
    assert namespace_labels(planned)["pod-security.kubernetes.io/enforce"] == "privileged"


def test_only_drivers_reach_mirrors_and_the_rest_the_api_server() -> None:
    network = NetworkFacts(
        pods=Networks.of("10.244.0.0/16"),
        services=Networks.of("10.96.0.0/16"),
        hosts=Networks.of("192.0.2.0/24"),
        cluster_domain="cluster.local",
    )
    flows = {flow.name: flow for flow in namespace_plan("prod", network).flows}
    assert set(flows) == {"to-dns", "to-api-server", "to-internet"}
    assert flows["to-internet"].pods == {"app.kubernetes.io/component": "nvidia-driver"}
    assert [port.number for port in flows["to-internet"].ports] == [80, 443]
    (unplanned,) = namespace_plan("prod").flows
    assert (unplanned.peers, unplanned.ports) == ((), ())
