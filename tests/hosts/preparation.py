"""The steps that prepare a host, run one by one by SSH."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

from bed import Bed, Host
from bed_bundle import Bundle
from bed_packages import add_packages

from components.networks import Networks
from components.nodes.config import NodesConfig
from components.nodes.kubernetes_plan import kubernetes_steps
from components.nodes.runtime_plan import runtime_steps
from components.nodes.settings import ClusterSettings
from components.nodes.steps import PlainValue, Step, StepOutput, compose_whole
from components.nodes.system_plan import system_steps
from components.secrets import SecretRef
from labctl.bundle.mirror import Mirror
from stacks.environments import EnvironmentName
from stacks.pins import load_pins

__all__ = ["KUBELET", "STEPS", "Preparation", "Report", "feed", "prepare"]

STEPS = ("system", "runtime", "kubernetes")
SECONDS = 300
"""For one step on a busy machine: packages are unpacked in it."""
KUBELET = {"failCgroupV1": False, "failSwapOn": False, "fileCheckFrequency": "2s"}
"""What the machine under the bed needs: it has cgroup v1, and whatever swap it has is not the hosts' to turn off. The
kubelet looks for changed static pods every 20 s otherwise, which tests would mostly wait for."""


@dataclass(frozen=True)
class Report:
    """What one run of a step said."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def changed(self) -> tuple[str, ...]:
        assert self.code == 0, self.err
        return tuple(json.loads(self.out)["changed"])

    @property
    def result(self) -> Mapping[str, str]:
        assert self.code == 0, self.err
        return json.loads(self.out)["result"]


def feed(bed: Bed, host: Host, text: str, mode: str, seconds: float) -> Report:
    """Feed a root shell of a host a text."""
    started = time.monotonic()
    done = subprocess.run(
        [*bed.access.command(host.address), f"sudo -n bash -s {mode}"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    return Report(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


@dataclass(frozen=True)
class Preparation:
    """A bed, the mirror its hosts download from, and the cluster they are prepared for."""

    bed: Bed
    mirror: Mirror
    apt_key: str
    settings: ClusterSettings

    def config(self, **changes: object) -> NodesConfig:
        """Return a lab of the bed's hosts, the first a control plane, with these keys of the section replaced."""
        section: dict[str, object] = {
            "kubelet": {"settings": KUBELET},
            "mirror": {"url": self.mirror.url, "aptKey": self.apt_key},
            "hosts": {
                host.name: {
                    "address": host.address,
                    "roles": ["worker"] if index else ["control-plane"],
                    "hostKey": host.host_key,
                    "hardware": {"cpus": 2, "memory": "8Gi", "ephemeralStorage": "10G"},
                }
                for index, host in enumerate(self.bed.hosts)
            },
        }
        return NodesConfig.model_validate({**section, **changes}, by_alias=True)

    def step(self, host: Host, name: str, config: NodesConfig | None = None) -> Step:
        """Return a host's step as it is planned."""
        wanted = config or self.config()
        planned = {"system": system_steps, "runtime": runtime_steps, "kubernetes": kubernetes_steps}[name]
        return next(step for step in planned(wanted, self.settings) if step.host == host.name)

    def text(self, step: Step, **values: PlainValue) -> str:
        """Return the text a host is fed for a step."""
        plain = {name: value for name, value in step.values.items() if not isinstance(value, SecretRef | StepOutput)}
        return compose_whole(step, {**plain, "RECONVERGE": 0, "STEP_HOST": step.host, **values})

    def feed(self, host: Host, text: str, mode: str = "apply", seconds: float = SECONDS) -> Report:
        """Feed a root shell of a host a text."""
        return feed(self.bed, host, text, mode, seconds)

    def run(
        self,
        host: Host,
        name: str,
        mode: str = "apply",
        config: NodesConfig | None = None,
        **values: PlainValue,
    ) -> Report:
        """Run one step on a host, with these values laid over the planned ones."""
        return self.feed(host, self.text(self.step(host, name, config), **values), mode)

    def all(self, host: Host, mode: str = "apply", config: NodesConfig | None = None) -> dict[str, tuple[str, ...]]:
        """Run all steps on a host, which must succeed; return what each changed, or would change."""
        order = reversed(STEPS) if mode == "undo" else STEPS
        return {name: self.run(host, name, mode, config).changed for name in order}

    def of_version(self, settings: ClusterSettings) -> Preparation:
        """Return the same with other settings of the cluster."""
        return replace(self, settings=settings)


@contextmanager
def prepare(bed: Bed, bundle: Bundle, folder: Path) -> Generator[Preparation]:
    """Yield a bed's hosts with a mirror that has all they need, in a copy of the bundle in `folder`."""
    bundle.copy_to(folder)
    if (folder / "apt").exists():
        key = (folder / "apt" / "key.asc").read_text(encoding="utf-8")
    else:
        key = add_packages(folder, print)
    settings = ClusterSettings(
        name="bed",
        hosts=Networks(ip_network(f"{bed.address}/24", strict=False)),
        pods=Networks.of("10.244.0.0/16"),
        services=Networks.of("10.96.0.0/16"),
        domain="cluster.local",
        pins=bundle.put_into(load_pins(EnvironmentName.NEXT)),
    )
    with Mirror(folder, listen=(bed.address, 0)) as mirror:
        yield Preparation(bed, mirror, key, settings)
