"""Failures of the storage component."""

from __future__ import annotations

__all__ = ["MissingServerError"]


class MissingServerError(ValueError):
    """Storage that is to be built on a server whose address nobody gave: a mistake in the wiring."""

    def __init__(self, host: str) -> None:
        super().__init__(f"storage is built on host {host}, and its address was not handed to Storage")
        self.host = host
