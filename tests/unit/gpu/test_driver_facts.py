"""Facts of GPUs: parsers against what NVIDIA's driver really said (tests/unit/data/gpu), and the probe itself."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from driver_hosts import Driver, Machine, run_facts
from hypothesis import given
from hypothesis import strategies as st

from components.gpu.driver_facts import (
    MOST_BYTES,
    GpuFacts,
    GpuState,
    KernelEvent,
    MigInstance,
    describe_gpus,
    gpu_warnings,
    parse_gpu_facts,
    parse_instances,
    parse_module,
    parse_states,
)

DATA = Path(__file__).parents[1] / "data" / "gpu"
ERRORS = cast("list[str]", json.loads((DATA / "errors.json").read_text(encoding="utf-8")))
MODULES = cast("list[list[str]]", json.loads((DATA / "modules.json").read_text(encoding="utf-8")))


def recorded(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def packed(text: str) -> str:
    """Return a document as the probe sends it."""
    return base64.b64encode(gzip.compress(text.encode())).decode()


def known(facts: GpuFacts | None) -> GpuFacts:
    assert facts is not None
    return facts


PLAIN = GpuState(
    address="",
    product="",
    memory_mebibytes=None,
    is_mig=None,
    is_mig_pending=None,
    is_persistent=False,
    uncorrected_errors=0,
)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        (
            "a100-sxm4-80gb-mig.xml",
            replace(
                PLAIN,
                address="0000:01:00.0",
                product="NVIDIA A100-SXM4-80GB",
                memory_mebibytes=81920,
                is_mig=True,
                is_mig_pending=True,
            ),
        ),
        ("t4.xml", replace(PLAIN, address="0000:00:1e.0", product="Tesla T4", memory_mebibytes=15360, processes=2)),
        ("v100s.xml", replace(PLAIN, address="0000:00:0d.0", product="Tesla V100S-PCIE-32GB", memory_mebibytes=32510)),
        (
            "rtx-pro-6000.xml",
            replace(
                PLAIN,
                address="0000:61:00.0",
                product="NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
                memory_mebibytes=97887,
                is_persistent=True,
                uncorrected_errors=None,
            ),
        ),
    ],
)
def test_recorded_states(name: str, state: GpuState) -> None:
    assert parse_states(recorded(name)) == (state,)


@pytest.mark.parametrize(
    ("name", "old", "new", "warning"),
    [
        ("t4.xml", "<pending_retirement>No<", "<pending_retirement>Yes<", "it waits for a reset"),
        ("rtx-pro-6000.xml", "<remapped_row_pending>No<", "<remapped_row_pending>Yes<", "it waits for a reset"),
        ("rtx-pro-6000.xml", "<remapped_row_failure>No<", "<remapped_row_failure>Yes<", "could not be repaired"),
        ("rtx-pro-6000.xml", "_action>None<", "_action>Drain and Reset<", "it waits for a reset"),
        ("a100-sxm4-80gb-mig.xml", "<reset_required>No<", "<reset_required>Yes<", "it waits for a reset"),
        ("a100-sxm4-80gb-mig.xml", "<pending_mig>Enabled<", "<pending_mig>Disabled<", "MIG will be off after a reset"),
        ("t4.xml", "<dram_uncorrectable>0<", "<dram_uncorrectable>3<", "3 uncorrectable memory errors"),
        ("v100s.xml", "<cbu>0</cbu>\n                    <total>0<", "<cbu>2</cbu>\n<total>2<", "2 uncorrectable"),
    ],
)
def test_what_somebody_should_see_to(name: str, old: str, new: str, warning: str) -> None:
    text = recorded(name)
    assert old in text
    for document, expected in ((text, 0), (text.replace(old, new, 1), 1)):
        facts = known(parse_gpu_facts([["gpu-device", "0000:00:1e.0", "1eb8"], ["gpu-state", packed(document)]]))
        said = list(gpu_warnings(facts))
        assert len(said) == expected
        assert all(warning in line and line.startswith(f"GPU 0 ({facts.states[0].address}): ") for line in said)


def test_recorded_instances() -> None:
    first = [MigInstance(gpu=0, profile="1g.10gb", start=start, size=1) for start in range(7)]
    assert parse_instances(recorded("h100-partitioned.lgi")) == (*first, *(replace(item, gpu=1) for item in first))
    assert parse_instances(recorded("h100-unpartitioned.lgi")) == ()
    mixed = parse_instances(recorded("a100-80gb-mixed.lgi"))
    assert [(item.profile, item.start, item.size) for item in mixed if item.gpu == 1] == [
        ("1g.10gb", 2, 1),
        ("1g.10gb", 3, 1),
        ("2g.20gb", 0, 2),
        ("3g.40gb", 4, 4),
    ]
    assert [item.profile for item in parse_instances(recorded("a100-40gb-mixed.lgi"))] == [
        "1g.5gb",
        "1g.5gb",
        "2g.10gb",
        "3g.20gb",
    ]
    assert [(item.start, item.size) for item in parse_instances(recorded("a100-40gb-old.lgi"))] == [(4, 4), (0, 4)]


def test_an_instance_with_media_engines() -> None:
    text = recorded("a100-80gb-mixed.lgi").replace("MIG 1g.10gb         19", "MIG 1g.10gb+me      20", 1)
    assert parse_instances(text)[0].profile == "1g.10gb+me"


@pytest.mark.parametrize(("text", "version", "kind"), MODULES)
def test_recorded_modules(text: str, version: str, kind: str) -> None:
    module = parse_module(text)
    assert module is not None
    assert (module.version, module.kind.value) == (version, kind)


@pytest.mark.parametrize("text", [*ERRORS, "", "<nvidia_smi_log>", "<other><gpu/></other>"])
def test_an_error_is_no_gpu(text: str) -> None:
    assert parse_states(text) == ()
    assert parse_instances(text) == ()
    assert parse_module(text) is None


def test_entities_are_not_expanded() -> None:
    text = recorded("t4.xml").replace('SYSTEM "nvsmi_device_v11.dtd"', '[<!ENTITY name SYSTEM "file:///etc/hostname">]')
    assert parse_states(text.replace("Tesla T4", "&name;")) == ()


def test_a_document_that_would_fill_the_memory() -> None:
    bomb = packed(recorded("t4.xml").replace("python", "p" * MOST_BYTES))
    cut = packed(recorded("t4.xml"))[:400]
    for document in (bomb, cut, "!", ""):
        facts = known(parse_gpu_facts([["gpu-device", "0000:00:1e.0", "1eb8"], ["gpu-state", document]]))
        assert facts.states == ()


NAMES = st.sampled_from(
    ["gpu-device", "gpu-module", "gpu-origin", "gpu-package", "gpu-state", "gpu-instances", "gpu-xid", "gpu-error"]
)


@given(st.lists(st.tuples(NAMES, st.lists(st.text(max_size=20), max_size=4)), max_size=8), st.text(max_size=200))
def test_no_output_is_too_strange(lines: list[tuple[str, list[str]]], text: str) -> None:
    facts = parse_gpu_facts([[name, *fields] for name, fields in lines])
    if facts is not None:
        assert describe_gpus(facts)
        assert all(gpu_warnings(facts))
    device = ["gpu-device", "0000:00:1e.0", "1eb8"]
    assert known(parse_gpu_facts([device, ["gpu-state", packed(text)], ["gpu-instances", packed(text)]])).states == ()


def test_gpus_in_words() -> None:
    two = recorded("a100-sxm4-80gb-mig.xml")
    gpu = re.search(r"    <gpu id.*</gpu>\n", two, re.DOTALL)
    assert gpu is not None
    two = two.replace(gpu[0], gpu[0] + gpu[0].replace("00000000:01", "00000000:41"))
    lines = [
        ["gpu-device", "0000:01:00.0", "20b2"],
        ["gpu-device", "0000:41:00.0", "20b2"],
        ["gpu-module", MODULES[5][0]],
        ["gpu-origin", "operator"],
        ["gpu-state", packed(two)],
        ["gpu-instances", packed(recorded("a100-80gb-mixed.lgi"))],
    ]
    assert describe_gpus(known(parse_gpu_facts(lines))) == (
        "2x NVIDIA A100-SXM4-80GB, 81920 MiB, MIG 2x 1g.10gb, 1x 2g.20gb, 1x 3g.40gb",
        "driver 515.65.01 from operator, proprietary kernel module",
    )
    assert describe_gpus(known(parse_gpu_facts(lines[:2]))) == ("2x A100-80GB-SXM", "no driver")
    installed = [["gpu-device", "0000:01:00.0", "abcd"], ["gpu-package", "nvidia-driver-580", "580.95.05-0ubuntu1"]]
    assert describe_gpus(known(parse_gpu_facts(installed))) == ("1x 10de:abcd", "driver from packages, not loaded")


# --- the probe


def test_the_probe_on_a_host_with_a_driver(tmp_path: Path) -> None:
    machine = Machine(
        devices=("20b5", "20b5"),
        loaded=Driver(kind="open"),
        packages={"nvidia-driver-580-open": "installed", "nvidia-driver-470": "config-files"},
        secure_boot=True,
        smi=recorded("t4.xml").replace("<current_mig>N/A<", "<current_mig>Enabled<"),
        kernel_log=recorded("kernel.log"),
    )
    lines = run_facts(tmp_path, machine)
    state = next(line[1] for line in lines if line[0] == "gpu-state")
    # The stub prints the same for `mig -lgi`, which is no such table.
    assert "supported_clocks" not in gzip.decompress(base64.b64decode(state)).decode()
    facts = known(parse_gpu_facts(lines))
    assert [(item.address, item.name) for item in facts.devices] == [
        ("0000:01:00.0", "A100-80GB-PCIe"),
        ("0000:02:00.0", "A100-80GB-PCIe"),
    ]
    assert facts.module == parse_module("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release")
    assert (facts.origins, facts.packages) == (("packages",), ("nvidia-driver-580-open=580.95.05-0ubuntu1",))
    assert (facts.is_secure_boot, facts.error, facts.has_nouveau) == (True, None, False)
    assert [state.product for state in facts.states] == ["Tesla T4"]
    assert set(facts.events) == {
        KernelEvent(address="0000:44:00", number=79, count=1),
        KernelEvent(address="0000:af:00", number=13, count=1),
        KernelEvent(address="0000:01:00", number=31, count=1),
        KernelEvent(address="0000:08:00", number=13, count=2),
    }
    assert list(gpu_warnings(facts)) == [
        "2 GPUs are on the bus, and their driver knows 1",
        "GPU 0 (0000:00:1e.0): MIG will be off after a reset",
        "GPU 0000:44:00: Xid 79, the GPU has fallen off the bus",
    ]


def test_the_probe_asks_the_operators_nvidia_smi(tmp_path: Path) -> None:
    machine = Machine(loaded=Driver(), has_operator=True, has_runfile=True, smi=recorded("a100-sxm4-80gb-mig.xml"))
    facts = known(parse_gpu_facts(run_facts(tmp_path, machine)))
    assert [state.product for state in facts.states] == ["NVIDIA A100-SXM4-80GB"]
    assert "it has NVIDIA drivers from operator and runfile" in gpu_warnings(facts)


@pytest.mark.parametrize("error", ERRORS)
def test_the_probe_where_nvidia_smi_fails(tmp_path: Path, error: str) -> None:
    facts = known(parse_gpu_facts(run_facts(tmp_path, Machine(loaded=Driver(), smi=error, smi_code=9))))
    first = error.splitlines()[0]
    assert (facts.error, facts.states) == (first, ())
    assert f"nvidia-smi says: {first}" in gpu_warnings(facts)


def test_the_probe_on_a_bare_host(tmp_path: Path) -> None:
    assert run_facts(tmp_path, Machine(devices=())) == []
    lines = run_facts(tmp_path / "nouveau", Machine(nouveau_users=0, devices=("1eb8",)))
    assert lines == [["gpu-device", "0000:01:00.0", "1eb8"], ["gpu-nouveau"]]
    assert list(gpu_warnings(known(parse_gpu_facts(lines)))) == ["nouveau is loaded beside its NVIDIA GPUs"]
