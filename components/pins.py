"""Pinned versions as data: what `stacks/pins/<environment>.yaml` holds, handed to every component."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from .errors import FloatingVersionError, MissingPinError
from .images import ImageReference
from .model import Model

__all__ = ["ChartPin", "ExactVersion", "ImagePin", "PackagePins", "Pins"]

_EXACT = re.compile(r"v?[0-9]+\.[0-9]+(\.[0-9]+)*([-+.~][0-9A-Za-z.+~-]+)?\Z")
"""One version: no range operators, no wildcard, no `latest`."""


def _exact(version: str) -> str:
    if _EXACT.match(version) is None:
        raise FloatingVersionError(version)
    return version


ExactVersion = Annotated[str, AfterValidator(_exact)]
"""One version that means the same tomorrow."""


class ChartPin(Model):
    """One chart at one version, and where it comes from."""

    chart: str = Field(description="The chart's own name.")
    version: ExactVersion = Field(description="The chart's exact version.")
    repository: str = Field(
        pattern=r"^(https|oci|file)://",
        description="Where it is published: a Helm repository (https://), an OCI registry's folder (oci://), or "
        "a folder of packaged charts (file://).",
    )
    app_version: str | None = Field(default=None, description="Version of what the chart installs, for people to read.")
    digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="Digest of the packaged chart, where its publisher gives one.",
    )

    def from_mirror(self, mirror: str | None) -> ChartPin:
        """Return the same chart from a mirror (``oci://``, ``https://`` or ``file://``), or itself without one."""
        return self if mirror is None else self.model_copy(update={"repository": mirror})


class ImagePin(Model):
    """One container image, and how its digest is known."""

    image: ImageReference = Field(description="Registry, repository, tag and digest.")
    source: str = Field(description="Where the digest was read: a public repository and its path, or a registry.")


class PackagePins(Model):
    """Versions of what is installed on a host."""

    containerd: ExactVersion = Field(description="Container runtime, 2.x (Kubernetes 1.35 was the last with 1.x).")
    runc: ExactVersion = Field(description="OCI runtime under containerd.")
    cni_plugins: ExactVersion = Field(description="The reference CNI plugins (loopback, bridge, portmap).")


class Pins(Model):
    """Every version an environment runs."""

    kubernetes: ExactVersion = Field(description="Kubernetes: kubeadm, kubelet and control plane.")
    packages: PackagePins = Field(description="What is installed on hosts.")
    charts: dict[str, ChartPin] = Field(description="Charts, by the name components ask for.")
    images: dict[str, ImagePin] = Field(default={}, description="Images, by the name components ask for.")

    def chart(self, name: str) -> ChartPin:
        """Return the pin of a chart.

        Raises
        ------
        MissingPinError
            If the environment does not pin it.
        """
        try:
            return self.charts[name]
        except KeyError:
            raise MissingPinError(kind="chart", name=name, known=tuple(self.charts)) from None

    def image(self, name: str) -> ImageReference:
        """Return the reference of an image.

        Raises
        ------
        MissingPinError
            If the environment does not pin it.
        """
        try:
            return self.images[name].image
        except KeyError:
            raise MissingPinError(kind="image", name=name, known=tuple(self.images)) from None

    def from_mirror(self, mirror: str | None) -> Pins:
        """Return the same pins with every chart taken from a mirror, or themselves without one."""
        if mirror is None:
            return self
        return self.model_copy(update={"charts": {name: pin.from_mirror(mirror) for name, pin in self.charts.items()}})
