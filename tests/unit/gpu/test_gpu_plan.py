"""What the GPU operator is told."""

from __future__ import annotations

import json
import re
from typing import cast

from gpu_labs import JSI_SECTION, Gpus
from hypothesis import given
from hypothesis import strategies as st

from components.gpu.config import GpuConfig
from components.gpu.geometry import layouts_of
from components.gpu.models import GpuModelName
from components.gpu.plan import namespace_plan, plan, simulated_labels
from components.namespaces.plan import namespace_labels
from components.network.facts import NetworkFacts
from components.networks import Networks

A100 = GpuModelName.A100_80_PCIE
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def documents(text: str) -> dict[str, object]:
    return cast("dict[str, object]", json.loads(text))


def test_the_jsi_labs_layouts_are_mig_parteds(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    planned = plan(jsi, jsi_hosts)
    entry = planned.node_labels["gpu1"]["nvidia.com/mig.config"]
    assert documents(planned.mig_layouts.data["config.yaml"]) == {
        "version": "v1",
        "mig-configs": {
            "all-disabled": [{"devices": "all", "mig-enabled": False}],
            entry: [
                {"devices": [0], "mig-enabled": True, "mig-devices": {"1g.10gb": 4, "3g.40gb": 1}},
                {"devices": [1], "mig-enabled": True, "mig-devices": {"2g.20gb": 2, "3g.40gb": 1}},
            ],
        },
    }


def test_one_layout_for_all_gpus_and_one_gpu_left_whole(
    mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]
) -> None:
    planned = plan(mixed_lab, mixed_hosts)
    entries = cast("dict[str, object]", documents(planned.mig_layouts.data["config.yaml"])["mig-configs"])
    labels = planned.node_labels
    assert entries[labels["gpu1"]["nvidia.com/mig.config"]] == [
        {"devices": "all", "mig-enabled": True, "mig-devices": {"1g.10gb": 7}}
    ]
    assert labels["gpu1"] == labels["gpu2"]
    assert entries[labels["gpu3"]["nvidia.com/mig.config"]] == [
        {"devices": [0], "mig-enabled": True, "mig-devices": {"3g.40gb": 2}},
        {"devices": [1], "mig-enabled": False},
    ]


def test_nodes_declare_their_layout_and_sharing(mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]) -> None:
    labels = plan(mixed_lab, mixed_hosts).node_labels
    assert labels["t4"] == {"nvidia.com/device-plugin.config": "teaching.shared"}
    # An H100 that was cut once and is whole now has to be told so.
    assert labels["whole1"] == {
        "nvidia.com/device-plugin.config": "exclusive",
        "nvidia.com/mig.config": "all-disabled",
    }
    assert labels["gpu1"]["nvidia.com/device-plugin.config"] == "exclusive"
    assert "head1" not in labels


def test_time_slicing_is_renamed_and_bounded(mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]) -> None:
    sharing = plan(mixed_lab, mixed_hosts).sharing.data
    assert set(sharing) == {"exclusive", "teaching.shared"}
    assert documents(sharing["exclusive"]) == {"version": "v1"}
    assert documents(sharing["teaching.shared"]) == {
        "version": "v1",
        "sharing": {
            "timeSlicing": {
                "renameByDefault": True,
                "failRequestsGreaterThanOne": True,
                "resources": [{"name": "nvidia.com/gpu", "replicas": 4}],
            }
        },
    }


def test_the_operator_reads_our_config_maps(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    planned = plan(jsi, jsi_hosts)
    values = planned.values
    manager = {"create": False, "name": planned.mig_layouts.name, "default": "all-disabled"}
    assert values["migManager"] == {"enabled": True, "config": manager}
    plugin = {"create": False, "name": planned.sharing.name, "default": "exclusive"}
    assert values["devicePlugin"] == {"enabled": True, "config": plugin}
    assert values["mig"] == {"strategy": "mixed"}
    assert values["psa"] == {"enabled": False}
    assert values["dcgmExporter"] == {"enabled": True, "serviceMonitor": {"enabled": False}}


def test_a_driver_is_never_there_twice(jsi_hosts: dict[str, Gpus | None]) -> None:
    on_hosts = GpuConfig.model_validate({"driver": {"source": "host"}, **JSI_SECTION})
    assert plan(on_hosts, jsi_hosts).values["driver"] == {"enabled": False}
    by_operator = GpuConfig.model_validate({"driver": {"kernelModule": "open"}, **JSI_SECTION})
    driver = cast("dict[str, object]", plan(by_operator, jsi_hosts).values["driver"])
    assert (driver["enabled"], driver["kernelModuleType"]) == (True, "open")
    assert cast("dict[str, object]", driver["upgradePolicy"])["waitForCompletion"] == {
        "podSelector": "app.kubernetes.io/component=singleuser-server",
        "timeoutSeconds": 0,
    }


@given(data=st.data())
def test_another_layout_is_another_label_and_another_config_map(data: st.DataObject) -> None:
    layouts = [dict(layout) for layout in layouts_of(A100) if layout]
    first, second = data.draw(st.sampled_from(layouts)), data.draw(st.sampled_from(layouts))
    hosts: dict[str, Gpus | None] = {"gpu1": Gpus(A100, 1)}

    def planned(layout: dict[str, int]) -> tuple[str, str]:
        slicing = {"kind": "mig", "layout": layout}
        config = GpuConfig.model_validate({"groups": {"g" * 40: {"hosts": ["gpu1"], "slicing": slicing}}})
        found = plan(config, hosts)
        label = found.node_labels["gpu1"]["nvidia.com/mig.config"]
        assert LABEL_VALUE.fullmatch(label)
        return found.mig_layouts.name, label

    one, other = planned(first), planned(dict(reversed(second.items())))
    assert (one[0] == other[0]) == (one[1] == other[1]) == (first == second)


def test_reordering_the_file_changes_nothing(mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]) -> None:
    groups = dict(reversed(mixed_lab.model_dump(by_alias=True)["groups"].items()))
    turned = GpuConfig.model_validate({"groups": groups})
    assert plan(turned, dict(reversed(mixed_hosts.items()))) == plan(mixed_lab, mixed_hosts)


def test_simulated_nodes_wear_what_feature_discovery_would_set(
    mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]
) -> None:
    labels = simulated_labels(mixed_lab, mixed_hosts)
    assert labels["t4"] == {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": "Tesla-T4",
        "nvidia.com/gpu.count": "2",
        "nvidia.com/gpu.replicas": "4",
        "nvidia.com/gpu.memory": "16384",
        "nvidia.com/gpu.family": "turing",
        "nvidia.com/mig.capable": "false",
        "nvidia.com/mig.strategy": "mixed",
    }
    assert labels["gpu3"]["nvidia.com/mig-3g.40gb.count"] == "2"
    assert labels["gpu3"]["nvidia.com/mig-3g.40gb.memory"] == "40960"
    assert all(LABEL_VALUE.fullmatch(value) for node in labels.values() for value in node.values())


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
