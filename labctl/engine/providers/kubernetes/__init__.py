"""The kubernetes provider: objects by server-side apply, node patches, Helm releases."""

from typing import Final

from labctl.engine.providers.base import ProviderFactory

from .configuration import KubernetesFactory

__all__ = ["FACTORY", "KubernetesFactory"]

FACTORY: Final[ProviderFactory] = KubernetesFactory()
"""The package ``kubernetes`` with its defaults; a simulated cluster needs a `KubernetesFactory` of its own."""
