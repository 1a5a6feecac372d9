"""Hub section and facts -> values of Zero to JupyterHub's chart. No secret is among them: Secrets are named."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from components.hub.homes.plan import homes_part
from components.hub.identity.plan import identity_part
from components.hub.limits.plan import limits_part
from components.hub.operation.plan import operation_part
from components.hub.pages.plan import pages_part
from components.hub.profiles.plan import profile_list, profiles_part
from components.hub.profiles.prepull import chart_image, pre_puller
from components.hub.signin.plan import signin_part

from .config import HomeKey
from .ids import SERVER_GID, SERVER_UID
from .lxcfs import lxcfs_part
from .parts import HubFile, HubPart, together

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.images import ImageReference
    from components.model import Value

    from .config import HubConfig
    from .facts import HubFacts

__all__ = ["CALL", "SECTIONS", "hub_values"]

CULL_CONCURRENCY = 10
"""Servers the culler stops at once; the chart's default, which spares the API server."""
CONFIGURATION_FOLDER = "/usr/local/etc/jupyterhub"
"""Where the chart mounts the hub's configuration (``hub/deployment.yaml``)."""
PACKAGE = "lab_hub"
"""Package of ours the hub imports; it lies beside the chart's own configuration, which is on the path."""
CALL = """\
from lab_hub.configure import configure
from z2jh import get_config

configure(c, get_config("custom.lab"))
"""
"""What the hub runs once the chart has configured it; ``z2jh`` is the chart's own module."""

_NO_POLICY: Mapping[str, Value] = {"enabled": False}
"""In place of the chart's own policies, which add up with the namespace's and by default let hub and proxy out to every
address: all flows are said in `components.hub.flows`."""

_CHART_IMAGES = {
    "k8s-hub": ("hub",),
    "configurable-http-proxy": ("proxy", "chp"),
    "k8s-image-awaiter": ("prePuller", "hook"),
    "pause": ("prePuller", "pause"),
}
"""The chart's own images by pin name, and where its values take them."""

SECTIONS = (
    "hub",
    "proxy",
    "singleuser",
    "cull",
    "scheduling",
    "prePuller",
    "httpRoute",
    "ingress",
    "custom",
)
"""Top-level keys of the values, always all present."""


def hub_values(config: HubConfig, facts: HubFacts) -> Mapping[str, Mapping[str, Value]]:
    """Return the chart's values, by top-level key.

    Parameters
    ----------
    config
        Hub section; checked.
    facts
        Names of what is around the hub.

    Raises
    ------
    KeyError
        If a profile's image is not pinned, which the checks report first.
    UnofferedSliceError
        If a profile asks for a slice nobody offers, which the checks report first.
    """
    part = together(_parts(config, facts))
    values: dict[str, dict[str, Value]] = {
        "hub": _hub(config, facts, part),
        "proxy": _proxy(facts),
        "singleuser": _singleuser(config, facts, part),
        "cull": _cull(config),
        "scheduling": _scheduling(),
        "prePuller": pre_puller(config, facts),
        "httpRoute": _http_route(facts),
        "ingress": {"enabled": False},
        "custom": {"lab": dict(part.settings)},
    }
    for pin, place in _CHART_IMAGES.items():
        if (image := facts.images.get(pin)) is not None:
            _put_image(values, place, image)
    return values


def _hub(config: HubConfig, facts: HubFacts, part: HubPart) -> dict[str, Value]:
    hub: dict[str, Value] = {
        "config": _hub_config(facts, part),
        "existingSecret": facts.secret,
        "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}},
        "allowNamedServers": False,
        "extraPodSpec": _priority(facts.services_priority),
        "networkPolicy": _NO_POLICY,
        "extraFiles": _modules() | {_file_key(file): _hub_file(file) for file in part.files},
        "extraConfig": {"lab": CALL},
        **part.hub,
    }
    if config.servers.most is not None:
        hub["activeServerLimit"] = config.servers.most
    if part.environment:
        hub["extraEnv"] = dict(part.environment)
    if part.volumes:
        hub["extraVolumes"] = _named(part.volumes)
        hub["extraVolumeMounts"] = _named(part.mounts)
    if part.services:
        hub["services"] = dict(part.services)
    if part.roles:
        hub["loadRoles"] = dict(part.roles)
    return hub


def _named(items: Mapping[str, Value]) -> list[Value]:
    """Return a list of what the chart names by a field, out of what we name by key."""
    return [{"name": name, **(item if isinstance(item, dict) else {})} for name, item in items.items()]


def _modules() -> dict[str, Value]:
    """Return the package of ours that runs in the hub, file by file."""
    folder = files("components.hub.files").joinpath(PACKAGE)
    modules = sorted(found.name for found in folder.iterdir() if found.name.endswith(".py"))
    every = (HubFile(source=f"{PACKAGE}/{name}", target=f"{CONFIGURATION_FOLDER}/{PACKAGE}/{name}") for name in modules)
    return {_file_key(file): _hub_file(file) for file in every}


def _hub_file(file: HubFile) -> Value:
    text = file.text
    if text is None:
        text = files("components.hub.files").joinpath(file.source).read_text(encoding="utf-8")
    return {"mountPath": file.target, "mode": 0o444, "stringData": text}


def _file_key(file: HubFile) -> str:
    """Return a file's key in the Secret that carries it; there a name has no slash."""
    return file.source.replace("/", ".")


def _hub_config(facts: HubFacts, part: HubPart) -> Value:
    spawner: dict[str, Value] = {
        # Deleting a user from the hub is not deleting their data.
        "delete_pvc": False,
        # The name follows from the account alone on every start; a name kept in the database could be another user's.
        "remember_pvc_name": False,
        "handle_legacy_names": False,
        "automount_service_account_token": False,
        "container_security_context": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": SERVER_UID,
            "runAsGroup": SERVER_GID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "pod_security_context": {
            "runAsNonRoot": True,
            # For the containers beside the server, which say nothing themselves.
            "runAsUser": SERVER_UID,
            "runAsGroup": SERVER_GID,
            "fsGroup": SERVER_GID,
            # Changing the group of every file of a large shared folder would hold up each start for hours.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if facts.servers_priority is not None:
        spawner["priority_class_name"] = facts.servers_priority
    if facts.servers_scheduler is not None:
        # The chart sets it only with its own user scheduler, which is off (jupyterhub_config.py), and goes over this
        # section last.
        spawner["scheduler_name"] = facts.servers_scheduler
    ours = together([HubPart(sections={"JupyterHub": {"admin_access": False}, "KubeSpawner": spawner}), part])
    return {section: dict(settings) for section, settings in ours.sections.items()}


def _proxy(facts: HubFacts) -> dict[str, Value]:
    return {
        # Reached through the gateway, which also ends TLS.
        "service": {"type": "ClusterIP"},
        "https": {"enabled": False},
        "chp": {
            "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}},
            "extraPodSpec": _priority(facts.services_priority),
            "networkPolicy": _NO_POLICY,
        },
    }


def _singleuser(config: HubConfig, facts: HubFacts, part: HubPart) -> dict[str, Value]:
    default = next(profile for profile in config.profiles if profile.default)
    by_name = config.homes.key is HomeKey.USERNAME
    volumes: dict[str, Value] = {
        volume.name: {
            "name": f"shared-{volume.name}",
            "persistentVolumeClaim": {"claimName": volume.claim, "readOnly": volume.read_only},
        }
        for volume in facts.volumes
    }
    mounts: dict[str, Value] = {
        volume.name: {
            "name": f"shared-{volume.name}",
            "mountPath": volume.mount_path,
            "readOnly": volume.read_only,
        }
        for volume in facts.volumes
    }
    for name, volume in part.server_volumes.items():
        volumes[name] = {"name": name, **(volume if isinstance(volume, dict) else {})}
    return {
        "image": chart_image(facts.images[default.default_image]),
        "defaultUrl": "/lab",
        "startTimeout": config.servers.start_timeout.seconds,
        "profileList": profile_list(config, facts),
        "uid": SERVER_UID,
        "fsGid": SERVER_GID,
        "allowPrivilegeEscalation": False,
        # The chart's own block is a privileged init container, which the namespace refuses; policies do it instead.
        "cloudMetadata": {"blockWithIptables": False, "ip": "169.254.169.254"},
        "networkPolicy": _NO_POLICY,
        "extraEnv": dict(part.server_environment),
        # A profile says what it guarantees; the chart's own 1 GiB must not come in where one says nothing.
        "memory": {"guarantee": 0},
        "storage": {
            "type": "dynamic",
            "capacity": str(config.homes.capacity),
            "homeMountPath": config.homes.mount_path,
            "dynamic": {
                "storageClass": facts.home_class,
                "storageAccessModes": ["ReadWriteMany"],
                # Never {username}, whose slug changed in KubeSpawner 7, nor {userid}, a row of the database. With
                # accounts our module names the claim; the template only names what would be wrong.
                "pvcNameTemplate": "home-{safe_username}" if by_name else "unassigned-{safe_username}",
                "volumeNameTemplate": "home",
            },
            "extraVolumes": volumes,
            "extraVolumeMounts": {**mounts, **part.server_mounts},
        },
        **part.singleuser,
    }


def _cull(config: HubConfig) -> dict[str, Value]:
    culling = config.culling
    return {
        "enabled": True,
        "timeout": culling.idle.seconds,
        "every": culling.every.seconds,
        # 0 is the culler's word for no bound.
        "maxAge": 0 if culling.max_age is None else culling.max_age.seconds,
        "concurrency": CULL_CONCURRENCY,
        # Servers are culled, never users: a user's entry carries groups and sign-in.
        "users": False,
        "adminUsers": True,
        "removeNamedServers": False,
    }


def _scheduling() -> dict[str, Value]:
    return {
        # The chart's scheduler is a kube-scheduler 1.30 with bindings to match: a newer cluster refuses it what the
        # newer scheduler would need, so servers use the cluster's own.
        "userScheduler": {"enabled": False},
        # Placeholders keep an autoscaled cluster one node ahead; a lab's machines are all there already.
        "userPlaceholder": {"enabled": False},
        # The stack's own priority classes are named instead (hub, proxy, servers).
        "podPriority": {"enabled": False},
    }


def _http_route(facts: HubFacts) -> dict[str, Value]:
    if facts.route is None or facts.hostname is None:
        return {"enabled": False}
    target = facts.route
    return {
        "enabled": True,
        "hostnames": [facts.hostname],
        "gateway": {"name": target.gateway, "namespace": target.namespace, "sectionName": target.listener},
    }


def _parts(config: HubConfig, facts: HubFacts) -> Iterator[HubPart]:
    """Yield what each subject adds."""
    yield signin_part(config, facts)
    yield homes_part(config, facts)
    yield identity_part(config, facts)
    yield operation_part(config, facts)
    yield profiles_part(config)
    yield limits_part(config)
    yield pages_part(config, facts)
    yield lxcfs_part(config)


def _priority(name: str | None) -> Value:
    return {} if name is None else {"priorityClassName": name}


def _put_image(values: dict[str, dict[str, Value]], place: tuple[str, ...], image: ImageReference) -> None:
    section, *below = place
    if not below:
        values[section] = {**values[section], "image": chart_image(image)}
        return
    (key,) = below
    inner = values[section].get(key)
    kept = inner if isinstance(inner, dict) else {}
    values[section] = {**values[section], key: {**kept, "image": chart_image(image)}}
