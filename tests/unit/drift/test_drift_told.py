"""What a person and a program are told of what was found."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import jsonschema
from rich.console import Console

from components.gpu.config import KernelModule
from components.gpu.driver_facts import GpuDevice, GpuFacts, GpuState, MigInstance, ModuleFacts
from labctl.display.drift import print_drift
from labctl.drift.document import DriftDocument, drift_document
from labctl.drift.facts import Certificate, Disk, HostFacts
from labctl.drift.findings import HostFinding, HostState, Standing, StepFinding, StepState

SAME = StepFinding(step="system", subject="cp-1", state=StepState.CONVERGED, standing=Standing.APPLIED)
DIFFERENT = replace(SAME, state=StepState.DIFFERS, differs=("file /etc/chrony/chrony.conf", "service chrony.service"))
FACTS = HostFacts(
    kernel="6.1.0",
    booted=datetime(2026, 11, 22, tzinfo=UTC),
    distribution="Debian GNU/Linux 12 (bookworm)",
    certificates=(Certificate(path="/etc/kubernetes/pki/ca.crt", expires=None),),
    disks=(Disk(path="/var/lib/etcd", total_bytes=9, free_bytes=3, total_inodes=0, free_inodes=0),),
)

GPUS = GpuFacts(
    devices=(GpuDevice(address="0000:65:00.0", device_id="20b5"),),
    module=ModuleFacts(version="580.95.05", kind=KernelModule.OPEN),
    origins=("operator",),
    states=(
        GpuState(
            address="0000:65:00.0",
            product="NVIDIA A100 80GB PCIe",
            memory_mebibytes=81920,
            is_mig=True,
            is_mig_pending=True,
            is_persistent=True,
            uncorrected_errors=0,
            processes=3,
            instances=tuple(
                MigInstance(gpu=0, profile=profile, start=start, size=size)
                for profile, start, size in (("3g.40gb", 4, 4), ("1g.10gb", 0, 1), ("1g.10gb", 1, 1))
            ),
        ),
    ),
)


def host(name: str, *steps: StepFinding, **changes: object) -> HostFinding:
    found = HostFinding(host=name, address="ubuntu@192.0.2.11", steps=steps, seconds=0.25)
    return replace(found, **changes)  # pyright: ignore[reportArgumentType] - the test's own changes


FINDINGS = (
    host("cp-1", SAME, replace(SAME, step="runtime"), facts=FACTS),
    host("cp-2", DIFFERENT, replace(SAME, step="runtime"), warnings=("needs a reboot",)),
    host("worker-1", replace(SAME, state=StepState.UNANSWERED, reason="x"), reason="it cannot be reached"),
    host("worker-2", replace(DIFFERENT, standing=Standing.NEW)),
    host(
        "worker-3", replace(SAME, state=StepState.WAITING, standing=Standing.NEW, reason="waits for worker-3-admit-0")
    ),
    host("worker-4", replace(SAME, state=StepState.FAILED, reason="refused: the mirror is not whole")),
)


def printed(*findings: HostFinding) -> list[str]:
    stream = io.StringIO()
    print_drift(Console(file=stream, width=200), "prod", findings)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_the_tree() -> None:
    assert printed(*FINDINGS) == [
        "Drift of prod",
        "├── ✓ cp-1  ubuntu@192.0.2.11  converged",
        "├── ~ cp-2  ubuntu@192.0.2.11  2 differences",
        "│   ├── system",
        "│   │   ├── file /etc/chrony/chrony.conf",
        "│   │   └── service chrony.service",
        "│   └── warning: needs a reboot",
        "├── ? worker-1  ubuntu@192.0.2.11  no answer: it cannot be reached",
        "├── ~ worker-2  ubuntu@192.0.2.11  2 differences",
        "│   └── system  not applied yet",
        "│       ├── file /etc/chrony/chrony.conf",
        "│       └── service chrony.service",
        "├── ~ worker-3  ubuntu@192.0.2.11  steps not applied yet",
        "│   └── system  not applied yet: waits for worker-3-admit-0",
        "└── ? worker-4  ubuntu@192.0.2.11  steps that could not be checked",
        "    └── system  refused: the mirror is not whole",
        "Hosts: 1 converged, 3 different, 2 without an answer",
        "To bring cp-2 back: raise nodes.hosts.cp-2.reconverge by one and run `labctl up --stack prod`.",
        "worker-2, worker-3: not applied yet; `labctl up --stack prod` does.",
    ]


def test_a_converged_lab_is_a_line_per_host() -> None:
    assert printed(FINDINGS[0]) == [
        "Drift of prod",
        "└── ✓ cp-1  ubuntu@192.0.2.11  converged",
        "Hosts: 1 converged",
    ]


def test_the_state_of_a_host() -> None:
    states = ["converged", "differs", "unanswered", "differs", "differs", "unanswered"]
    assert [found.state for found in FINDINGS] == [HostState(state) for state in states]


def test_markup_in_what_hosts_say_is_text() -> None:
    lines = printed(host("cp-1", replace(DIFFERENT, differs=("file /etc/[red]x",)), reason="[bold]lost"))
    assert "        └── file /etc/[red]x" in lines
    assert "[bold]lost" in lines[1]


def test_the_document_is_what_its_schema_says() -> None:
    shape = json.loads(drift_document("prod", FINDINGS).model_dump_json(by_alias=True))
    jsonschema.validate(shape, DriftDocument.model_json_schema(by_alias=True, mode="serialization"))
    assert shape["version"] == 1
    assert list(shape["hosts"]) == [found.host for found in FINDINGS]
    assert shape["hosts"]["cp-2"] == {
        "address": "ubuntu@192.0.2.11",
        "state": "differs",
        "reason": None,
        "seconds": 0.25,
        "steps": [
            {
                "step": "system",
                "subject": "cp-1",
                "state": "differs",
                "standing": "applied",
                "differs": ["file /etc/chrony/chrony.conf", "service chrony.service"],
                "reason": None,
            },
            {
                "step": "runtime",
                "subject": "cp-1",
                "state": "converged",
                "standing": "applied",
                "differs": [],
                "reason": None,
            },
        ],
        "facts": None,
        "warnings": ["needs a reboot"],
    }
    assert shape["hosts"]["cp-1"]["facts"] == {
        "kernel": "6.1.0",
        "booted": "2026-11-22T00:00:00Z",
        "distribution": "Debian GNU/Linux 12 (bookworm)",
        "containerd": None,
        "kubelet": None,
        "isRebootRequired": False,
        "rebootPackages": [],
        "certificates": [{"path": "/etc/kubernetes/pki/ca.crt", "expires": None}],
        "disks": [{"path": "/var/lib/etcd", "totalBytes": 9, "freeBytes": 3, "totalInodes": 0, "freeInodes": 0}],
        "gpus": None,
    }


def test_the_gpus_of_a_host() -> None:
    found = host("gpu-1", SAME, facts=replace(FACTS, gpus=GPUS))
    assert printed(found) == [
        "Drift of prod",
        "└── ✓ gpu-1  ubuntu@192.0.2.11  converged",
        "    ├── 1x NVIDIA A100 80GB PCIe, 81920 MiB, MIG 2x 1g.10gb, 1x 3g.40gb",
        "    └── driver 580.95.05 from operator, open kernel module",
        "Hosts: 1 converged",
    ]
    shape = json.loads(drift_document("prod", [found]).model_dump_json(by_alias=True))
    jsonschema.validate(shape, DriftDocument.model_json_schema(by_alias=True, mode="serialization"))
    assert shape["hosts"]["gpu-1"]["facts"]["gpus"] == {
        "devices": {"0000:65:00.0": "20b5"},
        "driver": "580.95.05",
        "kernelModule": "open",
        "origins": ["operator"],
        "packages": [],
        "isSecureBoot": None,
        "error": None,
        "gpus": [
            {
                "address": "0000:65:00.0",
                "product": "NVIDIA A100 80GB PCIe",
                "memoryMebibytes": 81920,
                "isMig": True,
                "instances": {"1g.10gb": 2, "3g.40gb": 1},
                "processes": 3,
                "uncorrectedErrors": 0,
                "needsReset": False,
            }
        ],
    }
