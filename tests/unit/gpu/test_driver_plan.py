"""What of a driver follows from the stack file: the step of each host, branches and modules by model, device ids."""

from __future__ import annotations

import pytest
from driver_hosts import gpu_nodes, gpu_step

from components.gpu.config import DriverConfig, GpuConfig, KernelModule
from components.gpu.driver_checks import check_driver, check_driver_for
from components.gpu.driver_plan import driver_needs, driver_steps
from components.gpu.models import MODELS, GpuModelName
from components.gpu.operator_values import chart_values
from components.gpu.pci_ids import PCI_IDS, RELATED_IDS
from components.nodes.bootstrap_plan import in_order
from components.nodes.membership_plan import request_steps
from components.nodes.steps import script_paths

OPEN, PROPRIETARY = KernelModule.OPEN, KernelModule.PROPRIETARY
A100 = {"model": "A100-80GB-PCIe", "count": 2}


@pytest.mark.parametrize(
    ("model", "kinds", "branches"),
    [
        (GpuModelName.V100_32, (PROPRIETARY,), (None, 580)),
        (GpuModelName.T4, (OPEN, PROPRIETARY), (None, None)),
        (GpuModelName.A100_80_PCIE, (OPEN, PROPRIETARY), (None, None)),
        (GpuModelName.H200_SXM, (OPEN, PROPRIETARY), (None, None)),
        (GpuModelName.GH200_96, (OPEN,), (None, None)),
        (GpuModelName.B200, (OPEN,), (570, None)),
    ],
)
def test_what_a_model_asks_of_its_driver(
    model: GpuModelName, kinds: tuple[KernelModule, ...], branches: tuple[int | None, int | None]
) -> None:
    needs = driver_needs(MODELS[model])
    assert (needs.kinds, (needs.first_branch, needs.last_branch)) == (kinds, branches)


def test_every_model_has_a_device_id() -> None:
    assert set(PCI_IDS.values()) == set(GpuModelName)
    assert not PCI_IDS.keys() & RELATED_IDS.keys()
    assert not set(RELATED_IDS.values()) & {model.value for model in GpuModelName}
    for device in (*PCI_IDS, *RELATED_IDS):
        assert (len(device), device) == (4, f"{int(device, 16):04x}")


def test_every_gpu_host_has_the_step_before_it_asks_to_join() -> None:
    nodes = gpu_nodes({"gpu-2": A100, "gpu-1": A100, "worker-1": None})
    config = GpuConfig.model_validate(
        {"groups": {"all": {"hosts": ["gpu-1", "gpu-2"], "slicing": {"kind": "whole"}}}}, by_alias=True
    )
    steps = driver_steps(config, nodes)
    assert [(step.resource, step.after) for step in steps] == [
        ("gpu-1-gpu-driver", (("system", "gpu-1"), ("runtime", "gpu-1"))),
        ("gpu-2-gpu-driver", (("system", "gpu-2"), ("runtime", "gpu-2"))),
    ]
    order = [step.key for step in in_order([*request_steps(nodes), *steps])]
    assert all(order.index(("gpu-driver", host)) < order.index(("request", host)) for host in ("gpu-1", "gpu-2"))
    for step in steps:
        assert {step.script or step.name, *step.libraries} <= script_paths().keys()


def test_no_step_where_the_gpus_are_another_stacks_or_the_host_is_lost() -> None:
    used = GpuConfig.model_validate({"use": {"slices": [{"slice": "whole", "count": 1}]}})
    nodes = gpu_nodes({"gpu-1": A100})
    assert driver_steps(used, nodes) == ()
    assert driver_steps(None, nodes) == ()
    own = GpuConfig.model_validate({"groups": {"all": {"hosts": ["gpu-1"], "slicing": {"kind": "whole"}}}})
    gone = nodes.model_copy(update={"hosts": {"gpu-1": nodes.hosts["gpu-1"].model_copy(update={"lost": True})}})
    assert (len(driver_steps(own, nodes)), driver_steps(own, gone)) == (1, ())


def test_the_values_of_the_step() -> None:
    values = gpu_step("host", GpuModelName.B200, 8).values
    names = values.pop("DEVICE_NAMES") if isinstance(values, dict) else ()
    assert isinstance(names, tuple)
    assert {"2901 B200", "20b5 A100-80GB-PCIe", "26b5 L40"} <= set(names)
    assert values == {
        "SOURCE": "host",
        "MODEL": "B200",
        "NVML_NAME": "NVIDIA B200",
        "GPU_COUNT": 8,
        "MODULE_KINDS": ("open",),
        "FIRST_BRANCH": 570,
        "LAST_BRANCH": None,
        "OPERATOR_SYSTEMS": ("ubuntu 22.04", "ubuntu 24.04"),
    }


@pytest.mark.parametrize(
    ("driver", "model", "said"),
    [
        ({}, "A100-80GB-PCIe", None),
        ({"version": "535.288.01"}, "A100-80GB-PCIe", None),
        ({"version": "570.195.03"}, "B200", None),
        (
            {"version": "550.163.01"},
            "B200",
            "driver 550.163.01 does not drive B200 (Blackwell): it needs branch 570 or",
        ),
        ({"version": "580.95.05"}, "V100-32GB", None),
        ({"version": "590.44.01"}, "V100-32GB", "does not drive V100-32GB (Volta): its last branch is 580"),
        ({}, "V100-32GB", "the operator's driver no longer drives V100-32GB (Volta ended with driver branch 580)"),
        ({"source": "host"}, "V100-32GB", None),
        ({"version": "580.95.05", "kernelModule": "open"}, "V100-32GB", "has only the proprietary kernel module"),
        ({"kernelModule": "proprietary"}, "GH200-96GB", "has only the open kernel module"),
        ({"kernelModule": "proprietary"}, "T4", None),
    ],
)
def test_the_declared_driver_and_a_model(driver: dict[str, str], model: str, said: str | None) -> None:
    config = DriverConfig.model_validate(driver, by_alias=True)
    found = [problem.what for problem in check_driver_for(config, MODELS[GpuModelName(model)], ())]
    assert found == [] if said is None else (len(found) == 1 and said in found[0])


@pytest.mark.parametrize(
    ("driver", "paths"),
    [
        ({"version": "580.95.05", "kernelModule": "open"}, []),
        ({"source": "host"}, []),
        ({"source": "host", "version": "580.95.05"}, [("driver", "version")]),
        ({"source": "host", "kernelModule": "open"}, [("driver", "kernelModule")]),
    ],
)
def test_what_is_said_of_the_operators_driver(driver: dict[str, str], paths: list[tuple[str, str]]) -> None:
    found = check_driver(DriverConfig.model_validate(driver, by_alias=True))
    assert [problem.path for problem in found] == paths


@pytest.mark.parametrize("version", ["580", "580.95.05.1", "latest", "58.95", "0580.95", "580.95.05-ubuntu24.04"])
def test_what_is_no_version(version: str) -> None:
    with pytest.raises(ValueError, match="version"):
        DriverConfig.model_validate({"version": version})


def test_the_version_reaches_the_chart() -> None:
    group = {"all": {"hosts": ["gpu-1"], "slicing": {"kind": "whole"}}}
    for driver, version in (({}, None), ({"version": "580.95.05"}, "580.95.05")):
        values = chart_values(GpuConfig.model_validate({"driver": driver, "groups": group}))["driver"]
        assert isinstance(values, dict)
        assert values.get("version") == version
