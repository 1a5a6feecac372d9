"""Failures of namespace plans: mistakes in a component's own plan, never in a stack file."""

from __future__ import annotations

__all__ = ["FlowNameClashError", "FlowWithoutReasonError"]


class FlowNameClashError(ValueError):
    """Two flows of one namespace under one name: one policy would silently replace the other."""

    def __init__(self, name: str) -> None:
        super().__init__(f"two flows of one namespace are named {name!r}; give each a name of its own")
        self.name = name


class FlowWithoutReasonError(ValueError):
    """A flow that nobody could review."""

    def __init__(self, name: str) -> None:
        super().__init__(f"flow {name!r} gives no reason; say in one sentence what breaks without it")
        self.name = name
