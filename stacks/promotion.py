"""What a promotion may move from one environment to the next: steps, schemes of versions, what moves together.

A pin is named by its place in the environment's file: ``kubernetes``, ``charts/jupyterhub``, ``hostFiles/kubelet``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType

from .environments import Change

__all__ = [
    "ALLOWED",
    "TOGETHER",
    "VERSIONING",
    "Scheme",
    "Step",
    "Together",
    "Versioning",
    "together_with",
    "versioning_of",
]


class Step(StrEnum):
    """What moving a pin would mean."""

    SAME_VERSION = "same version"
    """A digest, a checksum or a source differs; the version does not."""
    NEW = "new"
    """The environment has no such pin yet."""
    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"
    """What the component's own versioning lets break."""
    PRERELEASE = "pre-release"
    """To a version that its publisher has not released yet."""
    UNCLEAR = "unclear"
    """The two versions have no order that anybody could read off them."""
    SKIP = "skip"
    """Past a version in between that the component cannot leave out."""
    DOWN = "down"
    """To an older version."""


class Scheme(StrEnum):
    """How a component's versions are read."""

    SEMANTIC = "semantic"
    """``major.minor.patch``; below 1.0 the second number may break (semver.org, 4). Of an image: its tag, a date in
    it read as one."""
    CALENDAR = "calendar"
    """``year.month.patch``: every month is a line of its own, without a promise to the one before."""


@dataclass(frozen=True, kw_only=True)
class Versioning:
    """How the versions of some pins are judged."""

    pins: tuple[str, ...]
    """Shell patterns of pins."""
    scheme: Scheme
    reason: str
    one_minor_at_a_time: bool = False
    can_go_down: bool = True
    """Whether ``--allow-downgrade`` may take it back."""


@dataclass(frozen=True, kw_only=True)
class Together:
    """Pins that move together or not at all."""

    name: str
    """What people call them."""
    pins: tuple[str, ...]
    """Shell patterns of its members."""
    judged: tuple[str, ...]
    """Patterns of the members whose versions decide; the others follow."""
    same_version: tuple[str, ...]
    """Patterns of the members that have one and the same version in an environment that is sound."""
    reason: str


ALLOWED = MappingProxyType(
    {
        Change.MINOR: frozenset({Step.SAME_VERSION, Step.NEW, Step.PATCH, Step.MINOR}),
        Change.MAJOR: frozenset(
            {Step.SAME_VERSION, Step.NEW, Step.PATCH, Step.MINOR, Step.MAJOR, Step.PRERELEASE, Step.UNCLEAR}
        ),
    }
)
"""The steps each way takes. No way takes `Step.SKIP`, and `Step.DOWN` only where somebody asks for it."""

_KUBERNETES = ("kubernetes", "hostFiles/kubelet", "hostFiles/kubeadm", "hostFiles/kubectl")

VERSIONING: tuple[Versioning, ...] = (
    Versioning(
        pins=(*_KUBERNETES, "kubernetesImages/*"),
        scheme=Scheme.SEMANTIC,
        one_minor_at_a_time=True,
        can_go_down=False,
        reason="kubeadm upgrades from one minor version to the next and to nothing else, never down "
        "(kubernetes.io/releases/version-skew-policy)",
    ),
    Versioning(
        pins=("charts/gpu-operator",),
        scheme=Scheme.CALENDAR,
        reason="NVIDIA numbers its operator by year, month and patch, and supports each month's line by itself",
    ),
    Versioning(pins=("*",), scheme=Scheme.SEMANTIC, reason="charts and programs are numbered by semver.org"),
)
"""The first whose patterns fit."""

TOGETHER: tuple[Together, ...] = (
    Together(
        name="Kubernetes",
        pins=(*_KUBERNETES, "kubernetesImages/*"),
        judged=("kubernetes",),
        same_version=_KUBERNETES,
        reason="kubeadm installs exactly its own version, and starts the images of its constants.go",
    ),
    Together(
        name="Calico",
        pins=("charts/tigera-operator", "charts/crd.projectcalico.org.v1"),
        judged=("charts/tigera-operator", "charts/crd.projectcalico.org.v1"),
        same_version=("charts/tigera-operator", "charts/crd.projectcalico.org.v1"),
        reason="the operator reads and writes custom resources of its own version's definitions",
    ),
)


def versioning_of(pin: str) -> Versioning:
    """Return how the versions of a pin are judged."""
    return next(found for found in VERSIONING if any(_fits(pin, pattern) for pattern in found.pins))


def together_with(pin: str) -> Together | None:
    """Return the set that a pin moves with, or None where it moves by itself."""
    return next((found for found in TOGETHER if any(_fits(pin, pattern) for pattern in found.pins)), None)


def _fits(pin: str, pattern: str) -> bool:
    return fnmatchcase(pin, pattern)
