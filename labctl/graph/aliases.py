"""What a resource was called before, as the program says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from .errors import InvalidAliasError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulumi.runtime.proto import alias_pb2, resource_pb2

__all__ = ["Alias", "aliases_of"]

URN: Final = re.compile(r"urn:pulumi:[^:]*::[^:]*::.+?::.*", re.DOTALL)
"""Stack, project, qualified type and name (``urn.Parse``)."""


@dataclass(frozen=True, kw_only=True)
class Alias:
    """A former name: a whole URN, or what differed then; what is empty was as it is now."""

    urn: str = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str = ""
    """URN of the former parent, under whatever name that has now or had then."""
    no_parent: bool = False
    """True: it had none but the stack."""


def aliases_of(request: resource_pb2.RegisterResourceRequest) -> tuple[Alias, ...]:
    """Return the aliases of `request`, in its order: those given as URNs only first, as the official engine takes them.

    Raises
    ------
    InvalidAliasError
        An alias, or its parent, is not a URN.
    """
    found = [Alias(urn=urn) for urn in request.aliasURNs]
    for stated in cast("Iterable[alias_pb2.Alias]", request.aliases):  # pyright: ignore[reportUnknownMemberType] - the stubs import it by a wrong name
        if stated.WhichOneof("alias") == "spec":
            spec = stated.spec
            found.append(
                Alias(
                    name=spec.name,
                    type=spec.type,
                    stack=spec.stack,
                    project=spec.project,
                    parent=spec.parentUrn,
                    no_parent=spec.noParent,
                )
            )
        else:
            found.append(Alias(urn=stated.urn))
    for alias in found:
        for urn in (alias.urn, alias.parent):
            if urn and not URN.fullmatch(urn):
                raise InvalidAliasError(resource=f"{request.type} {request.name!r}", alias=urn)
    return tuple(alias for alias in found if alias != Alias())
