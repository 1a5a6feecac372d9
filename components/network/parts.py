"""What the parts of the network consist of, as data: a namespace each, releases of charts, custom resources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value
    from components.namespaces.plan import NamespacePlan
    from components.secrets import SecretRef

__all__ = ["ISSUER_KEY", "TLS", "CustomResourcePlan", "NetworkPart", "ReleasePlan", "SecretPlan"]

ISSUER_KEY = "issuer"
"""Key of the ClusterIssuer that services' certificates come from."""
TLS = "kubernetes.io/tls"
"""Type of a Secret of a certificate chain (``tls.crt``) and its private key (``tls.key``)."""


@dataclass(frozen=True, kw_only=True)
class ReleasePlan:
    """One release of a pinned chart in the part's namespace."""

    chart: str
    """Name of the pin, and key by which others wait for the release."""
    release_name: str
    values: Mapping[str, Value]
    after: tuple[str, ...] = ()
    """Keys of what has to exist before: charts, custom resources."""


@dataclass(frozen=True, kw_only=True)
class CustomResourcePlan:
    """One custom resource."""

    key: str
    """Suffix of its resource's name in the program, and key by which others wait for it."""
    api_version: str
    kind: str
    name: str
    spec: Mapping[str, Value]
    namespaced: bool = True
    """Whether it lives in the part's namespace; False where its kind is cluster-scoped."""
    after: tuple[str, ...] = ()
    """Keys of what has to exist before: the chart that brings its kind, other custom resources."""


@dataclass(frozen=True, kw_only=True)
class SecretPlan:
    """One Secret of the part's namespace."""

    name: str
    """Its name; also the suffix of its resource's name in the program."""
    data: Mapping[str, str | SecretRef]
    """Text by key: as it is, or the name of the configuration key that holds it."""
    type: str = "Opaque"

    @property
    def references(self) -> tuple[SecretRef, ...]:
        """The configuration keys it takes."""
        return tuple(text for text in self.data.values() if not isinstance(text, str))


@dataclass(frozen=True, kw_only=True)
class NetworkPart:
    """One part: made in the order of its lists, namespace first."""

    key: str
    namespace: NamespacePlan
    releases: tuple[ReleasePlan, ...]
    resources: tuple[CustomResourcePlan, ...]
    secrets: tuple[SecretPlan, ...] = ()
