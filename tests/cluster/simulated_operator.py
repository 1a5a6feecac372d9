"""A controller of the tests that behaves as NVIDIA's GPU operator does, on nodes whose GPUs are a few numbers.

What it follows, at the revisions of August 2026:

- NVIDIA/mig-parted, ``cmd/nvidia-mig-manager/main.go``: the MIG manager acts on its node's label when it starts and
  when the value changes, one value at a time; an empty one it ignores; a failure is not tried again.
- The same, ``pkg/mig/reconfigure/reconfigure.go`` (``Run``): the entry must be in the file that was mounted, or the
  state is ``failed`` at once; an entry that is applied already is ``success`` at once; else ``pending``, the device
  plugin is stopped, the GPUs are cut, which fails while a process uses one, the plugin starts again, ``success``.
- NVIDIA/k8s-device-plugin, ``cmd/config-manager/main.go``: an entry that the mounted files lack ends the config
  manager, and the plugin goes on with what it had.
- NVIDIA/gpu-operator, ``assets/``: the DaemonSets' ``app`` labels; ``controllers/nodelabeling_controller.go``: a node
  of MIG-capable GPUs without a layout is labelled ``all-disabled``.
- kubelet, device manager: a resource whose plugin went away stays, at 0.

The pods are those of real DaemonSets, started by the real controller manager; only what runs in them is played here.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cluster_api import Api, Object

from labctl.control_plane.errors import ApiRequestError

LAYOUT, SHARING = "nvidia.com/mig.config", "nvidia.com/device-plugin.config"
STATE = "nvidia.com/mig.config.state"
MIG_MANAGER, PLUGIN, DISCOVERY = "nvidia-mig-manager", "nvidia-device-plugin-daemonset", "gpu-feature-discovery"
TICK_SECONDS = 0.05
WORK_SECONDS = 0.5
"""For a re-cut; a real one takes half a minute to two minutes."""


class Fault(StrEnum):
    """What goes wrong with a cut."""

    NONE = ""
    FAILS = "fails"
    """The MIG manager says so; the GPUs are as they were."""
    HANGS = "hangs"
    """It never comes to an end: pending, nothing offered."""
    MISCOUNTS = "miscounts"
    """It says success, and one slice less is offered."""


@dataclass
class Work:
    """A cut under way, by one MIG manager."""

    pod: str
    layout: str
    until: float


@dataclass
class Gpus:
    """One node's GPUs and what the operator's pods there know."""

    count: int
    cut: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """Devices by index as the last applied entry has them; empty means uncut."""
    work: Work | None = None
    manager: str = ""
    """UID of the MIG manager that was seen last."""
    layouts: dict[str, Any] = field(default_factory=dict[str, Any])
    """Entries as mounted when it started."""
    last_read: str = ""
    plugin: str = ""
    files: dict[str, str] = field(default_factory=dict[str, str])
    sharing: str = ""
    """The device plugin's file in use."""
    is_paused: bool = False
    miscounts: bool = False


class SimulatedOperator:
    """Plays the operator for some nodes until `stop`.

    Parameters
    ----------
    api
        The cluster.
    namespace
        The operator's.
    nodes
        Number of GPUs by node.
    """

    def __init__(self, api: Api, namespace: str, nodes: dict[str, int]) -> None:
        self.api = api
        self.namespace = namespace
        self.nodes = {name: Gpus(count) for name, count in nodes.items()}
        self.faults: dict[str, Fault] = {}
        """Fault by name of a layout; a layout that is not named works."""
        self.work_seconds = WORK_SECONDS
        self.applied: list[tuple[str, str]] = []
        """Every layout that was really cut, in order: node and name."""
        self.violations: list[str] = []
        """Cuts that were asked for while pods held GPUs, or while the node took new pods."""
        self.broken: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def start(self) -> None:
        """Install the DaemonSets and begin to play."""
        for app in (MIG_MANAGER, PLUGIN, DISCOVERY):
            self._daemon_set(app)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _daemon_set(self, app: str) -> None:
        container = {"name": "main", "image": "registry.example/x@sha256:" + "0" * 64}
        template = {
            "metadata": {"labels": {"app": app}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "nodeSelector": {"test": self.namespace},
                "tolerations": [{"operator": "Exists"}],
                "containers": [container],
            },
        }
        self.api.post(
            f"/apis/apps/v1/namespaces/{self.namespace}/daemonsets",
            {"metadata": {"name": app}, "spec": {"selector": {"matchLabels": {"app": app}}, "template": template}},
        )

    def _loop(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            for name, gpus in self.nodes.items():
                try:
                    self._tick(name, gpus)
                except (ApiRequestError, OSError):
                    continue  # the node is gone for now, or somebody was faster: the next tick sees
                except Exception as error:  # noqa: BLE001 - a thread's failure has to reach the test
                    self.broken.append(repr(error))

    def _tick(self, name: str, gpus: Gpus) -> None:
        node = self.api.get(f"/api/v1/nodes/{name}")
        labels: dict[str, str] = node["metadata"]["labels"]
        pods = self.api.get(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}")["items"]
        if LAYOUT not in labels:
            self._label(name, LAYOUT, "all-disabled")
            return
        self._mig_manager(node, gpus, pods)
        self._device_plugin(node, gpus, pods)

    def _mig_manager(self, node: Object, gpus: Gpus, pods: list[Object]) -> None:
        labels, name = node["metadata"]["labels"], node["metadata"]["name"]
        uid = self._running(pods, MIG_MANAGER)
        if uid != gpus.manager:
            gpus.manager, gpus.last_read, gpus.work = uid, "", None
            mounted = self._mounted("mig-layouts") if uid else {}
            gpus.layouts = json.loads(mounted["config.yaml"])["mig-configs"] if mounted else {}
        if not uid or not gpus.layouts:
            return
        if gpus.work is not None:
            self._work(name, gpus, pods)
        elif labels[LAYOUT] != gpus.last_read:
            self._begin(node, gpus)

    def _begin(self, node: Object, gpus: Gpus) -> None:
        name, layout = node["metadata"]["name"], node["metadata"]["labels"][LAYOUT]
        gpus.last_read = layout
        if layout not in gpus.layouts:
            self._label(name, STATE, "failed")
        elif self._expanded(gpus, layout) == gpus.cut:
            gpus.is_paused = False
            self._label(name, STATE, "success")
        else:
            self._label(name, STATE, "pending")
            if not node["spec"].get("unschedulable", False):
                self.violations.append(f"{name} was cut to {layout} while it took new pods")
            gpus.is_paused = True
            gpus.work = Work(gpus.manager, layout, time.monotonic() + self.work_seconds)

    def _work(self, name: str, gpus: Gpus, pods: list[Object]) -> None:
        work = gpus.work
        assert work is not None
        fault = self.faults.get(work.layout, Fault.NONE)
        if time.monotonic() < work.until or fault is Fault.HANGS:
            return
        users = [pod["metadata"]["name"] for pod in pods if _holds_gpu(pod)]
        if users:
            self.violations.append(f"{name} was to be cut to {work.layout} while {users} held GPUs")
        gpus.work, gpus.is_paused = None, False
        if users or fault is Fault.FAILS:
            self._label(name, STATE, "failed")
            return
        gpus.cut = self._expanded(gpus, work.layout)
        gpus.miscounts = fault is Fault.MISCOUNTS
        self.applied.append((name, work.layout))
        self._label(name, STATE, "success")

    def _device_plugin(self, node: Object, gpus: Gpus, pods: list[Object]) -> None:
        labels, name = node["metadata"]["labels"], node["metadata"]["name"]
        uid = self._running(pods, PLUGIN)
        if uid != gpus.plugin:
            gpus.plugin = uid
            gpus.files = self._mounted("gpu-sharing") if uid else {}
        wanted = labels.get(SHARING, "exclusive")
        if wanted in gpus.files:
            gpus.sharing = gpus.files[wanted]
        offered = {} if gpus.is_paused or not uid or not gpus.sharing else _offered(gpus)
        now = {key: count for key, count in node["status"]["allocatable"].items() if key.startswith("nvidia.com/")}
        target = {**dict.fromkeys(now, "0"), **{key: str(count) for key, count in offered.items()}}
        if target != now:
            self.api.merge(f"/api/v1/nodes/{name}/status", {"status": {"capacity": target, "allocatable": target}})

    def _expanded(self, gpus: Gpus, layout: str) -> dict[str, dict[str, int]]:
        """Return a layout by device, in one form only."""
        devices: dict[str, dict[str, int]] = {}
        for entry in gpus.layouts[layout]:
            indices = range(gpus.count) if entry["devices"] == "all" else entry["devices"]
            for index in indices:
                if entry["mig-enabled"]:
                    devices[str(index)] = entry["mig-devices"]
        return devices

    def _mounted(self, name: str) -> dict[str, str]:
        """Return what a ConfigMap holds now: what a pod that starts now gets to see."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{name}"
        return self.api.get(path).get("data", {}) if self.api.exists(path) else {}

    def _running(self, pods: list[Object], app: str) -> str:
        for pod in pods:
            metadata = pod["metadata"]
            ours = metadata["namespace"] == self.namespace and metadata.get("labels", {}).get("app") == app
            if ours and pod["status"].get("phase") == "Running" and "deletionTimestamp" not in metadata:
                return metadata["uid"]
        return ""

    def _label(self, node: str, label: str, value: str) -> None:
        self.api.merge(
            f"/api/v1/nodes/{node}?fieldManager=simulated-operator", {"metadata": {"labels": {label: value}}}
        )


def _offered(gpus: Gpus) -> dict[str, int]:
    """Return what a device plugin with strategy ``mixed`` offers."""
    offered: Counter[str] = Counter()
    for index in range(gpus.count):
        cut = gpus.cut.get(str(index))
        if cut is None:
            offered["nvidia.com/gpu"] += 1
        else:
            offered.update({f"nvidia.com/mig-{profile.replace('+', '.')}": count for profile, count in cut.items()})
    if gpus.miscounts:
        offered[min(offered)] -= 1
    sharing: Object = json.loads(gpus.sharing).get("sharing", {})
    method: Object = sharing.get("timeSlicing") or sharing.get("mps") or {}
    shared: list[Object] = method.get("resources", [])
    for entry in shared:
        if entry["name"] in offered:
            offered[f"{entry['name']}.shared"] = offered.pop(entry["name"]) * entry["replicas"]
    return dict(offered)


def _holds_gpu(pod: Object) -> bool:
    containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
    asked = [name for one in containers for name in one.get("resources", {}).get("limits", {})]
    is_over = pod["status"].get("phase") in {"Succeeded", "Failed"}
    return not is_over and any(name.startswith("nvidia.com/") for name in asked)
