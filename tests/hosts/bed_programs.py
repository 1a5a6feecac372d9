"""The programs that hosts and their pods run: from their publishers where reachable, else built from their Go modules.

Two sets of Kubernetes' own: the pinned release, and the same source told by the linker that it is the next minor
version. The second exists to try the upgrade's mechanism (order, drains, the version checks of kubeadm, new images);
it says nothing about what a real next minor changes.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bed_machine import BUILDING_RUNC, require_on_machine

from labctl.control_plane.cache import tool_path
from labctl.control_plane.obtain import Toolbox
from labctl.control_plane.pins import Purpose, ToolPin, VersionFit, tool_pin
from labctl.control_plane.progress import Progress, silent

__all__ = ["Programs", "kubernetes_version", "next_kubernetes_version", "obtain_programs"]

KUBERNETES = (
    "kubeadm",
    "kubelet",
    "kubectl",
    "kube-proxy",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
)
"""Built first, the largest share of their packages in common."""

OTHERS = (
    "etcd",
    "etcdctl",
    "etcdutl",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "runc",
    "bridge",
    "host-local",
    "loopback",
    "portmap",
    "coredns",
)

OWN = ("pause", "probe")
"""Programs of ours, in `programs/`."""

SOURCES = Path(__file__).parent / "programs"


@dataclass(frozen=True, kw_only=True)
class Programs:
    """Executables by name, for this machine's processor."""

    current: Mapping[str, Path]
    """All of them, Kubernetes at its pinned version."""
    following: Mapping[str, Path]
    """Kubernetes' own, called the next minor version."""
    versions: Mapping[str, str]
    """Version of each of `current`, without a leading v."""

    def kubernetes(self, version: str) -> Mapping[str, Path]:
        """Return Kubernetes' own programs that call themselves `version` (without v), one of the two there are."""
        return {kubernetes_version(): self.current, next_kubernetes_version(): self.following}[version]


def kubernetes_version() -> str:
    """Return the pinned version of Kubernetes, without v."""
    return tool_pin("kubelet").version


def next_kubernetes_version() -> str:
    """Return what the second set calls itself: the next minor version, patch 0."""
    major, minor, _ = kubernetes_version().split(".")
    return f"{major}.{int(minor) + 1}.0"


def obtain_programs(progress: Progress = silent) -> Programs:
    """Return all programs; what was missing is in the cache of tools afterwards (20 minutes on two cores from nothing).

    Raises
    ------
    ToolUnavailableError
        One could be neither downloaded nor built; says why.
    """
    # The same bytes everywhere, whatever is on this machine's PATH: they go into images.
    current = [tool_pin(name).model_copy(update={"fits": VersionFit.NONE}) for name in (*KUBERNETES, *OTHERS)]
    current += map(_own_pin, OWN)
    following = [_relabelled(tool_pin(name)) for name in KUBERNETES]
    # One call, one build room: what both sets and several programs have in common is compiled once.
    if not tool_path("runc", tool_pin("runc").version).exists():
        require_on_machine(BUILDING_RUNC, progress)
    paths = Toolbox().obtain_pinned([*current, *following], progress)
    return Programs(
        current=_by_name(current, paths[: len(current)]),
        following=_by_name(following, paths[len(current) :]),
        versions={pin.name: pin.version for pin in current},
    )


def _by_name(pins: Iterable[ToolPin], paths: Iterable[Path]) -> dict[str, Path]:
    return {pin.name: path for pin, path in zip(pins, paths, strict=True)}


def _relabelled(pin: ToolPin) -> ToolPin:
    minor, following = (version.split(".")[1] for version in (pin.version, next_kubernetes_version()))
    flags = pin.ldflags.replace(f"gitMinor={minor}", f"gitMinor={following}")
    # No release is this program: it is built, always.
    changes = {"version": next_kubernetes_version(), "ldflags": flags, "fits": VersionFit.NONE, "release": None}
    return pin.model_copy(update=changes)


def _own_pin(name: str) -> ToolPin:
    module = SOURCES / name
    # A changed source is another version, or the cache would give out what was built from the old one.
    digest = hashlib.sha256((module / "main.go").read_bytes()).hexdigest()
    return ToolPin(
        name=name,
        version=f"0.0.{int(digest[:8], 16)}",
        fits=VersionFit.NONE,
        probe=("-v",),
        module=str(module),
        package=".",
        ldflags="-s -w",
        purpose=Purpose.HOSTS,
    )
