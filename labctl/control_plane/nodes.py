"""Simulated nodes: what kwok plays and the real scheduler places pods on."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from .client import ApiClient, JsonValue, PatchType
from .errors import ForeignNodeError
from .pins import tool_pin
from .quantities import same_amount

__all__ = ["CONCURRENCY", "NodeChanges", "NodeTaint", "SimulatedNode", "list_nodes", "reconcile", "unready"]

FIELD_MANAGER = "labctl-simulated-nodes"
"""Owns the labels given here, and no other field."""

REGISTRATION_MANAGER = "labctl-node-registration"
"""Creates nodes that have taints, as a kubelet does. That list has one owner: set once, from then on anybody's."""

OWNER_ANNOTATION = "research-compute/simulated-node"
"""Marks the nodes that may be changed and removed here."""

CONCURRENCY = 8
"""Requests at a time: two cores of API server are busy with these (1,000 nodes: see `tests/cluster`)."""

_NODES = "/api/v1/nodes"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


@dataclass(frozen=True, kw_only=True)
class NodeTaint:
    """One taint a node is registered with."""

    key: str
    value: str
    effect: str
    """NoSchedule, PreferNoSchedule or NoExecute."""


@dataclass(frozen=True, kw_only=True)
class SimulatedNode:
    """One node as its kubelet would register it."""

    name: str
    address: str | None
    """Shown as InternalIP; None: kwok shows 127.0.0.1."""
    second_address: str | None = None
    """Shown as another InternalIP: that of the other family, in dual stack."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Beside the hostname, os and arch labels, which every node gets."""
    taints: tuple[NodeTaint, ...] = ()
    """At creation; later changes of taints belong to whoever makes them."""
    capacity: Mapping[str, str]
    """Resource name to quantity: cpu, memory, pods, nvidia.com/mig-1g.10gb, ... All of it is allocatable."""


@dataclass(frozen=True, kw_only=True)
class NodeChanges:
    """What `reconcile` did, by node name, sorted."""

    created: tuple[str, ...]
    updated: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]


class _View(BaseModel):
    """Part of an API object: what is not named here is not read."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _OwnedMetadata(_View):
    labels: Mapping[str, Mapping[str, str]] = Field(default_factory=dict, alias="f:labels")


class _OwnedFields(_View):
    metadata: _OwnedMetadata = Field(default_factory=_OwnedMetadata, alias="f:metadata")


class _ManagedFields(_View):
    manager: str = ""
    fields: _OwnedFields = Field(default_factory=_OwnedFields, alias="fieldsV1")


class _Metadata(_View):
    name: str
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    managed: tuple[_ManagedFields, ...] = Field(default=(), alias="managedFields")


class _Taint(_View):
    key: str


class _Spec(_View):
    taints: tuple[_Taint, ...] = ()


class _Address(_View):
    type: str
    address: str


class _Condition(_View):
    type: str
    status: str


class _NodeStatus(_View):
    capacity: Mapping[str, str] = Field(default_factory=dict)
    allocatable: Mapping[str, str] = Field(default_factory=dict)
    addresses: tuple[_Address, ...] = ()
    conditions: tuple[_Condition, ...] = ()


class LiveNode(_View):
    """A node as the API server has it, as far as it matters here."""

    metadata: _Metadata
    spec: _Spec = Field(default_factory=_Spec)
    status: _NodeStatus = Field(default_factory=_NodeStatus)

    @property
    def is_ours(self) -> bool:
        """Whether it was created here."""
        return OWNER_ANNOTATION in self.metadata.annotations

    @property
    def is_ready(self) -> bool:
        """Whether it is Ready and the lifecycle controller has taken its not-ready taint away."""
        ready = any(condition.type == "Ready" and condition.status == "True" for condition in self.status.conditions)
        return ready and not any(taint.key == "node.kubernetes.io/not-ready" for taint in self.spec.taints)

    @property
    def applied_labels(self) -> frozenset[str]:
        """Names of the labels that FIELD_MANAGER owns."""
        owned = (entry.fields.metadata.labels for entry in self.metadata.managed if entry.manager == FIELD_MANAGER)
        return frozenset(name.removeprefix("f:") for labels in owned for name in labels if name != ".")


class _Lease(_View):
    metadata: _Metadata


class _LeaseList(_View):
    items: tuple[_Lease, ...] = ()


class _NodeList(_View):
    items: tuple[LiveNode, ...] = ()


def list_nodes(client: ApiClient) -> dict[str, LiveNode]:
    """Return every node by name."""
    found = _NodeList.model_validate_json(client.request("GET", _NODES))
    return {node.metadata.name: node for node in found.items}


def unready(client: ApiClient, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the nodes `names` that are not there, not Ready, or not kept so by kwok's lease yet."""
    live = list_nodes(client)
    leases = _LeaseList.model_validate_json(client.request("GET", _LEASES))
    kept = {lease.metadata.name for lease in leases.items}
    return tuple(name for name in names if name not in live or not live[name].is_ready or name not in kept)


def reconcile(client: ApiClient, nodes: Sequence[SimulatedNode]) -> NodeChanges:
    """Make the simulated nodes exactly these, in parallel; nodes not created here are left alone.

    Raises
    ------
    ForeignNodeError
        A node of one of the names exists and was not created here; nothing was changed.
    ApiRequestError
        The API server refused a node.
    """
    live = list_nodes(client)
    foreign = sorted(node.name for node in nodes if node.name in live and not live[node.name].is_ours)
    if foreign:
        raise ForeignNodeError(names=foreign)
    wanted = {node.name for node in nodes}
    gone = sorted(name for name, node in live.items() if node.is_ours and name not in wanted)
    new = [node for node in nodes if node.name not in live]
    old = [node for node in nodes if node.name in live]
    with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="nodes") as pool:
        removals = [pool.submit(_remove, client, name) for name in gone]
        creations = [pool.submit(_create, client, node) for node in new]
        updates = {node.name: pool.submit(_update, client, node, live[node.name]) for node in old}
    for future in (*removals, *creations):
        future.result()
    changed = {name for name, future in updates.items() if future.result()}
    return NodeChanges(
        created=tuple(sorted(node.name for node in new)),
        updated=tuple(sorted(changed)),
        removed=tuple(gone),
        unchanged=tuple(sorted(updates.keys() - changed)),
    )


def _labels(node: SimulatedNode) -> dict[str, str]:
    """Return the node's labels and those every kubelet adds.

    The `beta` ones too: the lifecycle controller would add them with a request of its own per node.
    """
    system = {"os": "linux", "arch": "amd64"}
    always = {f"{prefix}kubernetes.io/{name}": value for prefix in ("", "beta.") for name, value in system.items()}
    return {"kubernetes.io/hostname": node.name, **always, **node.labels}


def _addresses(node: SimulatedNode) -> list[tuple[str, str]]:
    internal = [("InternalIP", address) for address in (node.address, node.second_address) if address]
    return [*internal, ("Hostname", node.name)]


def registration(node: SimulatedNode) -> dict[str, JsonValue]:
    """Return the node as a kubelet posts it: with taints, capacity and addresses, so that no pod sees it without."""
    resources: dict[str, JsonValue] = dict(node.capacity)
    taints: list[JsonValue] = [{"key": t.key, "value": t.value, "effect": t.effect} for t in node.taints]
    spec: dict[str, JsonValue] = {"spec": {"taints": taints}} if taints else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "annotations": {OWNER_ANNOTATION: "true"}},
        **spec,
        "status": {
            "capacity": resources,
            "allocatable": resources,
            # As a kubelet that is up: kwok would say the same with one more request per node. When kwok's lease does
            # not follow, the lifecycle controller calls the node NotReady.
            "phase": "Running",
            "conditions": _conditions(),
            "addresses": [{"type": kind, "address": address} for kind, address in _addresses(node)],
            # kwok would put its own version here; tools compare the kubelet's with the API server's.
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "",
                "containerRuntimeVersion": f"kwok://{tool_pin('kwok').version}",
                "kernelVersion": "simulated",
                "kubeProxyVersion": "",
                "kubeletVersion": f"v{tool_pin('kube-apiserver').version}",
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": "simulated",
                "systemUUID": "",
            },
        },
    }


def _conditions() -> list[JsonValue]:
    """Return the five conditions of a healthy kubelet, as kwok words them."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    healthy = {
        "Ready": ("True", "KubeletReady", "kubelet is posting ready status"),
        "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        "NetworkUnavailable": ("False", "RouteCreated", "RouteController created a route"),
    }
    return [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        for kind, (status, reason, message) in healthy.items()
    ]


def _create(client: ApiClient, node: SimulatedNode) -> None:
    if node.taints or node.second_address:
        # Applied together with the labels, the taints would be ours, and gone with the next apply without them. And of
        # addresses, which are a map by type to the API server, a list with two of a type can be posted, not applied.
        client.request("POST", f"{_NODES}?fieldManager={REGISTRATION_MANAGER}", registration(node))
        _apply_labels(client, node)
        return
    body = registration(node)
    body["metadata"] = {"name": node.name, "annotations": {OWNER_ANNOTATION: "true"}, "labels": dict(_labels(node))}
    path = f"{_NODES}/{quote(node.name)}?fieldManager={FIELD_MANAGER}&force=true"
    client.request("PATCH", path, body, patch_type=PatchType.APPLY)


def _update(client: ApiClient, node: SimulatedNode, live: LiveNode) -> bool:
    """Bring an existing node to what is wanted; return whether anything had to change."""
    labels = _labels(node)
    stale = live.applied_labels != labels.keys() or any(
        live.metadata.labels.get(key) != value for key, value in labels.items()
    )
    if stale:
        _apply_labels(client, node)
    status = status_patch(node, live)
    if status:
        path = f"{_NODES}/{quote(node.name)}/status?fieldManager={FIELD_MANAGER}"
        client.request("PATCH", path, {"status": status}, patch_type=PatchType.MERGE)
    return stale or bool(status)


def _apply_labels(client: ApiClient, node: SimulatedNode) -> None:
    labels: dict[str, JsonValue] = dict(_labels(node))
    body: dict[str, JsonValue] = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels, "annotations": {OWNER_ANNOTATION: "true"}},
    }
    # Forced: a label that both the stack's host and somebody else sets is the host's.
    path = f"{_NODES}/{quote(node.name)}?fieldManager={FIELD_MANAGER}&force=true"
    client.request("PATCH", path, body, patch_type=PatchType.APPLY)


def status_patch(node: SimulatedNode, live: LiveNode) -> dict[str, JsonValue]:
    """Return what to merge into the node's status; empty if capacity and addresses are right. Pure.

    A resource that is no longer wanted (a GPU sliced differently) is named with null, which a merge patch removes.
    """
    patch: dict[str, JsonValue] = {}
    for part, now in (("capacity", live.status.capacity), ("allocatable", live.status.allocatable)):
        wanted: dict[str, JsonValue] = {
            name: amount for name, amount in node.capacity.items() if not same_amount(now.get(name), amount)
        }
        obsolete: dict[str, JsonValue] = {name: None for name in now if name not in node.capacity}
        if wanted or obsolete:
            patch[part] = {**wanted, **obsolete}
    shown = {(address.type, address.address) for address in live.status.addresses}
    addresses = _addresses(node)
    if not shown.issuperset(addresses):
        patch["addresses"] = [{"type": kind, "address": address} for kind, address in addresses]
    return patch


def _remove(client: ApiClient, name: str) -> None:
    client.request("DELETE", f"{_NODES}/{quote(name)}", missing_is_fine=True)
    client.request("DELETE", f"{_LEASES}/{quote(name)}", missing_is_fine=True)
