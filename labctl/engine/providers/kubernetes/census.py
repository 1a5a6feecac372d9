"""Which names are taken: by single questions for a few objects, by one list for many.

A create must not touch an object that is there already, and server-side apply has no "only if new". Asking before each
create would cost the server half as much again as the create itself, so once several objects of one kind go into one
namespace their names are listed. What appears after the list is still noticed, by the apply's answer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final

from labctl.graph.values import as_mapping, as_text

from .client import Client, Method, Request

if TYPE_CHECKING:
    from .discovery import ResourceKind

__all__ = ["Census"]

SINGLE_QUESTIONS: Final = 8
"""So many objects of one collection are asked for one by one before their names are listed: a list of an old, full
namespace costs more than a few questions."""
FRESH_SECONDS: Final = 5.0
"""How long a list is believed."""
NAMES_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""The server leaves out everything but metadata."""


@dataclass
class _Collection:
    lock: Lock = field(default_factory=Lock)
    questions: int = 0
    names: frozenset[str] = frozenset()
    listed_at: float | None = None


class Census:
    """The names in the collections of one API server; thread-safe."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._collections: dict[str, _Collection] = {}
        self._lock = Lock()

    def may_hold(self, resource: ResourceKind, namespace: str, name: str) -> bool:
        """Tell whether an object may be there and has to be asked for; False: there was none a moment ago."""
        path = resource.collection(namespace)
        with self._lock:
            collection = self._collections.setdefault(path, _Collection())
        with collection.lock:
            collection.questions += 1
            if collection.questions <= SINGLE_QUESTIONS:
                return True
            now = time.monotonic()
            if collection.listed_at is None or now - collection.listed_at > FRESH_SECONDS:
                collection.names = self._listed(path)
                collection.listed_at = now
            return name in collection.names

    def _listed(self, path: str) -> frozenset[str]:
        _, body = self._client.send(Request(method=Method.GET, path=path, accept=NAMES_ONLY))
        items = body.get("items")
        found = (as_mapping(as_mapping(item).get("metadata")) for item in (items if isinstance(items, list) else []))
        return frozenset(as_text(metadata.get("name")) for metadata in found)
