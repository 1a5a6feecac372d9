"""What keeps the hub running: its database."""

from pydantic import Field

from components.model import Model
from components.quantities import Size

__all__ = ["DatabaseConfig"]


class DatabaseConfig(Model):
    """The hub's database: SQLite on a volume of its own."""

    capacity: Size = Field(default=Size.gibibytes(1), description="Capacity of its claim.")
