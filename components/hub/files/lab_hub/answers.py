"""Answers of the API server, read as JSON: making KubeSpawner's models of them takes longer than the rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol, cast

from .failures import message_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .upstream import JsonObject

__all__ = ["answer_of"]


class _Response(Protocol):
    """An answer that is not read yet (aiohttp)."""

    status: int

    async def read(self) -> bytes: ...
    def release(self) -> None: ...


async def answer_of(method: Callable[..., Awaitable[object]], **named: object) -> tuple[int, JsonObject]:
    """Return status and content of an answer of the API server."""
    response = cast("_Response", await method(_preload_content=False, **named))
    try:
        text = (await response.read()).decode()
    finally:
        response.release()
    if response.status < 300:  # noqa: PLR2004 - every 2xx is a success
        return response.status, json.loads(text)
    return response.status, {"message": message_of(text)}
