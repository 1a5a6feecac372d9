"""What servers may be made of, read off the very values the hub is configured with.

Said once: an image, a volume or a toleration that a profile or a sidecar gets is admitted because it is in the values,
and there is no second list to keep in step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from components.hub.identity.config import ClaimIdentity
from components.hub.identity.plan import BASE, CONFIG_MAP
from components.hub.ids import SERVER_GID, SERVER_UID
from components.hub.lxcfs import HOST_FILES
from components.hub.profiles.plan import CHART_TOLERATIONS
from components.namespaces.plan import LABEL_DOMAIN, scoped

from .plan import admission_policies
from .pods import NETWORK_LABEL
from .policy import ClaimedIds, FixedIds, IdentityObject, ServerPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.hub.config import HubConfig
    from components.model import Value

    from .policy import AdmissionPolicy, Ids

__all__ = ["ANNOTATIONS", "LOCAL_LABEL", "admission_plan", "server_ids", "server_plan"]

ANNOTATIONS = ("hub.jupyter.org/", f"{LABEL_DOMAIN}/", "research-compute/")
"""Beginnings of the annotations' keys a server may have: KubeSpawner's and this program's own."""
LOCAL_LABEL = f"{LABEL_DOMAIN}/run"
"""On a simulated cluster: the server is a process of this machine (`labctl.local_hub`)."""
DEFAULT_SCHEDULER = "default-scheduler"
"""What the API server fills in."""
ADDED_TOLERATIONS = tuple(
    f"node.kubernetes.io/{condition}|Exists||NoExecute" for condition in ("not-ready", "unreachable")
)
"""Added to every pod by the API server (DefaultTolerationSeconds)."""


def admission_plan(
    config: HubConfig, stack: str, values: Mapping[str, Mapping[str, Value]], *, is_simulated: bool
) -> tuple[AdmissionPolicy, ...]:
    """Return the policies of the hub's namespace.

    Parameters
    ----------
    config
        Hub section; checked.
    stack
        Name of the stack.
    values
        The chart's values (`components.hub.values.hub_values`).
    is_simulated
        Whether servers may be processes of this machine.
    """
    plan = server_plan(values, lxcfs=config.lxcfs, is_simulated=is_simulated)
    return admission_policies(scoped("hub", stack), server_ids(config, stack), config.homes.key, plan)


def server_ids(config: HubConfig, stack: str) -> Ids:
    """Return whom servers run as, and who says so."""
    identity = config.identity
    if identity is None:
        return FixedIds(uid=SERVER_UID, gid=SERVER_GID)
    if isinstance(identity, ClaimIdentity):
        return ClaimedIds(
            uids=(identity.uids.first, identity.uids.last), gids=(identity.gids.first, identity.gids.last)
        )
    return IdentityObject(namespace=scoped(BASE, stack), name=CONFIG_MAP)


def server_plan(
    values: Mapping[str, Mapping[str, Value]], *, lxcfs: bool = False, is_simulated: bool = False
) -> ServerPlan:
    """Return what servers may be made of.

    Parameters
    ----------
    values
        The chart's values (`components.hub.values.hub_values`).
    lxcfs
        Whether servers have LXCFS's files of their nodes.
    is_simulated
        Whether servers may be processes of this machine.
    """
    singleuser, spawner = values["singleuser"], _at(values["hub"]["config"], "KubeSpawner")
    found = tuple(_mappings([singleuser, spawner]))
    storage = _at(singleuser["storage"], None)
    dynamic = _at(storage, "dynamic")
    given = [
        (key, str(value))
        for each in found
        for name in ("extra_labels", "extraLabels")
        for key, value in _at(each, name).items()
        if key.startswith(f"{LABEL_DOMAIN}/")
    ]
    return ServerPlan(
        images=tuple(sorted(set(_images(singleuser, found)))),
        claims=_claims(found),
        config_maps=_names(found, "configMap", "name"),
        secrets=_names(found, "secret", "secretName"),
        pull_secrets=(),
        tolerations=tuple(sorted({*ADDED_TOLERATIONS, *_tolerations(found)})),
        labels=tuple(sorted({key for key, _ in given} | ({LOCAL_LABEL} if is_simulated else set[str]()))),
        networks=tuple(sorted({value for key, value in given if key == NETWORK_LABEL})),
        annotations=ANNOTATIONS,
        scheduler=str(spawner.get("scheduler_name", DEFAULT_SCHEDULER)),
        priority=str(spawner.get("priority_class_name", "")),
        home_class=str(dynamic["storageClass"]),
        home_capacity=str(storage["capacity"]),
        home_access_modes=tuple(str(mode) for mode in _list(dynamic["storageAccessModes"])),
        host_files=HOST_FILES if lxcfs else {},
    )


def _images(singleuser: Mapping[str, Value], found: tuple[Mapping[str, Value], ...]) -> Iterator[str]:
    """Yield every image; the chart says its default one in two parts."""
    image = _at(singleuser["image"], None)
    yield f"{image['name']}:{image['tag']}"
    for each in found:
        if isinstance(named := each.get("image"), str):
            yield named


def _claims(found: tuple[Mapping[str, Value], ...]) -> Mapping[str, bool]:
    """Return the claims of volumes and whether each is read-only everywhere."""
    claims: dict[str, bool] = {}
    for each in found:
        claim = _at(each, "persistentVolumeClaim")
        if claim:
            name = str(claim["claimName"])
            claims[name] = claims.get(name, True) and claim.get("readOnly") is True
    return claims


def _names(found: tuple[Mapping[str, Value], ...], kind: str, key: str) -> tuple[str, ...]:
    return tuple(sorted({str(source[key]) for each in found if (source := _at(each, kind)) and key in source}))


def _tolerations(found: tuple[Mapping[str, Value], ...]) -> Iterator[str]:
    lists = [each[name] for each in found for name in ("tolerations", "extraTolerations") if name in each]
    for toleration in (*CHART_TOLERATIONS, *(item for listed in lists for item in _list(listed))):
        given = _at(toleration, None)
        defaults = {"key": "", "operator": "Equal", "value": "", "effect": ""}
        yield "|".join(str(given.get(key, default)) for key, default in defaults.items())


def _mappings(value: Value) -> Iterator[Mapping[str, Value]]:
    """Yield every mapping in a value, however deep."""
    if isinstance(value, Mapping):
        yield value
        value = list(value.values())
    for item in _list(value):
        yield from _mappings(item)


def _at(value: Value, key: str | None) -> Mapping[str, Value]:
    """Return a mapping, or the one under a key of it; an empty one where there is none."""
    if key is not None:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _list(value: Value) -> Sequence[Value]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
