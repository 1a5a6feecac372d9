"""What runs in a cluster now: its nodes as they are, and what the pods on them have asked for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

from components.nodes.plan import KubeconfigSource, kubeconfig_source
from labctl.cluster_access import kubeconfig_of
from labctl.control_plane import NodeTaint
from labctl.embedded import control_plane_of
from labctl.engine.providers.base import ProviderError
from labctl.engine.providers.kubernetes.client import ApiError, Client, Method, Request
from labctl.engine.providers.kubernetes.kubeconfig import Kubeconfig, Overrides
from labctl.engine.state import UpdateKind

from .errors import UnreachableClusterError
from .machines import Machine, units
from .pods import PODS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labctl.lab import Lab

__all__ = ["pod_requests", "read_cluster", "running_machines"]

PAGE = 500
"""Objects per answer: the API server's own recommendation for large lists (``limit``)."""
ENDED = frozenset({"Succeeded", "Failed"})
"""Phases in which a pod holds nothing any more."""


def read_cluster(lab: Lab) -> tuple[tuple[Machine, ...], tuple[str, ...]]:
    """Return the nodes of the stack's cluster with what runs on them, and the names of those that take no pods now.

    Raises
    ------
    UnreachableClusterError
        There is no way to it, or it does not answer.
    """
    try:
        access = Kubeconfig.load(_kubeconfig(lab), lab.root).access(Overrides())
        client = Client(access)
        nodes, pods = list(_listed(client, "/api/v1/nodes")), list(_listed(client, "/api/v1/pods"))
    except ApiError as error:
        raise UnreachableClusterError(lab.stack, error.message) from error
    except (ProviderError, OSError) as error:
        raise UnreachableClusterError(lab.stack, str(error)) from error
    return running_machines(nodes, pods)


def _kubeconfig(lab: Lab) -> str:
    """Return the kubeconfig's path or text, as the program itself would have it."""
    adopt = lab.cluster.nodes.adopt
    if lab.simulated:
        return str(control_plane_of(lab, lambda _message: None).kubeconfig)
    if kubeconfig_source(lab.cluster.nodes) is KubeconfigSource.FILE and adopt is not None and adopt.kubeconfig:
        return adopt.kubeconfig
    return kubeconfig_of(lab.open(UpdateKind.PREVIEW).snapshot) or ""


def _listed(client: Client, path: str) -> Iterator[Mapping[str, object]]:
    query = {"limit": str(PAGE)}
    while True:
        _, page = client.send(Request(method=Method.GET, path=path, query=query))
        yield from cast("Sequence[Mapping[str, object]]", page.get("items") or ())
        following = _text(_fields(page, "metadata"), "continue")
        if not following:
            return
        query = {"limit": str(PAGE), "continue": following}


def running_machines(
    nodes: Sequence[Mapping[str, object]], pods: Sequence[Mapping[str, object]]
) -> tuple[tuple[Machine, ...], tuple[str, ...]]:
    """Return nodes with their load, and the names of those that are cordoned or not ready. Pure.

    Parameters
    ----------
    nodes, pods
        Objects as the API server lists them.
    """
    used: dict[str, Counter[str]] = {}
    for pod in pods:
        spec, status = _fields(pod, "spec"), _fields(pod, "status")
        node = _text(spec, "nodeName")
        if node and _text(status, "phase") not in ENDED:
            load = used.setdefault(node, Counter())
            load.update(pod_requests(spec))
            load[PODS] += 1
    machines: list[Machine] = []
    away: list[str] = []
    for node in sorted(nodes, key=lambda node: _text(_fields(node, "metadata"), "name")):
        machine = _machine(node, used)
        if _is_open(node):
            machines.append(machine)
        else:
            away.append(machine.name)
    return tuple(machines), tuple(away)


def _machine(node: Mapping[str, object], used: Mapping[str, Counter[str]]) -> Machine:
    metadata, spec = _fields(node, "metadata"), _fields(node, "spec")
    name = _text(metadata, "name")
    allocatable = cast("Mapping[str, str]", _fields(node, "status").get("allocatable") or {})
    taints = cast("Sequence[Mapping[str, object]]", spec.get("taints") or ())
    return Machine(
        name=name,
        labels={key: str(value) for key, value in _fields(metadata, "labels").items()},
        taints=tuple(
            NodeTaint(key=_text(taint, "key"), value=_text(taint, "value"), effect=_text(taint, "effect"))
            for taint in taints
        ),
        allocatable={resource: units(resource, quantity) for resource, quantity in allocatable.items()},
        used=dict(used.get(name, {})),
    )


def _is_open(node: Mapping[str, object]) -> bool:
    conditions = cast("Sequence[Mapping[str, object]]", _fields(node, "status").get("conditions") or ())
    is_ready = any(_text(one, "type") == "Ready" and _text(one, "status") == "True" for one in conditions)
    return is_ready and _fields(node, "spec").get("unschedulable") is not True


def pod_requests(spec: Mapping[str, object]) -> dict[str, int]:
    """Return what the scheduler counts for a pod, by resource.

    The containers together with the sidecars (init containers that keep running), or the largest init container with
    the sidecars that were started before it, whichever is more; and the overhead of its runtime class
    (``k8s.io/component-helpers``, ``resource.PodRequests``).
    """
    containers: Counter[str] = Counter()
    for container in cast("Sequence[Mapping[str, object]]", spec.get("containers") or ()):
        containers.update(_requests(container))
    sidecars: Counter[str] = Counter()
    highest: Counter[str] = Counter()
    for container in cast("Sequence[Mapping[str, object]]", spec.get("initContainers") or ()):
        if container.get("restartPolicy") == "Always":
            sidecars.update(_requests(container))
            highest |= sidecars
        else:
            highest |= sidecars + Counter(_requests(container))
    whole = (containers + sidecars) | highest
    declared = cast("Mapping[str, str]", _fields(_fields(spec, "resources"), "requests"))
    for resource, quantity in declared.items():
        # Requests of the pod as a whole (``PodLevelResources``) replace those of its containers.
        whole[resource] = units(resource, quantity)
    for resource, quantity in cast("Mapping[str, str]", _fields(spec, "overhead")).items():
        whole[resource] += units(resource, quantity)
    return {resource: taken for resource, taken in whole.items() if taken}


def _requests(container: Mapping[str, object]) -> dict[str, int]:
    requests = cast("Mapping[str, str]", _fields(_fields(container, "resources"), "requests"))
    return {resource: units(resource, quantity) for resource, quantity in requests.items()}


def _fields(value: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = value.get(key)
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else {}


def _text(value: Mapping[str, object], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
