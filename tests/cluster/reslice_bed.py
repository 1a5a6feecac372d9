"""What the tests of the re-slice command share: GPU nodes, the operator that is played on them, and the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import lab_copy
from cluster_api import Api, Object, eventually
from lab_copy import Ended

from components.gpu.config import GpuConfig
from components.gpu.models import GpuModelName
from components.gpu.plan import plan
from components.gpu.reslice.document import ReslicePlan, plans, render
from components.gpu.reslice.record import ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulated_operator import SimulatedOperator

PROJECT = Path(__file__).resolve().parents[2]
SMALL, LARGE = {"1g.10gb": 7}, {"3g.40gb": 2}
SMALL_SLICE, LARGE_SLICE = "nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb"
DONE, UNAVAILABLE, ROLLED_BACK, STUCK, BUSY = 0, 69, 70, 71, 75
QUICK = {"deadline": "60s", "settle": "30s", "notice": "1s"}
"""Long enough for a machine that is busy with other tests; a test about patience has less."""


@dataclass(frozen=True)
class Gpus:
    model: str = GpuModelName.A100_80_PCIE
    count: int = 1


@dataclass(frozen=True)
class Bed:
    """Some GPU nodes with an operator, and the command."""

    api: Api
    kubeconfig: str
    namespace: str
    nodes: tuple[str, ...]
    operator: SimulatedOperator

    def plans(
        self, groups: Mapping[str, tuple[Sequence[str], Mapping[str, object]]], **change: object
    ) -> Mapping[str, ReslicePlan]:
        """Return the documents of groups, each given as hosts and slicing, as the component would write them."""
        section = {
            "groups": {name: {"hosts": list(hosts), "slicing": slicing} for name, (hosts, slicing) in groups.items()},
            "change": {**QUICK, **change},
        }
        config = GpuConfig.model_validate(section)
        hosts = dict.fromkeys(self.nodes, Gpus())
        documents = plans(plan(config, hosts), config.change, stack="test", namespace=self.namespace)
        return {name: document.model_copy(update={"confirm_seconds": 0.3}) for name, document in documents.items()}

    def plan(self, layout: Mapping[str, int] | None, **change: object) -> ReslicePlan:
        """Return the document of one group of all nodes; no layout means whole GPUs."""
        slicing = {"kind": "whole"} if layout is None else {"kind": "mig", "layout": layout}
        return self.plans({"a100": (self.nodes, slicing)}, **change)["a100"]

    def start(self, document: ReslicePlan, *arguments: str) -> subprocess.Popen[str]:
        variables = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "RESLICE_KUBECONFIG": self.kubeconfig}
        process = subprocess.Popen(
            [sys.executable, "-m", "components.gpu.reslice", *arguments],
            cwd=PROJECT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(render(document))
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, document: ReslicePlan, *arguments: str) -> Ended:
        """Run the command to its end."""
        return ended(self.start(document, *arguments))

    def well(self, document: ReslicePlan) -> Ended:
        """Run the command, which must succeed."""
        run = self.run(document)
        assert run.code == DONE, (run, self.operator.broken)
        return run

    def node(self, name: str | None = None) -> Object:
        return self.api.get(f"/api/v1/nodes/{name or self.nodes[0]}")

    def record(self, name: str | None = None) -> Object | None:
        text = self.node(name)["metadata"].get("annotations", {}).get(ANNOTATION)
        return json.loads(text) if text else None

    def phase(self, name: str | None = None) -> str:
        record = self.record(name)
        return record["phase"] if record is not None else ""

    def takes_pods(self, name: str | None = None) -> bool:
        return not self.node(name)["spec"].get("unschedulable", False)

    def offers(self, name: str | None = None) -> dict[str, str]:
        allocatable = self.node(name)["status"]["allocatable"]
        return {key: count for key, count in allocatable.items() if key.startswith("nvidia.com/") and count != "0"}

    def layout(self, name: str | None = None) -> str:
        return self.node(name)["metadata"]["labels"]["nvidia.com/mig.config"]

    def pod(self, name: str, resource: str, **metadata: object) -> None:
        """Make a pod that asks for a slice; the real scheduler finds it a node of this bed's."""
        limits = {resource: "1"}
        container = {"name": "main", "image": "registry.example/x@sha256:" + "0" * 64, "resources": {"limits": limits}}
        spec = {
            "containers": [container],
            "nodeSelector": {"test": self.namespace},
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        }
        body = {"metadata": {"name": name, "labels": {"app": name}, **metadata}, "spec": spec}
        self.api.post(f"/api/v1/namespaces/{self.users}/pods", body)

    @property
    def users(self) -> str:
        """Namespace of people's pods."""
        return f"{self.namespace}-users"

    def running(self, name: str) -> Object:
        """Return a pod once it runs."""
        path = f"/api/v1/namespaces/{self.users}/pods/{name}"
        eventually(lambda: self.api.get(path)["status"].get("phase") == "Running", 30)
        return self.api.get(path)

    def exists(self, name: str) -> bool:
        return self.api.exists(f"/api/v1/namespaces/{self.users}/pods/{name}")

    def end(self, name: str) -> None:
        self.api.delete(f"/api/v1/namespaces/{self.users}/pods/{name}?gracePeriodSeconds=0")

    def map(self, name: str) -> Mapping[str, str]:
        return self.api.get(f"/api/v1/namespaces/{self.namespace}/configmaps/{name}")["data"]

    def layouts(self) -> set[str]:
        return set(json.loads(self.map("mig-layouts")["config.yaml"])["mig-configs"])

    def assert_at_rest(self, **offered: object) -> None:
        """Fail unless every node takes pods, has no record, and nothing forbidden ever happened to it."""
        assert self.operator.broken == []
        assert self.operator.violations == []
        for name in self.nodes:
            assert self.phase(name) == ""
            assert self.takes_pods(name), name
            for resource, count in offered.items():
                assert self.offers(name) == {resource: str(count)}


def ended(process: subprocess.Popen[str], seconds: float = 60) -> Ended:
    """Wait for the command; one that takes too long is killed, which is a failure."""
    return lab_copy.ended(process, seconds)


def became(run: Ended) -> Mapping[str, str]:
    """Return what became of each node, as the command's last line has it."""
    return json.loads(run.out.splitlines()[-1])["nodes"]


def interrupted(process: subprocess.Popen[str], by: signal.Signals) -> Ended:
    """Send the command a signal in the middle, and return how it ended."""
    assert process.poll() is None, ended(process)
    process.send_signal(by)
    return ended(process)


def now() -> datetime:
    return datetime.now(UTC)
