"""The random provider: passwords, ids, names and numbers that stay as they were drawn."""

from typing import TYPE_CHECKING, Final

from .provider import RandomFactory, RandomProvider

if TYPE_CHECKING:
    from labctl.engine.providers.base import ProviderFactory

__all__ = ["FACTORY", "RandomFactory", "RandomProvider"]

FACTORY: Final["ProviderFactory"] = RandomFactory()
"""What the engine makes instances with."""
