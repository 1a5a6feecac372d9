"""What can go wrong while a program is recorded."""

from __future__ import annotations

__all__ = ["DuplicateResourceError", "GraphError", "InvalidAliasError", "ProgramError", "UnsupportedFeatureError"]


class GraphError(Exception):
    """The program's resource graph cannot be had."""


class UnsupportedFeatureError(GraphError):
    """The program uses something of Pulumi that the embedded engine does not have."""

    def __init__(self, *, resource: str, feature: str, instead: str) -> None:
        super().__init__(
            f"{resource} uses {feature}, which the embedded engine does not support. {instead} "
            "The official engine (pulumi up) runs it as it is."
        )


class DuplicateResourceError(GraphError):
    """Two resources were registered under one URN."""

    def __init__(self, urn: str) -> None:
        super().__init__(f"two resources have the same URN {urn}; give one of them another name")


class InvalidAliasError(GraphError):
    """A resource's former name is none."""

    def __init__(self, *, resource: str, alias: str) -> None:
        super().__init__(
            f"{resource} has the alias {alias!r}, which is not a URN (urn:pulumi:<stack>::<project>::<type>::<name>); "
            "write Alias(name=...) for what it was called before"
        )


class ProgramError(GraphError):
    """The program itself raised an exception."""

    def __init__(self, *, cause: BaseException, place: str) -> None:
        super().__init__(f"the program failed at {place}: {type(cause).__name__}: {cause}")
        self.cause = cause
