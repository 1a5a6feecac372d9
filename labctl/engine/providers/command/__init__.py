"""The command provider: commands as resources, run on this machine."""

from typing import TYPE_CHECKING, Final

from .provider import CommandFactory, CommandProvider

if TYPE_CHECKING:
    from labctl.engine.providers.base import ProviderFactory

__all__ = ["FACTORY", "CommandFactory", "CommandProvider"]

FACTORY: Final["ProviderFactory"] = CommandFactory()
"""What the engine makes instances with."""
