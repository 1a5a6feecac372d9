"""The hub's pages: whom people turn to."""

from pydantic import Field

from components.model import Model

__all__ = ["PagesConfig"]


class PagesConfig(Model):
    """What the hub's pages say beside what they are for."""

    contact: str | None = Field(
        default=None,
        min_length=3,
        max_length=200,
        title="Contact",
        description="Whom users turn to, plain text: an address, a room, a chat channel. Named on the pages where "
        "somebody may be stuck, and in every message that says to tell somebody.",
    )
