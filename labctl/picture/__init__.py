"""A stack's components as a picture: what each is made of, what flows between them, what a plan changes.

`model` makes it out of a graph or a state, `layout` finds the places (pure), `svg`, `dot` and `document` write it.
"""

from __future__ import annotations

from .document import document
from .dot import dot
from .layout import lay_out
from .model import Component, Flow, Picture, picture_of
from .svg import svg

__all__ = ["Component", "Flow", "Picture", "document", "dot", "lay_out", "picture_of", "svg"]
