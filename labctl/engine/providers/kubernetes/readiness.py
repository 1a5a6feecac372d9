"""When is an object ready? Pure functions over the live object and, for some kinds, over what belongs to it.

The criteria are those of the official provider (pulumi-kubernetes ``provider/pkg/await``), which for workloads are
those of ``kubectl rollout status``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from labctl.graph.values import as_mapping, as_text

from .vocabulary import group_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.values import Inputs, Value

__all__ = ["DEFAULT_TIMEOUT_SECONDS", "READY", "Lookup", "Verdict", "Wait", "wait_for"]

DEFAULT_TIMEOUT_SECONDS: Final = 600.0
"""The official provider's for workloads, Services, Ingresses and deletions (``await.go``: ``10 * time.Minute``)."""
VOLUME_TIMEOUT_SECONDS: Final = 300.0
"""The official provider's for volumes and claims (``awaiters.go``: ``5*time.Minute``)."""
QUOTA_TIMEOUT_SECONDS: Final = 60.0
"""The official provider's for a ResourceQuota (``awaiters.go``)."""
TOKEN_TIMEOUT_SECONDS: Final = 5.0
"""The official provider's for a service account's token (``awaiters.go``)."""
ESTABLISHED_TIMEOUT_SECONDS: Final = 60.0
"""For a CustomResourceDefinition: takes well under a second; the official provider does not wait but retries."""


class Lookup(Protocol):
    """Reads other objects that readiness depends on."""

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Inputs | None:
        """Return one object, or None."""
        ...

    def list(self, api_version: str, kind: str, namespace: str, label_selector: str) -> list[Inputs]:
        """Return the objects with certain labels."""
        ...


@dataclass(frozen=True)
class Verdict:
    """How far an object is."""

    ready: bool
    missing: str = ""
    """What it still waits for."""
    failed: bool = False
    """True: it will not get ready by waiting."""


READY: Final = Verdict(ready=True)
Check = Callable[["Mapping[str, Value]", Lookup], Verdict]


@dataclass(frozen=True)
class Wait:
    """What to wait for, and for how long."""

    check: Check
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS


def _waiting(what: str) -> Verdict:
    return Verdict(ready=False, missing=what)


def _failed(what: str) -> Verdict:
    return Verdict(ready=False, missing=what, failed=True)


def _number(value: Value, default: int = 0) -> int:
    return value if isinstance(value, int) else default


def _condition(live: Mapping[str, Value], kind: str) -> Inputs:
    conditions = as_mapping(live.get("status")).get("conditions")
    found = (as_mapping(item) for item in (conditions if isinstance(conditions, list) else []))
    return next((item for item in found if item.get("type") == kind), dict[str, "Value"]())


def _is_observed(live: Mapping[str, Value]) -> bool:
    generation = _number(as_mapping(live.get("metadata")).get("generation"))
    return _number(as_mapping(live.get("status")).get("observedGeneration")) >= generation


def deployment(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when all replicas are of the newest template and available."""
    del lookup
    spec, status = as_mapping(live.get("spec")), as_mapping(live.get("status"))
    if not _is_observed(live):
        return _waiting("the deployment controller has not seen it yet")
    progressing = _condition(live, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return _failed(as_text(progressing.get("message")) or "the rollout exceeded its progress deadline")
    wanted, updated = _number(spec.get("replicas"), 1), _number(status.get("updatedReplicas"))
    if updated < wanted:
        return _waiting(f"{updated} of {wanted} replicas are of the new template")
    if _number(status.get("replicas")) > updated:
        return _waiting(f"{_number(status.get('replicas')) - updated} old replicas are still there")
    available = _number(status.get("availableReplicas"))
    return READY if available >= updated else _waiting(f"{available} of {updated} replicas are available")


def stateful_set(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when all replicas are ready and of the newest template, as far as the update strategy replaces them."""
    del lookup
    spec, status = as_mapping(live.get("spec")), as_mapping(live.get("status"))
    if not _is_observed(live):
        return _waiting("the stateful set controller has not seen it yet")
    strategy = as_mapping(spec.get("updateStrategy"))
    wanted, ready = _number(spec.get("replicas"), 1), _number(status.get("readyReplicas"))
    if ready < wanted:
        return _waiting(f"{ready} of {wanted} replicas are ready")
    if strategy.get("type") == "OnDelete":
        return READY
    partition = _number(as_mapping(strategy.get("rollingUpdate")).get("partition"))
    updated = _number(status.get("updatedReplicas"))
    if partition:
        due = max(wanted - partition, 0)
        return READY if updated >= due else _waiting(f"{updated} of {due} replicas are of the new template")
    same = status.get("updateRevision") == status.get("currentRevision")
    return READY if same or updated >= wanted else _waiting(f"{updated} of {wanted} replicas are of the new template")


def daemon_set(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when a pod of the newest template is available on every node it belongs on."""
    del lookup
    spec, status = as_mapping(live.get("spec")), as_mapping(live.get("status"))
    if not _is_observed(live):
        return _waiting("the daemon set controller has not seen it yet")
    if as_mapping(spec.get("updateStrategy")).get("type") == "OnDelete":
        return READY
    wanted = _number(status.get("desiredNumberScheduled"))
    updated, available = _number(status.get("updatedNumberScheduled")), _number(status.get("numberAvailable"))
    if updated < wanted:
        return _waiting(f"{updated} of {wanted} pods are of the new template")
    return READY if available >= wanted else _waiting(f"{available} of {wanted} pods are available")


def pod(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when its own condition says so, or when it has succeeded."""
    del lookup
    phase = as_text(as_mapping(live.get("status")).get("phase"))
    if phase == "Succeeded" or _condition(live, "Ready").get("status") == "True":
        return READY
    if phase == "Failed":
        return _failed(as_text(as_mapping(live.get("status")).get("message")) or "the pod failed")
    scheduled = _condition(live, "PodScheduled")
    if scheduled.get("status") == "False":
        return _waiting(f"it is not scheduled: {as_text(scheduled.get('message'))}")
    return _waiting(f"it is {phase or 'not seen by any kubelet'} and not ready")


def job(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when complete; a suspended one counts, for nothing will happen to it."""
    del lookup
    if _condition(live, "Complete").get("status") == "True" or as_mapping(live.get("spec")).get("suspend") is True:
        return READY
    failure = _condition(live, "Failed")
    if failure.get("status") == "True":
        return _failed(f"it failed: {as_text(failure.get('message')) or as_text(failure.get('reason'))}")
    return _waiting(f"{_number(as_mapping(live.get('status')).get('active'))} pods are running")


def service(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when it has a ready endpoint, unless it selects no pods; a load balancer also needs an address."""
    spec = as_mapping(live.get("spec"))
    kind = as_text(spec.get("type"))
    ingress = as_mapping(as_mapping(live.get("status")).get("loadBalancer")).get("ingress")
    if kind == "LoadBalancer" and not ingress:
        return _waiting("no load balancer gave it an address")
    if kind == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return READY
    metadata = as_mapping(live.get("metadata"))
    namespace, name = as_text(metadata.get("namespace")), as_text(metadata.get("name"))
    return READY if _has_endpoint(lookup, namespace, name) else _waiting("it selects no ready pod")


def _has_endpoint(lookup: Lookup, namespace: str, service_name: str) -> bool:
    slices = lookup.list(
        "discovery.k8s.io/v1", "EndpointSlice", namespace, f"kubernetes.io/service-name={service_name}"
    )
    for item in slices:
        endpoints = item.get("endpoints")
        for endpoint in endpoints if isinstance(endpoints, list) else []:
            if as_mapping(as_mapping(endpoint).get("conditions")).get("ready") is not False:
                return True
    return False


def ingress(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when a controller gave it an address, and each Service it leads to has a ready endpoint."""
    namespace = as_text(as_mapping(live.get("metadata")).get("namespace"))
    for name in _backends(as_mapping(live.get("spec"))):
        backend = lookup.get("v1", "Service", namespace, name)
        if backend is None:
            return _waiting(f"it leads to Service {name}, which does not exist")
        verdict = service(backend, lookup)
        if not verdict.ready:
            return _waiting(f"it leads to Service {name}: {verdict.missing}")
    addresses = as_mapping(as_mapping(live.get("status")).get("loadBalancer")).get("ingress")
    return READY if addresses else _waiting("no ingress controller gave it an address")


def _backends(spec: Inputs) -> list[str]:
    names = [as_text(as_mapping(as_mapping(spec.get("defaultBackend")).get("service")).get("name"))]
    rules = spec.get("rules")
    for rule in rules if isinstance(rules, list) else []:
        paths = as_mapping(as_mapping(rule).get("http")).get("paths")
        for path in paths if isinstance(paths, list) else []:
            backend = as_mapping(as_mapping(path).get("backend"))
            names.append(as_text(as_mapping(backend.get("service")).get("name")))
    return [name for name in dict.fromkeys(names) if name]


def claim(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when bound, or when its class binds only when a pod needs it."""
    phase = as_text(as_mapping(live.get("status")).get("phase"))
    if phase == "Bound":
        return READY
    storage_class = as_text(as_mapping(live.get("spec")).get("storageClassName"))
    found = lookup.get("storage.k8s.io/v1", "StorageClass", "", storage_class) if storage_class else None
    if phase == "Pending" and found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer":
        return READY
    return _waiting(f"it is {phase or 'new'}: no volume of class {storage_class or '(none)'} is bound to it")


def volume(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when available, bound, or kept after its claim went: that one waits for a claim, not a claim for it."""
    del lookup
    phase = as_text(as_mapping(live.get("status")).get("phase"))
    return READY if phase in {"Available", "Bound", "Released"} else _waiting(f"the volume is {phase or 'new'}")


def quota(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when the quota controller counts by it."""
    del lookup
    wanted = as_mapping(as_mapping(live.get("spec")).get("hard"))
    counted = as_mapping(as_mapping(live.get("status")).get("hard"))
    return READY if wanted == counted else _waiting("the quota controller does not count by it yet")


def namespace_(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when active."""
    del lookup
    phase = as_text(as_mapping(live.get("status")).get("phase"))
    return READY if phase == "Active" else _waiting(f"the namespace is {phase or 'new'}")


def definition(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when the server serves its kinds."""
    del lookup
    names = _condition(live, "NamesAccepted")
    if names.get("status") == "False":
        return _failed(f"its names are taken: {as_text(names.get('message'))}")
    established = _condition(live, "Established").get("status") == "True"
    return READY if established else _waiting("the server does not serve its kinds yet")


def secret(live: Mapping[str, Value], lookup: Lookup) -> Verdict:
    """Ready when a service account's token has been made; any other Secret is ready at once."""
    del lookup
    if live.get("type") != "kubernetes.io/service-account-token" or as_mapping(live.get("data")):
        return READY
    return _waiting("no token has been made for its service account")


WAITS: Final[Mapping[tuple[str, str], Wait]] = {
    ("apps", "Deployment"): Wait(deployment),
    ("apps", "StatefulSet"): Wait(stateful_set),
    ("apps", "DaemonSet"): Wait(daemon_set),
    ("batch", "Job"): Wait(job),
    ("networking.k8s.io", "Ingress"): Wait(ingress),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): Wait(definition, ESTABLISHED_TIMEOUT_SECONDS),
    ("", "Namespace"): Wait(namespace_),
    ("", "PersistentVolume"): Wait(volume, VOLUME_TIMEOUT_SECONDS),
    ("", "PersistentVolumeClaim"): Wait(claim, VOLUME_TIMEOUT_SECONDS),
    ("", "Pod"): Wait(pod),
    ("", "ResourceQuota"): Wait(quota, QUOTA_TIMEOUT_SECONDS),
    ("", "Secret"): Wait(secret, TOKEN_TIMEOUT_SECONDS),
    ("", "Service"): Wait(service),
}


def wait_for(live: Mapping[str, Value]) -> Wait | None:
    """Return what to wait for after applying an object of this kind; None: it is ready as soon as it is stored."""
    return WAITS.get((group_of(as_text(live.get("apiVersion"))), as_text(live.get("kind"))))
