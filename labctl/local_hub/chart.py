"""Values of the hub's release -> what the chart's own ``jupyterhub_config.py`` makes of them. Pure.

Only the values that this project writes are known; any other is refused by name, so that the local hub cannot silently
be another one than the cluster's. Addresses and folders of the pods are still the chart's in here: `local` puts this
machine's in their place. The chart's own file, where it is at hand, is what a test compares this with.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .chart_keys import CLUSTER_ONLY, DEFAULTS, HUB_TRAITS, READ, REFUSED_UNLESS, SPAWNER_TRAITS
from .errors import UntranslatedValuesError
from .trees import as_list, as_mapping, at, merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.graph.values import Plain as Value

__all__ = ["HUB_URL", "HubRelease", "Translation", "translate", "untranslated"]

HUB_URL = "http://localhost:8081"
"""Where a service beside the hub in its pod reaches it (``jupyterhub_config.py``: ``hub_container_port``)."""

CULLER = "jupyterhub-idle-culler"
CULLER_SCOPES = ("list:users", "read:users:activity", "read:servers", "delete:servers")
"""What the chart lets the culler do."""


@dataclass(frozen=True, kw_only=True)
class HubRelease:
    """The release of the hub, as it was applied or recorded."""

    name: str
    namespace: str
    chart: str
    version: str
    values: Mapping[str, Value] = field(repr=False)
    is_recorded: bool
    """Whether only the state knows of it: none of its objects is in the cluster."""


@dataclass(frozen=True, kw_only=True)
class Translation:
    """What the hub is told."""

    config: dict[str, dict[str, Value]]
    """Traits by class (``c``); ``JupyterHub.services`` without tokens."""
    services: tuple[str, ...]
    """Services that the chart makes a token for."""
    extra_config: dict[str, str]
    """Python that runs after all of it, by key and in the order of keys."""
    files: dict[str, str]
    """Text files by absolute path in the hub's container."""
    environment: dict[str, Value]
    """Variables of the hub's container: a text, or ``valueFrom``."""
    volumes: dict[str, Value]
    """Volumes of the hub's pod by name."""
    mounts: dict[str, str]
    """Volume by absolute path in the hub's container."""
    secret: str | None
    """Secret with the hub's keys."""
    values: dict[str, Value]
    """All values, defaults included, as ``z2jh.get_config`` answers from them."""


def untranslated(values: Mapping[str, Value]) -> tuple[str, ...]:
    """Return the paths of values whose meaning is not known here, in order."""
    return tuple(_unknown(values, ""))


def translate(release: HubRelease) -> Translation:
    """Return what the chart's ``jupyterhub_config.py`` makes of the release's values.

    Parameters
    ----------
    release
        Its values are those of the release alone; the chart's defaults are added here.

    Raises
    ------
    UntranslatedValuesError
        If there are values whose meaning is not known here; names them all.
    """
    if unknown := untranslated(release.values):
        raise UntranslatedValuesError(unknown)
    values = merged(DEFAULTS, release.values)
    values |= {
        "Chart": {"Name": release.chart, "Version": release.version},
        "Release": {"Name": release.name, "Namespace": release.namespace, "Service": "Helm"},
    }
    config: dict[str, dict[str, Value]] = {
        "JupyterHub": _hub(values),
        "KubeSpawner": _spawner(values, release),
        "Spawner": _any_spawner(values),
        "ConfigurableHTTPProxy": {"should_start": False},
    }
    tokens = tuple(sorted(as_mapping(at(values, "hub.services"))))
    for section, settings in as_mapping(at(values, "hub.config")).items():
        config.setdefault(section, {}).update(copy.deepcopy(as_mapping(settings)))
    hub = as_mapping(values["hub"])
    return Translation(
        config=config,
        services=tokens,
        extra_config={key: str(text) for key, text in sorted(as_mapping(hub["extraConfig"]).items())},
        files={
            str(as_mapping(file)["mountPath"]): str(as_mapping(file)["stringData"])
            for file in as_mapping(hub["extraFiles"]).values()
        },
        environment=as_mapping(hub["extraEnv"]),
        volumes={str(as_mapping(each)["name"]): each for each in as_list(hub["extraVolumes"])},
        mounts={
            str(as_mapping(each)["mountPath"]): str(as_mapping(each)["name"])
            for each in as_list(hub["extraVolumeMounts"])
        },
        secret=str(hub["existingSecret"]) if hub.get("existingSecret") else None,
        values=values,
    )


def _unknown(values: Mapping[str, Value], prefix: str) -> Iterator[str]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        if path in READ or path in CLUSTER_ONLY:
            continue
        if path in REFUSED_UNLESS:
            if value != REFUSED_UNLESS[path]:
                yield f"{path}={value!r}"
        elif isinstance(value, dict) and _is_above_known(path):
            yield from _unknown(value, f"{path}.")
        else:
            yield path


def _is_above_known(path: str) -> bool:
    return any(known.startswith(f"{path}.") for known in (*READ, *CLUSTER_ONLY, *REFUSED_UNLESS))


def _given(values: Mapping[str, Value], root: str, traits: Mapping[str, str]) -> dict[str, Value]:
    """Return the traits that have a value."""
    found = {trait: at(values, f"{root}.{key}") for trait, key in traits.items()}
    return {trait: copy.deepcopy(value) for trait, value in found.items() if value is not None}


def _hub(values: Mapping[str, Value]) -> dict[str, Value]:
    services, roles = _culler(values)
    for key, service in as_mapping(at(values, "hub.services")).items():
        known = {name: value for name, value in as_mapping(service).items() if name != "apiToken"}
        services.append({"name": key, **known})
    roles += [{"name": key, **as_mapping(role)} for key, role in as_mapping(at(values, "hub.loadRoles")).items()]
    settings: dict[str, Value] = {
        "spawner_class": "kubespawner.KubeSpawner",
        # Users' servers outlive the hub.
        "cleanup_servers": False,
        "last_activity_interval": 60,
        # Whoever starts a server is shown its progress at once.
        "tornado_settings": {"slow_spawn_timeout": 0},
        "services": [*services],
        "load_roles": [*roles],
        **_given(values, "hub", HUB_TRAITS),
    }
    if at(values, "debug.enabled"):
        settings["log_level"] = "DEBUG"
    return settings


def _any_spawner(values: Mapping[str, Value]) -> dict[str, Value]:
    settings: dict[str, Value] = {"cmd": at(values, "singleuser.cmd")}
    for trait, path in (
        ("consecutive_failure_limit", "hub.consecutiveFailureLimit"),
        ("default_url", "singleuser.defaultUrl"),
    ):
        if (value := at(values, path)) is not None:
            settings[trait] = value
    if at(values, "debug.enabled"):
        settings["debug"] = True
    return settings


def _spawner(values: Mapping[str, Value], release: HubRelease) -> dict[str, Value]:
    chart = f"{release.chart}-{release.version.replace('+', '_')}"
    settings = _given(values, "singleuser", SPAWNER_TRAITS)
    settings |= {
        "namespace": release.namespace,
        "common_labels": {
            # Both generations of names: the chart's own policies and tools look for either.
            "app.kubernetes.io/name": release.chart,
            "app": release.chart,
            "app.kubernetes.io/instance": release.name,
            "release": release.name,
            "helm.sh/chart": chart,
            "chart": chart,
            "app.kubernetes.io/managed-by": "kubespawner",
        },
        "allow_privilege_escalation": at(values, "singleuser.allowPrivilegeEscalation"),
    }
    if name := at(values, "singleuser.image.name"):
        tag = at(values, "singleuser.image.tag")
        settings["image"] = f"{name}:{tag}" if tag else str(name)
    purpose: Value = {"key": "hub.jupyter.org/node-purpose", "operator": "In", "values": ["user"]}
    term: Value = {"matchExpressions": [purpose]}
    match at(values, "scheduling.userPods.nodeAffinity.matchNodePurpose"):
        case "prefer":
            before = as_list(settings["node_affinity_preferred"])
            settings["node_affinity_preferred"] = [*before, {"weight": 100, "preference": term}]
        case "require":
            settings["node_affinity_required"] = [*as_list(settings["node_affinity_required"]), term]
        case _:
            pass
    tolerations = [
        *as_list(at(values, "scheduling.userPods.tolerations")),
        *as_list(at(values, "singleuser.extraTolerations")),
    ]
    if tolerations:
        settings["tolerations"] = tolerations
    return {**settings, **_storage(values)}


def _storage(values: Mapping[str, Value]) -> dict[str, Value]:
    def of(path: str) -> Value:
        return at(values, f"singleuser.storage.{path}")

    home = str(of("dynamic.volumeNameTemplate"))
    mount: dict[str, Value] = {"mountPath": of("homeMountPath"), "name": home, "subPath": of("dynamic.subPath")}
    settings: dict[str, Value] = {
        "storage_pvc_ensure": True,
        "volumes": {
            home: {"name": home, "persistentVolumeClaim": {"claimName": "{pvc_name}"}},
            **_by_name(of("extraVolumes"), numbered=False),
        },
        "volume_mounts": {home: mount, **_by_name(of("extraVolumeMounts"), numbered=True)},
    }
    for trait, path in (
        ("pvc_name_template", "dynamic.pvcNameTemplate"),
        ("storage_class", "dynamic.storageClass"),
        ("storage_access_modes", "dynamic.storageAccessModes"),
        ("storage_capacity", "capacity"),
    ):
        if (value := of(path)) is not None:
            settings[trait] = value
    return settings


def _by_name(items: Value, *, numbered: bool) -> dict[str, Value]:
    """Return volumes or mounts by a key of their own; a list has none, and a name may be in it twice."""
    if not isinstance(items, list):
        return copy.deepcopy(as_mapping(items))
    named = [(str(as_mapping(item)["name"]), item) for item in items]
    return {f"{index}-{name}" if numbered else name: item for index, (name, item) in enumerate(named)}


def _culler(values: Mapping[str, Value]) -> tuple[list[dict[str, Value]], list[dict[str, Value]]]:
    """Return the service that stops idle servers, and what it may do; nothing where it is off."""
    cull = as_mapping(values["cull"])
    if not cull["enabled"]:
        return [], []
    base = str(at(values, "hub.baseUrl")).rstrip("/")
    command: list[Value] = ["python3", "-m", "jupyterhub_idle_culler", f"--url={HUB_URL}{base}/hub/api"]
    for option, key in (("timeout", "timeout"), ("cull-every", "every"), ("concurrency", "concurrency")):
        if cull[key]:
            command.append(f"--{option}={cull[key]}")
    scopes: list[Value] = list(CULLER_SCOPES)
    if cull["users"]:
        command.append("--cull-users")
        scopes.append("admin:users")
    if not cull["adminUsers"]:
        command.append("--cull-admin-users=false")
    if cull["removeNamedServers"]:
        command.append("--remove-named-servers")
    if cull["maxAge"]:
        command.append(f"--max-age={cull['maxAge']}")
    role: dict[str, Value] = {"name": CULLER, "scopes": scopes, "services": [CULLER]}
    return [{"name": CULLER, "command": command}], [role]
