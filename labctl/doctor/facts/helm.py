"""Helm's own record of a release, as it keeps it in a Secret. Pure."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from labctl.graph.values import as_mapping, as_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.graph.values import Inputs, Value

__all__ = ["DEPLOYED", "SELECTOR", "HelmRelease", "newest_releases"]

SELECTOR: Final = "owner=helm"
"""Label of Helm's Secrets (helm, ``pkg/storage/driver/secrets.go``)."""
DEPLOYED: Final = "deployed"
"""Status of a release that is installed (helm, ``pkg/release/status.go``)."""


@dataclass(frozen=True, kw_only=True)
class HelmRelease:
    """The newest revision of one release."""

    namespace: str
    name: str
    revision: int
    status: str
    chart: str = ""
    version: str = ""
    """Of the chart; empty where the Secret cannot be read."""


def newest_releases(secrets: Iterable[Inputs]) -> tuple[HelmRelease, ...]:
    """Return the newest revision of every release among Helm's Secrets, by namespace and name."""
    newest: dict[tuple[str, str], tuple[int, Inputs]] = {}
    for secret in secrets:
        metadata = as_mapping(secret.get("metadata"))
        labels = as_mapping(metadata.get("labels"))
        revision = as_text(labels.get("version"))
        key = (as_text(metadata.get("namespace")), as_text(labels.get("name")))
        if revision.isdigit() and key[1] and int(revision) > newest.get(key, (0, {}))[0]:
            newest[key] = (int(revision), secret)
    return tuple(_release(key, revision, secret) for key, (revision, secret) in sorted(newest.items()))


def _release(key: tuple[str, str], revision: int, secret: Inputs) -> HelmRelease:
    labels = as_mapping(as_mapping(secret.get("metadata")).get("labels"))
    chart = as_mapping(as_mapping(_content(secret).get("chart")).get("metadata"))
    return HelmRelease(
        namespace=key[0],
        name=key[1],
        revision=revision,
        status=as_text(labels.get("status")),
        chart=as_text(chart.get("name")),
        version=as_text(chart.get("version")),
    )


def _content(secret: Inputs) -> Inputs:
    """Return what Helm wrote: JSON, packed by gzip, in base64, and that again in base64 as any Secret's data is."""
    text = as_text(as_mapping(secret.get("data")).get("release"))
    try:
        return as_mapping(cast("Value", json.loads(gzip.decompress(base64.b64decode(base64.b64decode(text))))))
    except (binascii.Error, ValueError, OSError, EOFError, zlib.error):
        return {}
