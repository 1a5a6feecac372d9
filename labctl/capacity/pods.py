"""What the scheduler sees of a user's server: the hub's own settings, read as KubeSpawner and the API server do.

`hub_values` makes the profiles as the hub really gets them; nothing about a profile is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from components.hub.facts import HubFacts
from components.hub.profiles.choices import combined
from components.hub.profiles.plan import CHART_TOLERATIONS
from components.hub.values import hub_values

from .errors import UnknownOperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from components.gpu.slices import Slice
    from components.hub.config import HubConfig
    from components.hub.profiles.extras_config import SidecarConfig
    from components.images import ImageReference
    from components.model import Value
    from labctl.control_plane.client import JsonValue

__all__ = ["CPU", "DEFAULT_SCHEDULER", "MEMORY", "PODS", "Expression", "Profile", "Shape", "Toleration", "profiles_of"]

CPU = "cpu"
"""Counted in millicores."""
MEMORY = "memory"
"""Counted in bytes."""
PODS = "pods"
"""Places for pods on a node; every pod takes one without asking."""
DEFAULT_SCHEDULER = "default-scheduler"
"""The scheduler of a pod that names none (core/v1, ``DefaultSchedulerName``)."""

PURPOSE_LABEL, PURPOSE = "hub.jupyter.org/node-purpose", "user"
"""Nodes the chart prefers for servers (``scheduling.userPods.nodeAffinity.matchNodePurpose: prefer``, its default)."""
PURPOSE_WEIGHT = 100
"""Weight of that preference (jupyterhub_config.py of the chart)."""

_BYTES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
"""JupyterHub's suffixes (``jupyterhub.traitlets.ByteSpecification``): powers of 1024."""


@dataclass(frozen=True, kw_only=True, order=True)
class Toleration:
    """One toleration of a pod."""

    key: str
    operator: str
    value: str
    effect: str
    """Empty: every effect."""

    def tolerates(self, key: str, value: str, effect: str) -> bool:
        """Tell whether it tolerates a taint (core/v1, ``Toleration.ToleratesTaint``)."""
        if self.effect not in ("", effect) or self.key not in ("", key):
            return False
        return self.operator == "Exists" or self.value == value


@dataclass(frozen=True, kw_only=True, order=True)
class Expression:
    """One condition on a node's labels (core/v1, ``NodeSelectorRequirement``)."""

    key: str
    operator: str
    """In, NotIn, Exists or DoesNotExist."""
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a node with these labels meets it."""
        is_there = self.key in labels
        match self.operator:
            case "In":
                return is_there and labels[self.key] in self.values
            case "NotIn":
                return not is_there or labels[self.key] not in self.values
            case "Exists":
                return is_there
            case "DoesNotExist":
                return not is_there
            case _:
                raise UnknownOperatorError(self.operator)

    def manifest(self) -> JsonValue:
        """Return it as the API server has it."""
        values: list[JsonValue] = list(self.values)
        return {"key": self.key, "operator": self.operator, **({"values": values} if values else {})}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """All that decides where a pod fits; equal shapes fit equally often."""

    requests: tuple[tuple[str, int], ...]
    """Amount per resource, sorted by name: millicores, bytes, slices."""
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    terms: tuple[tuple[Expression, ...], ...] = ()
    """Required node affinity: one of these must hold as a whole; none asks for nothing."""
    scheduler: str = DEFAULT_SCHEDULER

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Tell whether it may run on a node with these labels, by its selector and its required affinity."""
        if any(labels.get(key) != value for key, value in self.node_selector):
            return False
        return not self.terms or any(all(one.holds(labels) for one in term) for term in self.terms)

    def of(self, resource: str) -> int:
        """Return how much of a resource it asks for; every pod takes one place."""
        return 1 if resource == PODS else dict(self.requests).get(resource, 0)

    def manifest(self, name: str, labels: Mapping[str, str]) -> dict[str, JsonValue]:
        """Return a pod of this shape; nothing of it ever runs."""
        amounts = {key: _quantity(key, amount) for key, amount in self.requests}
        extended = {key: text for key, text in amounts.items() if "/" in key}
        preference: JsonValue = {
            "weight": PURPOSE_WEIGHT,
            "preference": {"matchExpressions": [{"key": PURPOSE_LABEL, "operator": "In", "values": [PURPOSE]}]},
        }
        required: dict[str, JsonValue] = {}
        if self.terms:
            terms: list[JsonValue] = [{"matchExpressions": [one.manifest() for one in term]} for term in self.terms]
            required["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
        tolerations: list[JsonValue] = [
            {"key": held.key, "operator": held.operator, "value": held.value, "effect": held.effect}
            if held.operator != "Exists"
            else {"key": held.key, "operator": held.operator, "effect": held.effect}
            for held in self.tolerations
        ]
        return {
            "metadata": {"name": name, "labels": dict(labels)},
            "spec": {
                "schedulerName": self.scheduler,
                "nodeSelector": dict(self.node_selector),
                "tolerations": tolerations,
                "affinity": {
                    "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preference], **required}
                },
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "notebook",
                        "image": "never-pulled",
                        "resources": {"requests": dict(amounts), "limits": dict(extended)},
                    }
                ],
            },
        }


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One choice of the spawn page."""

    slug: str
    name: str
    shape: Shape
    slice: str | None
    """Name of the slice it asks for."""
    slice_count: int
    """How many of them."""


def profiles_of(
    config: HubConfig, images: Mapping[str, ImageReference], slices: Sequence[Slice], scheduler: str | None
) -> tuple[Profile, ...]:
    """Return the hub's profiles, each with the shape its servers have when nothing is chosen but the defaults.

    Parameters
    ----------
    config
        Hub section; checked.
    images
        Pinned images by name.
    slices
        What the GPUs offer; every profile's slice is among them.
    scheduler
        Scheduler of users' servers; None for the cluster's default.

    Raises
    ------
    KeyError
        If a profile's image is not pinned, which the checks report first.
    UnofferedSliceError
        If a profile asks for a slice nobody offers, which the checks report first.
    """
    facts = HubFacts(home_class="", secret="", images=images, slices=slices, servers_scheduler=scheduler)
    values = hub_values(config, facts)
    listed = cast("Sequence[Mapping[str, Value]]", values["singleuser"]["profileList"])
    hub = cast("Mapping[str, Mapping[str, Mapping[str, str]]]", values["hub"])
    named = hub["config"]["KubeSpawner"].get("scheduler_name", DEFAULT_SCHEDULER)
    return tuple(
        Profile(
            slug=profile.slug,
            name=profile.name,
            shape=_shape(combined(entry), named, profile.sidecars),
            slice=profile.default_gpu.slice if profile.default_gpu is not None else None,
            slice_count=profile.default_gpu.count if profile.default_gpu is not None else 0,
        )
        for profile, entry in zip(config.profiles, listed, strict=True)
    )


def _shape(override: Mapping[str, Value], scheduler: str, sidecars: Sequence[SidecarConfig]) -> Shape:
    """Return the shape of a server with these settings of KubeSpawner (``kubespawner.objects.make_pod``)."""
    requests: dict[str, int] = {}
    # Kubernetes takes a request that is not there from the limit (core/v1 defaults, ``SetDefaults_Pod``).
    cpu = override.get("cpu_guarantee", override.get("cpu_limit"))
    memory = override.get("mem_guarantee", override.get("mem_limit"))
    if isinstance(cpu, int | float):
        requests[CPU] = round(cpu * 1000)
    if isinstance(memory, str):
        requests[MEMORY] = int(memory[:-1]) * _BYTES[memory[-1]]
    for sidecar in sidecars:
        guarantee, limit = sidecar.resources.guarantee, sidecar.resources.limit
        if (cores := guarantee.cpu or limit.cpu) is not None:
            requests[CPU] = requests.get(CPU, 0) + cores.millicores
        if (size := guarantee.memory or limit.memory) is not None:
            requests[MEMORY] = requests.get(MEMORY, 0) + size.bytes
    extra = cast("Mapping[str, int]", override.get("extra_resource_limits", {}))
    tolerations = cast("Sequence[Mapping[str, str]]", override.get("tolerations", CHART_TOLERATIONS))
    selector = cast("Mapping[str, str]", override.get("node_selector", {}))
    affinity = cast("Sequence[Mapping[str, Value]]", override.get("node_affinity_required", ()))
    return Shape(
        requests=tuple(sorted({**requests, **extra}.items())),
        node_selector=tuple(sorted(selector.items())),
        terms=tuple(tuple(sorted(_expressions(term))) for term in affinity),
        tolerations=tuple(
            sorted(
                Toleration(
                    key=held.get("key", ""),
                    operator=held.get("operator", "Equal"),
                    value=held.get("value", ""),
                    effect=held.get("effect", ""),
                )
                for held in tolerations
            )
        ),
        scheduler=scheduler,
    )


def _expressions(term: Mapping[str, Value]) -> Iterator[Expression]:
    for one in cast("Sequence[Mapping[str, Value]]", term.get("matchExpressions", ())):
        values = cast("Sequence[str]", one.get("values") or ())
        yield Expression(key=str(one["key"]), operator=str(one["operator"]), values=tuple(values))


@lru_cache(maxsize=1024)
def _quantity(resource: str, amount: int) -> str:
    return f"{amount}m" if resource == CPU else str(amount)
