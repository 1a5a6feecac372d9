"""What an answer of the API server means to a person: API failures as this package's exceptions."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from labctl.graph.values import as_text

from .exceptions import FieldConflictError, KubernetesError, RejectedError
from .manifests import scrubbed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.values import Value

    from .client import ApiError

__all__ = ["cannot_be_previewed", "is_namespace_missing", "translated"]

FIELD_MANAGER_CONFLICT = "FieldManagerConflict"
"""``reason`` of a cause in a Conflict from server-side apply (``k8s.io/apimachinery/pkg/apis/meta/v1``)."""


def translated(error: ApiError, kind: str, object_id: str, inputs: Mapping[str, Value]) -> KubernetesError:
    """Return the failure to show for `error`; no secret of `inputs` is in its message."""
    conflicts = [
        (as_text(cause.get("field")), _manager(as_text(cause.get("message"))))
        for cause in error.causes
        if cause.get("reason") == FIELD_MANAGER_CONFLICT
    ]
    if conflicts:
        return FieldConflictError(kind, object_id, conflicts)
    return RejectedError(kind, object_id, scrubbed(error.message, inputs))


def _manager(message: str) -> str:
    """Return the manager in ``conflict with "kubectl" using apps/v1``."""
    parts = message.split('"')
    return parts[1] if len(parts) > 1 else message


def is_namespace_missing(error: ApiError) -> bool:
    """Tell whether an object could not be written because its namespace is not there."""
    return error.status == HTTPStatus.NOT_FOUND and error.subject_kind == "namespaces"


def cannot_be_previewed(error: ApiError) -> bool:
    """Tell whether a dry run's failure says nothing about the real run, as the official provider sees it.

    What it needs may not exist yet (namespace, class, role), it may still be there because it is to be replaced, or a
    webhook may not do dry runs (``provider.go``, ``Create``).
    """
    if error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN} or error.reason == "AlreadyExists":
        return True
    if error.status == HTTPStatus.BAD_REQUEST:
        return "does not support dry run" in error.message
    return error.is_passing
