"""What can go wrong in the engine; the state package has errors of its own."""

from __future__ import annotations

__all__ = [
    "AliasTakenError",
    "CancelledError",
    "DestructionRefusedError",
    "EngineError",
    "ProtectedError",
    "UnforeseenError",
    "UnknownProviderError",
    "UnsupportedPackageError",
]


class EngineError(Exception):
    """An operation of the engine that did not happen."""


class AliasTakenError(EngineError):
    """Two resources of the program were the same one before."""

    def __init__(self, *, former: str, urn: str, other: str) -> None:
        if urn == former:
            what = f'resource "{urn}" exists, and by its alias resource "{other}" goes on with it'
        elif other == former:
            what = f'by its alias, resource "{urn}" goes on with "{former}", which exists beside it'
        else:
            what = f'by their aliases, both "{urn}" and "{other}" go on with "{former}"'
        super().__init__(f"{what}. One resource can become one only: remove the alias, or the other resource")


class CancelledError(EngineError):
    """Nothing more is started because the person asked to stop."""

    def __init__(self) -> None:
        super().__init__("not started: stopping was asked for")


class DestructionRefusedError(EngineError):
    """A step would destroy data that the request does not name."""

    def __init__(self, *, urn: str, what: str) -> None:
        super().__init__(
            f"this would delete {what}, and what it holds with it. Nothing was done. "
            f"If that is meant, say so: --allow-destroy '{urn}'"
        )
        self.urn = urn


class ProtectedError(EngineError):
    """A protected resource would be deleted or replaced."""

    def __init__(self, urn: str) -> None:
        super().__init__(
            f'resource "{urn}" cannot be deleted because it is protected. Take protection off in the stack\'s '
            "environment first (stacks/environments.py), run `labctl up`, and delete it then"
        )
        self.urn = urn


class UnsupportedPackageError(EngineError):
    """The program uses a provider package that the embedded engine has not."""

    def __init__(self, *, package: str, known: tuple[str, ...]) -> None:
        super().__init__(
            f"provider package {package!r} is not in the embedded engine; it has {', '.join(known)}. "
            "The official engine (pulumi up) runs it as it is"
        )


class UnknownProviderError(EngineError):
    """A resource names a provider that is neither registered nor in the state."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"the provider {reference} is neither registered by the program nor in the state")


class UnforeseenError(EngineError):
    """A mistake of the engine or a provider; the operation's end is not known and stays pending."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"unforeseen {type(cause).__name__}: {cause}")
        self.__cause__ = cause
