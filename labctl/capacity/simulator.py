"""The real scheduler beside nodes that nobody runs: etcd, an API server and kube-scheduler, in a folder of their own.

No controller and no kwok: nodes and bound pods are objects that nobody looks after, and a pod counts as placed when the
scheduler has bound it. All of it is gone afterwards, also when the run is interrupted; what a killed run leaves is
found and removed by the next.
"""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from labctl.control_plane import SimulatedNode
from labctl.control_plane.client import PatchType
from labctl.control_plane.nodes import CONCURRENCY, registration
from labctl.control_plane.plane import ControlPlane

from .errors import NotPlacedError
from .pods import CPU, PODS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from components.model import Value
    from labctl.control_plane import Progress
    from labctl.control_plane.client import JsonValue

    from .machines import Machine
    from .pods import Shape

__all__ = ["Placement", "Scheduler", "running_scheduler"]

POD_NETWORK, SERVICE_NETWORK = "10.244.0.0/16", "10.96.0.0/16"
"""No packet is ever sent in them."""
POLL_SECONDS: Final = 0.05
"""Between two looks at what is not decided yet; a decision takes 2 to 10 ms."""
PATIENCE_SECONDS: Final = 120.0
"""Without any decision at all; a scheduler on a busy machine makes at least one a second."""
SETTLE_SECONDS: Final = 15.0
"""Until a refusal counts that the sums of the nodes contradict. The scheduler tries again a second after it has seen a
change (``podInitialBackoffSeconds``)."""
Item = TypeVar("Item")

_WAVE_LABEL: Final = "wave"
_PODS: Final = "/api/v1/namespaces/default/pods"
_NODES: Final = "/api/v1/nodes"
_SCHEDULER_ROLE: Final = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:kube-scheduler"


class _View(BaseModel):
    """Part of an API object: what is not named here is not read."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Metadata(_View):
    name: str


class _PodSpec(_View):
    node_name: str = Field(default="", alias="nodeName")


class _Condition(_View):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class _PodStatus(_View):
    conditions: tuple[_Condition, ...] = ()


class _Pod(_View):
    metadata: _Metadata
    spec: _PodSpec = Field(default_factory=_PodSpec)
    status: _PodStatus = Field(default_factory=_PodStatus)

    @property
    def refusal(self) -> str | None:
        """Why the scheduler found no node, or None where it has not said so."""
        return next(
            (
                condition.message
                for condition in self.status.conditions
                if condition.type == "PodScheduled" and condition.status == "False"
            ),
            None,
        )


class _PodList(_View):
    items: tuple[_Pod, ...] = ()


class _SchedulerAlone(ControlPlane):
    """A control plane in which only the scheduler works."""

    controllers = ("kube-scheduler",)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What became of some pods."""

    nodes: Mapping[str, str]
    """Node by pod's name, of those that were placed."""
    refused: Mapping[str, str]
    """The scheduler's message by pod's name, of those that were not."""
    wave: str
    """By which they are forgotten again."""


@contextmanager
def running_scheduler(
    folder: Path, configuration: Mapping[str, Value] | None, progress: Progress
) -> Generator[Scheduler]:
    """Yield a scheduler that runs, without nodes; nothing of it is left afterwards.

    Parameters
    ----------
    folder
        Where runs of this kind have their folders, one per process.
    configuration
        KubeSchedulerConfiguration; None for the scheduler's defaults.
    """
    _remove_abandoned(folder, progress)
    own = folder / str(os.getpid())
    plane = _plane(own, configuration, progress)
    try:
        plane.start()
        yield Scheduler(plane, progress)
    finally:
        _remove(plane, own)


def _plane(folder: Path, configuration: Mapping[str, Value] | None, progress: Progress) -> ControlPlane:
    return _SchedulerAlone(
        folder / "control-plane",
        kubeconfig=folder / "kubeconfig",
        pod_network=POD_NETWORK,
        service_network=SERVICE_NETWORK,
        scheduler=configuration,
        progress=progress,
    )


def _remove_abandoned(folder: Path, progress: Progress) -> None:
    """Remove what runs that were killed have left: processes and data of process ids that are no more."""
    for left in sorted(folder.glob("[0-9]*")):
        try:
            os.kill(int(left.name), 0)
        except ProcessLookupError:
            progress(f"removing what process {left.name}, which is no more, has left")
            _remove(_plane(left, None, progress), left)
        except PermissionError:
            continue


def _remove(plane: ControlPlane, own: Path) -> None:
    plane.wipe()
    (own / "control-plane.lock").unlink(missing_ok=True)
    for folder in (own, own.parent):
        with suppress(OSError):
            folder.rmdir()


class Scheduler:
    """A scheduler that places pods on the nodes it is given."""

    def __init__(self, plane: ControlPlane, progress: Progress) -> None:
        self._plane, self._progress = plane, progress
        self._client = plane.client(connections=CONCURRENCY)
        self._waves = count()
        self._nodes: dict[str, Machine] = {}
        self._prepare()

    def memory_bytes(self) -> int:
        """Return the resident memory of all its processes."""
        return sum(part.memory_bytes for part in self._plane.status().components)

    def _prepare(self) -> None:
        # The service-account controller would make it; without it no pod is admitted.
        self._client.request("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        # An Event per pod that nobody reads is a third of all writes.
        role: dict[str, JsonValue] = json.loads(self._client.request("GET", _SCHEDULER_ROLE))
        rules = role.get("rules")
        if isinstance(rules, list):
            role["rules"] = [rule for rule in rules if isinstance(rule, dict) and not _is_about_events(rule)]
            self._client.request("PUT", _SCHEDULER_ROLE, role)

    def use(self, machines: Sequence[Machine]) -> None:
        """Have exactly these nodes, with what runs on them and no other pod."""
        self._client.request("DELETE", f"{_PODS}?gracePeriodSeconds=0")
        gone = [name for name in self._nodes if name not in {machine.name for machine in machines}]
        changed = [machine for machine in machines if self._nodes.get(machine.name) != machine]
        self._each([*gone, *(machine.name for machine in changed if machine.name in self._nodes)], self._remove_node)
        self._each(changed, self._create_node)
        self._each([machine for machine in machines if any(machine.used.values())], self._occupy)
        self._nodes = {machine.name: machine for machine in machines}

    def place(self, pods: Sequence[Shape], *, expected: int = 0) -> Placement:
        """Return when the scheduler has decided about pods of these shapes, which arrive all at once.

        Parameters
        ----------
        expected
            How many of them fit, as far as is known. The scheduler may not have seen yet that a node is there or that a
            pod is gone, and looks at whom it refused again when it does: until so many are placed it is given time.

        Raises
        ------
        NotPlacedError
            It makes no decision for a long time.
        """
        wave = f"w{next(self._waves)}"
        named = [(f"{wave}-{index}", shape) for index, shape in enumerate(pods)]
        self._each(
            named,
            lambda pod: self._client.request("POST", _PODS, pod[1].manifest(pod[0], {_WAVE_LABEL: wave})),
        )
        self._await_decisions(wave, most_refused=max(0, len(named) - expected))
        listed = self._list(f"labelSelector={_WAVE_LABEL}%3D{wave}")
        return Placement(
            nodes={pod.metadata.name: pod.spec.node_name for pod in listed if pod.spec.node_name},
            refused={pod.metadata.name: pod.refusal or "" for pod in listed if not pod.spec.node_name},
            wave=wave,
        )

    def forget(self, placement: Placement) -> None:
        """Have the pods of a placement no longer."""
        self._client.request("DELETE", f"{_PODS}?gracePeriodSeconds=0&labelSelector={_WAVE_LABEL}%3D{placement.wave}")

    def _list(self, query: str) -> tuple[_Pod, ...]:
        return _PodList.model_validate_json(self._client.request("GET", f"{_PODS}?{query}")).items

    def _await_decisions(self, wave: str, most_refused: int) -> None:
        query = f"labelSelector={_WAVE_LABEL}%3D{wave}&fieldSelector=spec.nodeName%3D"
        before, changed_at = (-1, -1), time.monotonic()
        while True:
            left = self._list(query)
            now = (sum(pod.refusal is None for pod in left), len(left))
            if now != before:
                before, changed_at = now, time.monotonic()
            waiting, still = now[0], time.monotonic() - changed_at
            if not waiting and (len(left) <= most_refused or still > SETTLE_SECONDS):
                return
            if still > PATIENCE_SECONDS:
                log = self._plane.directory / "logs" / "kube-scheduler.log"
                raise NotPlacedError(waiting=waiting, seconds=PATIENCE_SECONDS, log=log)
            time.sleep(POLL_SECONDS)

    def _each(self, items: Iterable[Item], work: Callable[[Item], object]) -> None:
        """Do some work on each item, several at a time; an interruption drops what has not begun."""
        pool = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="capacity")
        try:
            for future in [pool.submit(work, item) for item in items]:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _remove_node(self, name: str) -> None:
        self._client.request("DELETE", f"{_NODES}/{quote(name)}", missing_is_fine=True)

    def _create_node(self, machine: Machine) -> None:
        capacity = {key: _quantity(key, held) for key, held in machine.allocatable.items()}
        # One pod stands for all that run there, so it has one place and the node loses those of the others.
        others = max(0, machine.used.get(PODS, 0) - 1)
        capacity[PODS] = str(max(0, machine.allocatable.get(PODS, 0) - others))
        node = registration(SimulatedNode(name=machine.name, address=None, capacity=capacity))
        node["metadata"] = {"name": machine.name, "labels": dict(machine.labels)}
        self._client.request("POST", _NODES, node)
        # Admission gives every new node a not-ready taint, which the lifecycle controller would take away.
        taints: list[JsonValue] = [{"key": t.key, "value": t.value, "effect": t.effect} for t in machine.taints]
        patch: dict[str, JsonValue] = {"spec": {"taints": taints or None}}
        self._client.request("PATCH", f"{_NODES}/{quote(machine.name)}", patch, patch_type=PatchType.MERGE)

    def _occupy(self, machine: Machine) -> None:
        """Put what runs on a node there, as one pod that asks for all of it."""
        amounts: dict[str, JsonValue] = {
            key: _quantity(key, held) for key, held in machine.used.items() if key != PODS and held
        }
        limits: dict[str, JsonValue] = {key: held for key, held in amounts.items() if "/" in key}
        pod: dict[str, JsonValue] = {
            "metadata": {"name": f"running-on-{machine.name}"},
            "spec": {
                "nodeName": machine.name,
                "automountServiceAccountToken": False,
                "containers": [
                    {"name": "all", "image": "never-pulled", "resources": {"requests": amounts, "limits": limits}}
                ],
            },
        }
        self._client.request("POST", _PODS, pod)


def _is_about_events(rule: Mapping[str, JsonValue]) -> bool:
    resources = rule.get("resources")
    return isinstance(resources, list) and "events" in resources


def _quantity(resource: str, held: int) -> str:
    return f"{held}m" if resource == CPU else str(held)
