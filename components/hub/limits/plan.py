"""Limits of the hub section -> what refuses starts, what ends servers, and what warns their users of it.

Four things together: the step before each start (``files/lab_hub/limits.py``), a service beside the hub
(``files/lab_hub/culler.py``), the extension of JupyterLab (``files/labextension``) with its notices, and the chart's
own settings for named servers. Servers idle by their own account are ended by the chart's culler.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from components.hub.files.lab_hub.limits import GPU_IDLE_ANNOTATION, WALLTIME_ANNOTATION
from components.hub.parts import HubPart
from components.namespaces.flows import Direction, Flow, NetworkPeer, PodPeer, Port
from components.namespaces.plan import NAMESPACE_LABEL
from components.quantities import Duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.hub.config import HubConfig
    from components.hub.profiles.config import ProfileConfig
    from components.model import Value

    from .config import Amounts

__all__ = ["CULLER", "NOTICES", "culler_settings", "limits_flows", "limits_part", "notice_settings"]

CULLER = "lab-culler"
"""Name of the service, of its role and, in the chart's terms, of its token."""
CULLER_SCOPES = ("list:users", "read:servers", "delete:servers")
"""What the service may ask of the hub: names, servers, and to end them; nothing of an administrator."""
LOOK_EVERY = Duration.parse("1m")
"""How often the service looks: a walltime is at most this much exceeded."""
MODULES = "/usr/local/etc/jupyterhub"
"""Folder of the package ``lab_hub`` in the hub's container (`components.hub.values`)."""

NOTICES = "lab-notices"
"""Name of the ConfigMap with the extension, and of the volume that has it and the pod's notices."""
NOTICES_FOLDER = "/opt/research-compute/share/jupyter"
"""Where servers have it; JupyterLab finds it by JUPYTER_PATH, whatever the image."""
EXTENSION = "research-compute-notices"
"""Name of the extension, and of its folder."""
EVICTION_ANNOTATION = "research-compute/gpu-eviction-at"
"""`components.gpu.reslice.record.EVICTION_ANNOTATION`: that module belongs to a command, which this does not need."""
EXTENSION_FILES = {
    "package.json": f"labextensions/{EXTENSION}/package.json",
    "remoteEntry.js": f"labextensions/{EXTENSION}/static/remoteEntry.js",
    "settings.json": f"labextensions/{EXTENSION}/static/settings.json",
}
"""Keys of the ConfigMap, and where each lies below `NOTICES_FOLDER`."""
NOTICE_FILES = {
    "walltime-ends": WALLTIME_ANNOTATION,
    "gpu-eviction-at": EVICTION_ANNOTATION,
    "gpu-idle-seconds": GPU_IDLE_ANNOTATION,
}
"""Files beside the extension, and the pod's annotation each holds; empty while the pod has none."""
READABLE = 0o444
"""Mode of those files: whoever the server runs as reads them, nobody writes them."""


def limits_part(config: HubConfig) -> HubPart:
    """Return what the limits add to the hub's release.

    Parameters
    ----------
    config
        Hub section; checked.
    """
    named = config.servers.named
    return HubPart(
        settings={"limits": _step_settings(config)},
        services={CULLER: _culler(config)},
        roles={CULLER: {"scopes": list(CULLER_SCOPES), "services": [CULLER]}},
        hub={
            "allowNamedServers": named > 0,
            "namedServerLimitPerUser": named,
            # A start that is refused counts as failed, and after five in a row the chart's hub would end itself.
            "consecutiveFailureLimit": 0,
        },
        server_volumes={NOTICES: _notices_volume()},
        server_mounts={NOTICES: {"name": NOTICES, "mountPath": NOTICES_FOLDER, "readOnly": True}},
        server_environment={"JUPYTER_PATH": NOTICES_FOLDER},
    )


def limits_flows(config: HubConfig, hub: Mapping[str, str]) -> Iterator[Flow]:
    """Yield the flow by which the service asks Prometheus, where there is one.

    Parameters
    ----------
    config
        Hub section; checked.
    hub
        Labels of the hub's pod.
    """
    prometheus = None if config.culling.gpu is None else config.culling.gpu.prometheus
    if prometheus is None:
        return
    if prometheus.namespace is not None:
        peers: tuple[PodPeer | NetworkPeer, ...] = (PodPeer(namespace={NAMESPACE_LABEL: prometheus.namespace}),)
    else:
        peers = tuple(NetworkPeer(network=network) for network in prometheus.networks)
    yield Flow(
        name="hub-to-prometheus",
        reason="The hub's culler asks which GPUs do nothing.",
        direction=Direction.EGRESS,
        pods=hub,
        peers=peers,
        ports=(Port(prometheus.reached_port),),
    )


def culler_settings(config: HubConfig) -> Mapping[str, Value]:
    """Return the `CullerSettings` of ``files/lab_hub/culler.py``."""
    gpu = config.culling.gpu
    if gpu is None or gpu.prometheus is None:
        return {"everySeconds": LOOK_EVERY.seconds, "gpu": None}
    return {
        "everySeconds": LOOK_EVERY.seconds,
        "gpu": {
            "prometheus": gpu.prometheus.address.rstrip("/"),
            "idleSeconds": gpu.idle.seconds,
            "thresholdPercent": gpu.threshold,
        },
    }


def notice_settings(config: HubConfig) -> str:
    """Return what the extension reads (``settings.json``): when it warns, in seconds before the end."""
    return json.dumps({"warningSeconds": sorted({each.seconds for each in config.culling.warnings}, reverse=True)})


def _culler(config: HubConfig) -> Mapping[str, Value]:
    return {
        "command": ["python3", "-m", "lab_hub.culler"],
        "environment": {
            "PYTHONPATH": MODULES,
            "LAB_CULLER": json.dumps(culler_settings(config), sort_keys=True),
        },
    }


def _step_settings(config: HubConfig) -> Mapping[str, Value]:
    """Return the `LimitsSettings` of ``files/lab_hub/limits.py``."""
    limits, gpu = config.limits, config.culling.gpu
    default = next(profile.slug for profile in config.profiles if profile.default)
    settings: dict[str, Value] = {
        "groups": {group: _amounts(most) for group, most in limits.groups.items()},
        "default": default,
        "profiles": {profile.slug: _profile(profile, config.culling.max_age) for profile in config.profiles},
    }
    if limits.per_user is not None:
        settings["perUser"] = _amounts(limits.per_user)
    if gpu is not None:
        settings["gpuIdleSeconds"] = gpu.idle.seconds
    return settings


def _profile(profile: ProfileConfig, max_age: Duration | None) -> Mapping[str, Value]:
    # What ends every server at some age is announced like a walltime; the earlier one counts.
    ends = min((each.seconds for each in (profile.walltime, max_age) if each is not None), default=None)
    gpu = profile.default_gpu
    return {
        "gpus": 0 if gpu is None else gpu.count,
        "gpuChoices": {each.key: 0 if each.gpu is None else each.gpu.count for each in profile.options.gpu},
        **({} if ends is None else {"walltimeSeconds": ends}),
    }


def _amounts(most: Amounts) -> Mapping[str, Value]:
    every = {"servers": most.servers, "gpus": most.gpus}
    return {what: number for what, number in every.items() if number is not None}


def _notices_volume() -> Mapping[str, Value]:
    """Return one volume of both, so that JupyterLab serves the notices as files of the extension.

    The kubelet keeps the notices as the annotations are: within its sync period, a minute or two.
    """
    notices = [
        {
            "path": f"labextensions/{EXTENSION}/static/{name}",
            "fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"},
        }
        for name, annotation in NOTICE_FILES.items()
    ]
    extension: Mapping[str, Value] = {
        "name": NOTICES,
        "items": [{"key": key, "path": path} for key, path in EXTENSION_FILES.items()],
        # No notice is worth a server that does not start.
        "optional": True,
    }
    return {
        "projected": {
            "defaultMode": READABLE,
            "sources": [{"configMap": extension}, {"downwardAPI": {"items": notices}}],
        }
    }
