"""Steps run on the bed's hosts in the order, at the same time and with the values the program's engine gives them.

It knows what a step's life is (converged, once, leaving) and keeps the texts and reports of what was run, as a state
does; it is no engine: no preview, no secrets, no destruction but of a host that leaves.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from bed import Bed, Host

from components.nodes.config import NodesConfig
from components.nodes.control_plane_plan import (
    cluster_steps,
    control_plane_steps,
    kubeconfig_steps,
    load_balancer_steps,
)
from components.nodes.kubernetes_plan import kubernetes_steps
from components.nodes.membership_plan import join_steps, member_steps, request_steps
from components.nodes.runtime_plan import runtime_steps
from components.nodes.settings import ClusterSettings
from components.nodes.steps import Lifecycle, PlainValue, Step, StepOutput, compose_whole
from components.nodes.system_plan import system_steps
from components.secrets import SecretRef

Key = tuple[str, str | None]
SECONDS = 560
"""For one step: a control plane is brought up in it on a busy machine."""


@dataclass(frozen=True)
class Report:
    """What a step printed."""

    code: int
    changed: tuple[str, ...]
    result: Mapping[str, str]
    said: str


class StepFailedError(AssertionError):
    """A step ended with an error."""

    def __init__(self, step: Step, report: Report) -> None:
        super().__init__(f"{step.resource} on {step.host} ended with {report.code}:\n{report.said[-4000:]}")
        self.step = step
        self.report = report


@dataclass
class Lab:
    """Hosts of the bed as a stack's, and what was run on them."""

    bed: Bed
    settings: ClusterSettings
    mirror: Mapping[str, str] = field(default_factory=dict[str, str])
    """``nodes.mirror``."""
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    texts: dict[str, tuple[Step, str]] = field(default_factory=dict[str, tuple[Step, str]])
    reports: dict[Key, Report] = field(default_factory=dict[Key, Report])
    said: Callable[[str], None] = print

    def machine(self, name: str) -> Host:
        """Return the real host behind a name."""
        return next(host for host in self.bed.hosts if host.name == name)

    def up(self, config: NodesConfig, *, meanwhile: Callable[[], None] | None = None) -> dict[str, tuple[str, ...]]:
        """Run what is new or has changed, then let leave what is gone; return what each step that ran changed."""
        steps = all_steps(config, self.settings)
        with ThreadPoolExecutor(1) as pool:
            other = None if meanwhile is None else pool.submit(meanwhile)
            done = self._run_all(config, steps)
            if other is not None:
                other.result()
        kept = {step.resource for step in steps}
        gone = [name for name in self.texts if name not in kept]
        for name in sorted(gone, key=lambda name: _LEAVING_ORDER.index(self.texts[name][0].name)):
            step, text = self.texts[name]
            lost = step.host not in config.hosts or config.hosts[step.host].lost
            reachable = step.host in {host.name for host in self.bed.hosts if host.running}
            if step.lifecycle not in {Lifecycle.ONCE, Lifecycle.NEVER} and (reachable or not lost):
                done[f"-{name}"] = self._run(step, text, "undo").changed
            del self.texts[name]
        return done

    def forget(self, host: str) -> None:
        """Forget all that was run on a host or about it, as a state does once it is gone."""
        self.texts = {name: kept for name, kept in self.texts.items() if kept[0].subject != host}
        self.reports = {key: report for key, report in self.reports.items() if key[1] != host}

    def run(self, step: Step, config: NodesConfig, mode: str = "apply") -> Report:
        """Run one step as it would be composed now, whatever was run before."""
        return self._run(step, self._text(step, config), mode)

    def check(self, config: NodesConfig) -> dict[str, tuple[str, ...]]:
        """Return what differs from the plan, by resource; steps without differences are left out."""
        found = {
            step.resource: self.run(step, config, "check").changed
            for step in all_steps(config, self.settings)
            if step.lifecycle is Lifecycle.CONVERGED
        }
        return {name: changes for name, changes in found.items() if changes}

    def _run_all(self, config: NodesConfig, steps: Iterable[Step]) -> dict[str, tuple[str, ...]]:
        by_key = {step.key: step for step in steps}
        order = TopologicalSorter(
            {key: [need for need in _needs(step) if need in by_key] for key, step in by_key.items()}
        )
        order.prepare()
        done: dict[str, tuple[str, ...]] = {}
        running: dict[Future[Report | None], Key] = {}
        with ThreadPoolExecutor(16) as pool:
            while order.is_active():
                for key in order.get_ready():
                    running[pool.submit(self._converge, by_key[key], config)] = key
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    key = running.pop(future)
                    report = future.result()
                    if report is not None:
                        done[by_key[key].resource] = report.changed
                    order.done(key)
        return done

    def _converge(self, step: Step, config: NodesConfig) -> Report | None:
        before = self.texts.get(step.resource)
        if before is not None and step.lifecycle is Lifecycle.ONCE:
            return None
        text = self._text(step, config)
        if before is not None and before[1] == text:
            self.texts[step.resource] = (step, text)
            return None
        report = None
        if step.lifecycle not in {Lifecycle.LEAVING, Lifecycle.NEVER}:
            report = self._run(step, text, "apply")
            self.reports[step.key] = report
        self.texts[step.resource] = (step, text)
        return report

    def _text(self, step: Step, config: NodesConfig) -> str:
        values: dict[str, PlainValue] = {}
        for name, value in step.values.items():
            if isinstance(value, SecretRef):
                values[name] = self.secrets[value.secret]
            elif isinstance(value, StepOutput):
                report = self.reports.get((value.step, value.host))
                values[name] = "" if report is None else report.result.get(value.key, "")
            else:
                values[name] = value
        values["RECONVERGE"] = config.hosts[step.subject or step.host].reconverge
        values["STEP_HOST"] = step.host
        return compose_whole(step, values)

    def _run(self, step: Step, text: str, mode: str) -> Report:
        machine = self.machine(step.host)
        command = [*self.bed.access.command(machine.address), f"sudo -n bash -s {shlex.quote(mode)}"]
        ended = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=SECONDS)
        said = ended.stdout + ended.stderr
        report = Report(ended.returncode, (), {}, said)
        if ended.returncode == 0:
            line = json.loads(ended.stdout)
            report = Report(0, tuple(line["changed"]), line["result"], said)
        self.said(f"{mode} {step.resource}: {ended.returncode} {', '.join(report.changed)[:200]}")
        if ended.returncode != 0:
            raise StepFailedError(step, report)
        return report


def all_steps(config: NodesConfig, settings: ClusterSettings) -> tuple[Step, ...]:
    """Return every step of bringing hosts up, without those of day two."""
    return (
        *system_steps(config, settings),
        *runtime_steps(config, settings),
        *kubernetes_steps(config, settings),
        *load_balancer_steps(config),
        *control_plane_steps(config, settings),
        *request_steps(config),
        *cluster_steps(config, settings),
        *join_steps(config),
        *member_steps(config),
        *kubeconfig_steps(config, settings),
    )


_LEAVING_ORDER = (
    "member",
    "kubeconfig",
    "join",
    "admit",
    "cluster",
    "request",
    "control-plane",
    "load-balancer",
    "kubernetes",
    "runtime",
    "system",
)


def _needs(step: Step) -> list[Key]:
    return [*step.after, *((value.step, value.host) for value in step.values.values() if isinstance(value, StepOutput))]
