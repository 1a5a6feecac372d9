"""Which kinds the API server has, asked once per API group and version, and again when one is missing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Final

from labctl.graph.values import as_mapping, as_text

from .client import ApiError, Client, Method, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Discovery", "ResourceKind"]

FRESH_SECONDS: Final = 0.1
"""An answer this young is not asked for again: many custom resources miss the same new kind at once."""


@dataclass(frozen=True)
class ResourceKind:
    """How objects of one kind are addressed."""

    api_version: str
    plural: str
    namespaced: bool

    def collection(self, namespace: str) -> str:
        """Return the path of all objects of this kind, within `namespace` if they live in one."""
        api_version = self.api_version
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{root}/{self.plural}"


@dataclass(frozen=True)
class _Answer:
    kinds: Mapping[str, ResourceKind]
    asked_at: float


class Discovery:
    """What one API server serves; thread-safe."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._answers: dict[str, _Answer] = {}
        self._lock = Lock()

    def find(self, api_version: str, kind: str, *, attempts: int | None = None) -> ResourceKind | None:
        """Return how objects of `kind` are addressed, or None when the server has no such kind (any more, or yet)."""
        answer = self._answers.get(api_version)
        if answer is not None and kind in answer.kinds:
            return answer.kinds[kind]
        with self._lock:
            answer = self._answers.get(api_version)
            if answer is None or (kind not in answer.kinds and time.monotonic() - answer.asked_at > FRESH_SECONDS):
                answer = _Answer(self._ask(api_version, attempts), time.monotonic())
                self._answers[api_version] = answer
        return answer.kinds.get(kind)

    def forget(self) -> None:
        """Ask anew from now on, for a CustomResourceDefinition came or went."""
        with self._lock:
            self._answers = {}

    def _ask(self, api_version: str, attempts: int | None) -> Mapping[str, ResourceKind]:
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        request = Request(method=Method.GET, path=root)
        if attempts is not None:
            request = Request(method=Method.GET, path=root, attempts=attempts)
        try:
            _, body = self._client.send(request)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return {}
            raise
        resources = body.get("resources")
        fields = [as_mapping(item) for item in resources] if isinstance(resources, list) else []
        return {
            as_text(item.get("kind")): ResourceKind(
                api_version, as_text(item.get("name")), item.get("namespaced") is True
            )
            for item in fields
            if "/" not in as_text(item.get("name"))
        }
