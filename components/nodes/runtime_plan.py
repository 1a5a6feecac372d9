"""The ``runtime`` step: containerd with its configuration and registries, runc and the reference CNI plugins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .host_files_plan import kubernetes_image, mirror_values, pinned_file
from .plan import members
from .steps import Step

if TYPE_CHECKING:
    from .config import NodesConfig
    from .settings import ClusterSettings
    from .steps import ScriptValue

__all__ = ["containerd_configuration", "registry_hosts", "runtime_steps"]

DOCKER_HUB = "docker.io"
DOCKER_HUB_SERVER = "https://registry-1.docker.io"
"""Docker Hub is the one registry whose server has another name (containerd, docs/hosts.md)."""
EVERY_OTHER = "_default"
"""Folder for registries without one of their own (containerd, docs/hosts.md)."""
CA_FILE = "/etc/containerd/research-compute-ca.pem"
"""Where the script puts the mirrors' certificates."""
PAUSE = "pause"
"""Name among the pinned images of what holds a pod's network namespace."""
FIRST_WITH_VERSION_4 = (2, 3)
"""containerd that has version 4 of the configuration (containerd, version/version.go). It refuses to start with a
drop-in whose version is higher than this file's, and NVIDIA's toolkit writes one of the version that `containerd config
dump` shows, which is the highest containerd knows: so this file has that version, too."""
DOWNLOADS_AT_ONCE = 5
"""Layers of one image that are downloaded at the same time; containerd's default is 3, meant for slower lines."""


def runtime_steps(config: NodesConfig, settings: ClusterSettings) -> tuple[Step, ...]:
    """Return the ``runtime`` step of every node's host, by name in order.

    Raises
    ------
    MissingPinError
        If the environment does not pin containerd, runc, the CNI plugins or the pause image.
    """
    registries = registry_hosts(config)
    values: dict[str, ScriptValue] = {
        **mirror_values(config),
        **pinned_file("CONTAINERD", settings.pins.host_file("containerd")),
        **pinned_file("RUNC", settings.pins.host_file("runc")),
        **pinned_file("CNI_PLUGINS", settings.pins.host_file("cni-plugins")),
        "CONTAINERD_CONF": containerd_configuration(settings),
        "REGISTRIES": tuple(registries),
        "REGISTRY_HOSTS": tuple(registries.values()),
        "REGISTRY_CA": _certificates(config),
    }
    return tuple(
        Step(
            name="runtime",
            subject=name,
            host=name,
            values=values,
            libraries=("programs",),
            after=(("system", name),),
        )
        for name in members(config)
    )


def containerd_configuration(settings: ClusterSettings) -> str:
    """Return ``/etc/containerd/config.toml``.

    Table names are those of version 3 (containerd, docs/cri/config.md); version 4 left the ones used here as they are.
    Whatever others put under ``conf.d`` is read after it.
    """
    version = settings.pins.host_file("containerd").version.removeprefix("v")
    release = tuple(int(part) for part in version.split(".")[:2])
    images, runtime = "plugins.'io.containerd.cri.v1.images'", "plugins.'io.containerd.cri.v1.runtime'"
    lines = [
        f"version = {4 if release >= FIRST_WITH_VERSION_4 else 3}",
        'imports = ["/etc/containerd/conf.d/*.toml"]',
        "",
        f"[{images}]",
        'snapshotter = "overlayfs"',
        f"max_concurrent_downloads = {DOWNLOADS_AT_ONCE}",
        "",
        f"[{images}.pinned_images]",
        f"sandbox = {_toml(kubernetes_image(settings.pins, PAUSE))}",
        "",
        f"[{images}.registry]",
        'config_path = "/etc/containerd/certs.d"',
        "",
        f"[{runtime}.cni]",
        'bin_dirs = ["/opt/cni/bin"]',
        'conf_dir = "/etc/cni/net.d"',
        "",
        f"[{runtime}.containerd]",
        'default_runtime_name = "runc"',
        "",
        f"[{runtime}.containerd.runtimes.runc]",
        'runtime_type = "io.containerd.runc.v2"',
        "",
        f"[{runtime}.containerd.runtimes.runc.options]",
        'BinaryName = "/usr/local/sbin/runc"',
        "SystemdCgroup = true",
    ]
    return "\n".join(lines)


def registry_hosts(config: NodesConfig) -> dict[str, str]:
    """Return the text of ``hosts.toml`` by folder under ``/etc/containerd/certs.d``.

    A registry's mirrors are asked in order, then the bundle where there is one, else the registry itself. With a bundle
    no registry is asked at all: in an air gap each would be waited for.
    """
    mirrors = config.runtime.registry_mirrors
    bundle = config.mirror.url.rstrip("/") if config.mirror else None
    has_ca = _certificates(config) is not None
    texts: dict[str, str] = {}
    for registry in sorted(mirrors):
        public = DOCKER_HUB_SERVER if registry == DOCKER_HUB else f"https://{registry}"
        texts[registry] = _hosts_toml(bundle or public, mirrors[registry], has_ca=has_ca)
    if bundle is not None:
        texts[EVERY_OTHER] = _hosts_toml(bundle, (), has_ca=has_ca)
    return texts


def _hosts_toml(server: str, mirrors: tuple[str, ...], *, has_ca: bool) -> str:
    pull = 'capabilities = ["pull", "resolve"]'
    lines = [f"server = {_toml(server)}", pull]
    if has_ca and server.startswith("https:"):
        lines.append(f"ca = {_toml(CA_FILE)}")
    for mirror in mirrors:
        lines += ["", f"[host.{_toml(mirror)}]", pull]
        if has_ca and mirror.startswith("https:"):
            lines.append(f"ca = {_toml(CA_FILE)}")
    return "\n".join(lines)


def _certificates(config: NodesConfig) -> str | None:
    """Return the certificates of all mirrors in one text, or None."""
    texts = [config.runtime.certificate_authority, config.mirror.certificate_authority if config.mirror else None]
    found = [text.rstrip("\n") for text in texts if text is not None]
    return "\n".join(dict.fromkeys(found)) or None


def _toml(text: str) -> str:
    """Return a text as a TOML basic string, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False)
