"""What a run did, as JSON: the shape of a plan (``pulumi preview --json``), and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.graph.values import redact

from .json_shape import preview_json

if TYPE_CHECKING:
    from labctl.engine.report import Report
    from labctl.graph.values import Plain

__all__ = ["result_json"]


def result_json(report: Report, *, seconds: float) -> dict[str, Plain]:
    """Return what was done in the shape of `preview_json`, with ``result`` and ``outputs`` (secrets hidden) added."""
    shape = preview_json(report, config={}, seconds=seconds)
    shape["result"] = "failed" if report.failures else "succeeded"
    shape["outputs"] = {key: redact(value) for key, value in sorted(report.outputs.items())}
    return shape
