"""What is wrong with a stack file, as data: found by pure checks, shown all at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

__all__ = ["Path", "Problem", "render_path"]

Path = tuple[str | int, ...]
"""Keys (as the stack file spells them, camelCase) and list indices from the top of a section to one place in it."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, where, and what would be right.

    A component's checks name the path within their own section; the loader puts the section before it by `under`.
    """

    path: Path
    what: str
    """What is wrong, without its place."""
    remedy: str
    """What would be right."""
    line: int | None = None
    """Line in the stack file, counted from 1, where it is known."""

    def under(self, *prefix: str | int) -> Problem:
        """Return the same problem, its path seen from further up."""
        return replace(self, path=(*prefix, *self.path))

    def __str__(self) -> str:
        line = f" (line {self.line})" if self.line is not None else ""
        return f"{render_path(self.path)}{line}: {self.what}; {self.remedy}"


def render_path(path: Path) -> str:
    """Return a path as a person writes it: ``hub.profiles[2].resources.memory``.

    Examples
    --------
    >>> render_path(("hub", "profiles", 2, "resources", "memory"))
    'hub.profiles[2].resources.memory'
    """
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[\w-]+", step) is None:
            text += f'["{step}"]'
        else:
            text += f".{step}" if text else step
    return text or "the whole file"
