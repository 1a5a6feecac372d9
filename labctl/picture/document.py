"""A picture as JSON (docs/runs.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.graph.values import Plain

    from .model import Component, Picture

__all__ = ["document"]


def document(picture: Picture) -> dict[str, Plain]:
    """Return what `picture` shows: components, each with its kinds and those in it, and flows."""
    return {
        "stack": picture.stack,
        "resources": picture.count,
        "planned": picture.planned,
        "components": [_component(component) for component in picture.components],
        "flows": [
            {
                "source": flow.source,
                "target": flow.target,
                "values": flow.count,
                "byProvider": flow.by_provider,
                "examples": list(flow.examples),
            }
            for flow in picture.flows
        ],
    }


def _component(component: Component) -> dict[str, Plain]:
    return {
        "urn": component.urn,
        "type": component.type,
        "name": component.name,
        "resources": component.count,
        "kinds": [{"kind": kind.name, "count": kind.count, "changes": dict(kind.signs)} for kind in component.kinds],
        "components": [_component(child) for child in component.children],
    }
