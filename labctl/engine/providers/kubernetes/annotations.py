"""The ``pulumi.com/`` annotations by which a program asks for another behaviour on one object.

Source: pulumi-kubernetes ``provider/pkg/metadata/annotations.go`` and ``overrides.go``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from labctl.graph.values import as_mapping, as_text

from .exceptions import UnsupportedAnnotationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.values import Value

__all__ = ["Behaviour", "Propagation", "refuse_unsupported_annotations"]

PREFIX: Final = "pulumi.com/"


class Propagation(StrEnum):
    """What becomes of the objects that a deleted object owns."""

    FOREGROUND = "Foreground"
    BACKGROUND = "Background"
    ORPHAN = "Orphan"


@dataclass(frozen=True)
class Behaviour:
    """What one object's annotations ask for; absent ones are the defaults."""

    skip_await: bool = False
    """``skipAwait``: do not wait until it is ready."""
    patch_force: bool = False
    """``patchForce``: take over fields that other managers hold, on this object only."""
    field_manager: str = ""
    """``patchFieldManager``: a manager name of the program's choice."""
    timeout_seconds: float | None = None
    """``timeoutSeconds``."""
    propagation: Propagation | None = None
    """``deletionPropagationPolicy``."""

    @classmethod
    def of(cls, inputs: Mapping[str, Value]) -> Behaviour:
        """Return what the annotations of the object `inputs` ask for."""
        annotations = as_mapping(as_mapping(inputs.get("metadata")).get("annotations"))
        if not annotations:
            return cls()
        timeout = as_text(annotations.get(PREFIX + "timeoutSeconds"))
        policy = as_text(annotations.get(PREFIX + "deletionPropagationPolicy")).capitalize()
        return cls(
            skip_await=as_text(annotations.get(PREFIX + "skipAwait")) == "true",
            patch_force=as_text(annotations.get(PREFIX + "patchForce")) == "true",
            field_manager=as_text(annotations.get(PREFIX + "patchFieldManager")),
            timeout_seconds=float(timeout) if timeout.isdigit() else None,
            propagation=Propagation(policy) if policy in set(Propagation) else None,
        )


REFUSED: Final = {
    PREFIX + "waitFor": "wait in what uses the object, or put skipAwait on it",
    PREFIX + "replaceUnready": "remove it, and replace a failed Job by changing its name",
    PREFIX + "autonamed": "give the object a name of its own",
}


def refuse_unsupported_annotations(object_name: str, inputs: Mapping[str, Value]) -> None:
    """Return if no annotation of the object `inputs` asks for something this engine lacks.

    Raises
    ------
    UnsupportedAnnotationError
        Naming the object, the annotation and what to do instead.
    """
    annotations = as_mapping(as_mapping(inputs.get("metadata")).get("annotations"))
    for annotation in annotations:
        if annotation in REFUSED:
            raise UnsupportedAnnotationError(object_name, annotation, REFUSED[annotation])
