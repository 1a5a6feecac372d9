"""The review as JSON, for a program: without property values, so that nothing in it is long or secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.graph.values import Plain

from .verdict import verdict_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .changes import Destruction, StackReview

__all__ = ["review_json"]


def review_json(reviews: Sequence[StackReview]) -> dict[str, Plain]:
    """Return the verdict and each stack's review; docs/pull-requests.md documents the keys."""
    verdict = verdict_of(reviews)
    return {
        "exitCode": int(verdict.exit_code),
        "passes": not verdict.exit_code,
        "reasons": list[Plain](verdict.reasons),
        "stacks": [_stack(review) for review in reviews],
    }


def _stack(review: StackReview) -> Plain:
    policies = review.policies
    return {
        "stack": review.stack,
        "presence": review.presence.value,
        "touched": review.touched,
        "error": review.error,
        "baseError": review.base_error,
        "problems": list[Plain](review.problems),
        "counts": {operation.value: count for operation, count in sorted(review.counts.items())},
        "unchanged": review.unchanged,
        "destroyed": [_destroyed(item) for item in review.destroyed],
        "commands": [{"host": item.host, "step": item.step, "runs": item.runs} for item in review.commands],
        "releases": [{"name": item.name, "before": item.before, "after": item.after} for item in review.releases],
        "images": [
            {"before": item.before, "after": item.after, "resources": list[Plain](item.resources)}
            for item in review.images
        ],
        "outputs": [item.path for item in review.outputs],
        "protections": [{"urn": urn, "protected": protected} for urn, protected in review.protections],
        "steps": [
            {"operation": step.operation.value, "urn": step.urn, "properties": list[Plain](step.changes)}
            for step in review.steps
        ],
        "policies": {
            "newlyBroken": [
                {"rule": item.rule, "severity": item.severity.value, "urn": item.urn, "path": item.path}
                for item in policies.newly_broken
            ],
            "stillBroken": len(policies.still_broken),
            "mended": policies.mended,
            "newlyExcused": [{"rule": item.rule, "urn": item.urn} for item, _ in policies.newly_excused],
            "partly": policies.partly,
        },
    }


def _destroyed(item: Destruction) -> Plain:
    return {
        "urn": item.urn,
        "what": item.what,
        "operation": item.operation.value,
        "protected": item.protected,
        "namedBy": item.named_by,
        "allowedByEnvironment": item.free,
        "stops": item.unnamed,
    }
