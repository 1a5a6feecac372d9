"""Bounds on users' servers: when they are stopped without being asked, how many there may be."""

from typing import Self

from pydantic import Field, model_validator

from components.model import Model
from components.quantities import Duration

from .errors import CullingIntervalError

__all__ = ["CullingConfig", "ServersConfig"]


class CullingConfig(Model):
    """When servers are stopped without being asked."""

    idle: Duration = Field(default=Duration.parse("2h"), description="How long a server may be idle.")
    every: Duration = Field(default=Duration.parse("10m"), description="How often idle servers are looked for.")
    max_age: Duration | None = Field(default=None, description="How long any server may run, busy or not.")

    @model_validator(mode="after")
    def _looks_often_enough(self) -> Self:
        if self.every > self.idle:
            raise CullingIntervalError(self.every, self.idle)
        return self


class ServersConfig(Model):
    """Bounds on user servers altogether."""

    start_timeout: Duration = Field(
        default=Duration.parse("10m"), description="How long a server may take to start; a large image is pulled first."
    )
    concurrent_spawns: int = Field(
        default=64, ge=1, le=1024, description="Servers that may be starting at once; more are asked to try again."
    )
    most: int | None = Field(default=None, ge=1, description="Servers that may run at once; without it, no bound.")
