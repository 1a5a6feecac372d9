"""A value that a preview cannot know: what a cluster or a person has yet to give."""

from __future__ import annotations

import pulumi

__all__ = ["unknown_text"]


def unknown_text() -> pulumi.Output[str]:
    """Return a secret text whose value is unknown, as an output of a resource not yet created is in a preview.

    Only for previews: outside one an engine has no use for it.
    """

    async def nothing() -> str:
        return ""

    async def yes() -> bool:
        return True

    async def no() -> bool:
        return False

    return pulumi.Output(set(), nothing(), no(), yes())
