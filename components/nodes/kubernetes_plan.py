"""The ``kubernetes`` step: kubelet, kubeadm and kubectl of the pinned version, the kubelet's settings, first images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from components.quantities import Size

from .config import Role
from .host_files_plan import kubernetes_image, mirror_values, pinned_file
from .plan import members
from .steps import Step

if TYPE_CHECKING:
    from components.images import ImageReference
    from components.model import Value

    from .config import HostConfig, NodesConfig
    from .host_system_config import KubeletConfig
    from .settings import ClusterSettings
    from .steps import ScriptValue

__all__ = ["image_name", "kubelet_settings", "kubernetes_steps", "node_images", "tolerates_swap"]

WORKER_IMAGES = ("coredns", "kube-proxy", "pause")
"""What of kubeadm's images runs on a worker, too."""
DOCKER_HUB = "docker.io/"
LOG_SIZE = "50Mi"
"""Size at which a container's log is rotated (kubelet; its default of 10Mi holds minutes of a chatty training run)."""
LOG_FILES = 5
"""Log files kept of each container (kubelet's default)."""
IMAGES_HIGH_PERCENT = 80
"""How full the images' disk is when unused ones are removed: before the kubelet's own eviction at 85 %."""
IMAGES_LOW_PERCENT = 70
"""How full it may be afterwards."""
PULLS_AT_ONCE = 4
"""Images pulled at the same time: one after the other, a small image waits behind a notebook's ten gigabytes."""
RESERVED_SHARE = 50
"""A fiftieth of a host's memory is kept for its system, and the same again for Kubernetes' own programs; at least
`LEAST_RESERVED`, at most `MOST_RESERVED` each."""
LEAST_RESERVED = Size.parse("128Mi")
MOST_RESERVED = Size.gibibytes(2)


def kubernetes_steps(config: NodesConfig, settings: ClusterSettings) -> tuple[Step, ...]:
    """Return the ``kubernetes`` step of every node's host, by name in order.

    Raises
    ------
    MissingPinError
        If the environment does not pin what it installs, or an image it pulls beforehand.
    """
    return tuple(
        Step(
            name="kubernetes",
            subject=name,
            host=name,
            values=_values(config, host, settings),
            libraries=("programs",),
            after=(("runtime", name),),
        )
        for name, host in members(config).items()
    )


def tolerates_swap(kubelet: KubeletConfig) -> bool:
    """Return whether the kubelet starts on a host with swap."""
    return kubelet.settings.get("failSwapOn") is False


def kubelet_settings(config: NodesConfig, host: HostConfig) -> dict[str, Value]:
    """Return the KubeletConfiguration that is laid over kubeadm's on a host: ours, and over it the lab's own.

    Objects are merged key by key, everything else is replaced (RFC 7396, without its removal of null).
    """
    share = Size(min(max(host.hardware.memory.bytes // RESERVED_SHARE, LEAST_RESERVED.bytes), MOST_RESERVED.bytes))
    mebibytes = Size.parse(f"{share.bytes // Size.parse('1Mi').bytes}Mi")
    ours: dict[str, Value] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "containerLogMaxFiles": LOG_FILES,
        "containerLogMaxSize": LOG_SIZE,
        "imageGCHighThresholdPercent": IMAGES_HIGH_PERCENT,
        "imageGCLowThresholdPercent": IMAGES_LOW_PERCENT,
        "kubeReserved": {"memory": str(mebibytes)},
        "maxParallelImagePulls": PULLS_AT_ONCE,
        "rotateCertificates": True,
        "serializeImagePulls": False,
        "systemReserved": {"memory": str(mebibytes)},
    }
    return _merged(ours, config.kubelet.settings)


def node_images(config: NodesConfig, host: HostConfig, settings: ClusterSettings) -> tuple[str, ...]:
    """Return the images a host has before its node can be used, in order.

    Raises
    ------
    MissingPinError
        If ``nodes.prePull`` names an image the environment does not pin.
    """
    pins = settings.pins
    names = pins.kubernetes_images if Role.CONTROL_PLANE in host.roles else WORKER_IMAGES
    images = [kubernetes_image(pins, name) for name in sorted(names)]
    if Role.WORKER in host.roles:
        images += [image_name(pins.image(name)) for name in config.pre_pull]
    return tuple(dict.fromkeys(images))


def image_name(image: ImageReference) -> str:
    """Return the name under which the container runtime looks an image up.

    That is without a tag where there is a digest, and with ``library/`` in Docker Hub's official images (containerd,
    distribution/reference: ParseDockerRef).
    """
    repository = image.repository
    if f"{image.registry}/" == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return f"{image.registry}/{repository}@{image.digest}"


def _values(config: NodesConfig, host: HostConfig, settings: ClusterSettings) -> dict[str, ScriptValue]:
    pins = settings.pins
    has_etcd = Role.CONTROL_PLANE in host.roles
    return {
        **mirror_values(config),
        "KUBERNETES_VERSION": pins.kubernetes,
        **pinned_file("KUBELET", pins.host_file("kubelet")),
        **pinned_file("KUBEADM", pins.host_file("kubeadm")),
        **pinned_file("KUBECTL", pins.host_file("kubectl")),
        **(pinned_file("ETCD", pins.host_file("etcd")) if has_etcd else {"ETCD": (), "ETCD_VERSION": ""}),
        "KUBELET_SETTINGS": json.dumps(kubelet_settings(config, host), indent=2, sort_keys=True),
        "IMAGES": node_images(config, host, settings),
    }


def _merged(base: Mapping[str, Value], over: Mapping[str, Value]) -> dict[str, Value]:
    """Return one document laid over another, objects key by key."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged
