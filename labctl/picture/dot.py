"""A picture in Graphviz's language, for whoever wants to lay it out otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .text import words

if TYPE_CHECKING:
    from .model import Component, Picture

__all__ = ["dot"]


def dot(picture: Picture) -> str:
    """Return `picture` as a directed graph: a cluster per component that has others in it, a box per component."""
    lines = [
        f"digraph {_quoted(picture.stack)} {{",
        "  rankdir=LR; compound=true; node [shape=box, style=rounded, fontname=sans]; edge [color=gray40];",
    ]
    for component in picture.components:
        lines += _component(component, "  ")
    for flow in picture.flows:
        style = ", style=dashed" if flow.by_provider else ""
        lines.append(f'  {_quoted(flow.source)} -> {_quoted(flow.target)} [label="{flow.count}"{style}];')
    return "\n".join([*lines, "}", ""])


def _component(component: Component, indent: str) -> list[str]:
    kinds = "".join(f"\\l{kind.count} {kind.name}" for kind in component.kinds)
    label = f"{words(component.type)} ({component.name}){kinds}\\l"
    node = f"{indent}{_quoted(component.urn)} [label={_quoted(label)}];"
    if not component.children:
        return [node]
    lines = [f"{indent}subgraph {_quoted('cluster ' + component.urn)} {{", f"  {node}"]
    for child in component.children:
        lines += _component(child, indent + "  ")
    return [*lines, f"{indent}}}"]


def _quoted(text: str) -> str:
    """Return `text` as a quoted identifier; a backslash stays, as Graphviz's own for the end of a line."""
    return '"' + text.replace('"', '\\"') + '"'
