"""Pinned versions as data: what `stacks/pins/<environment>.yaml` holds, handed to every component."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from .errors import FloatingVersionError, MissingPinError
from .images import ImageReference, Interface
from .model import Model

__all__ = ["Architecture", "ChartPin", "ExactVersion", "HostFilePin", "ImagePin", "Pins"]

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
    interfaces: tuple[Interface, ...] = Field(
        default=(Interface.NOTEBOOK,),
        description="What people can work in, in the browser, in an image for users' servers: `notebook`, "
        "`code-server`, `rstudio`.",
    )


class Architecture(StrEnum):
    """Processor architecture of a host, as Go and Debian name it."""

    AMD64 = "amd64"
    ARM64 = "arm64"


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class HostFilePin(Model):
    """One file that hosts download: a program, or an archive of programs."""

    version: ExactVersion = Field(description="What it is a version of.")
    url: str = Field(
        pattern=r"^https?://[^\s/]+/\S+$",
        title="URL",
        description="Where its publisher has it; {version} and {arch} (amd64, arm64) are put in.",
    )
    sha256: dict[Architecture, Sha256] = Field(
        min_length=1, title="SHA-256", description="Checksum of the file, by architecture."
    )
    source: str = Field(description="Where the checksums were read: a public repository's path, or the publisher.")

    def address(self, architecture: Architecture) -> str:
        """Return the URL for one architecture."""
        return self.url.format(version=self.version, arch=architecture.value)


class Pins(Model):
    """Every version an environment runs."""

    kubernetes: ExactVersion = Field(description="Kubernetes: kubeadm, kubelet and control plane.")
    host_files: dict[str, HostFilePin] = Field(
        default={}, description="What hosts download: containerd, runc, cni-plugins, kubelet, kubeadm, kubectl, etcd."
    )
    kubernetes_images: dict[str, str] = Field(
        default={},
        description="Images kubeadm runs at this version, by name: etcd, coredns, pause, kube-proxy and the rest.",
    )
    charts: dict[str, ChartPin] = Field(description="Charts, by the name components ask for.")
    images: dict[str, ImagePin] = Field(default={}, description="Images, by the name components ask for.")

    def host_file(self, name: str) -> HostFilePin:
        """Return the pin of a file that hosts download.

        Raises
        ------
        MissingPinError
            If the environment does not pin it.
        """
        try:
            return self.host_files[name]
        except KeyError:
            raise MissingPinError(kind="host file", name=name, known=tuple(self.host_files)) from None

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
