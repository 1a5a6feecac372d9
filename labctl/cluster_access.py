"""A stack's cluster, reached as its state says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.engine.providers.kubernetes.client import CONNECT_SECONDS, Client
from labctl.engine.providers.kubernetes.kubeconfig import Kubeconfig, Overrides
from labctl.graph.values import as_text

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.engine.state import ResourceState, Snapshot

__all__ = ["client_of", "kubeconfig_of"]

PROVIDER_TYPE: Final = "pulumi:providers:kubernetes"


def kubeconfig_of(snapshot: Snapshot) -> str | None:
    """Return the kubeconfig that the stack's state has, None before the cluster was brought up."""
    provider = _provider(snapshot)
    return None if provider is None else as_text(provider.inputs.get("kubeconfig"))


def client_of(snapshot: Snapshot, root: Path, *, connect_seconds: float = CONNECT_SECONDS) -> Client | None:
    """Return a client of the cluster in the stack's state, None before that was brought up.

    Raises
    ------
    ProviderError
        The kubeconfig cannot be used.
    """
    provider = _provider(snapshot)
    if provider is None:
        return None
    kubeconfig = Kubeconfig.load(as_text(provider.inputs.get("kubeconfig")), root)
    context = as_text(provider.inputs.get("context"))
    return Client(kubeconfig.access(Overrides(context=context)), connect_seconds=connect_seconds)


def _provider(snapshot: Snapshot) -> ResourceState | None:
    for state in snapshot.live.values():
        if state.type == PROVIDER_TYPE and as_text(state.inputs.get("kubeconfig")):
            return state
    return None
