"""Who uses a claim on the cluster: its files are not replaced under a running program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.cluster_access import kubeconfig_of
from labctl.engine.providers.base import ProviderError
from labctl.engine.providers.kubernetes.client import ApiError, Client, Method, Request
from labctl.engine.providers.kubernetes.kubeconfig import Kubeconfig, Overrides
from labctl.graph.values import as_mapping, as_text

from .errors import StillUsedError

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.engine.state import Snapshot
    from labctl.graph.values import Inputs

    from .wanted import Wanted

__all__ = ["require_unused", "users_of"]

ENDED: Final = ("Succeeded", "Failed")
"""Phases of pods that use nothing any more."""
DOWN: Final = "--cluster-is-down"


def require_unused(wanted: Wanted, snapshot: Snapshot, root: Path, *, cluster_is_down: bool) -> None:
    """Return if no pod mounts what would be replaced.

    Parameters
    ----------
    wanted
        What would be replaced; folders that every server mounts are not asked about.
    snapshot
        The stack's state, which has the kubeconfig.
    root
        The project's folder.
    cluster_is_down
        Whether the person knows that nothing runs, and that nobody need be asked.

    Raises
    ------
    StillUsedError
        A pod does, or the cluster could not be asked.
    """
    if wanted.claim is None or cluster_is_down:
        return
    remedy = f"if you know that no pod uses it, add {DOWN}"
    kubeconfig = kubeconfig_of(snapshot)
    if kubeconfig is None:
        raise StillUsedError(dataset=wanted.dataset, why="the state has no cluster to ask who uses it", remedy=remedy)
    try:
        users = users_of(Client(Kubeconfig.load(kubeconfig, root).access(Overrides())), *wanted.claim)
    except (ProviderError, ApiError, OSError) as error:
        why = f"the cluster could not be asked who uses it ({error})"
        raise StillUsedError(dataset=wanted.dataset, why=why, remedy=remedy) from error
    if users:
        raise StillUsedError(
            dataset=wanted.dataset,
            why=f"{', '.join(users)} in {wanted.claim[0]} uses it",
            remedy=(
                f"scale the hub to 0 first (kubectl scale -n {wanted.claim[0]} deployment/hub --replicas=0)"
                if wanted.is_database
                else "stop the user's server first (in the hub's admin panel)"
            ),
        )


def users_of(client: Client, namespace: str, claim: str) -> tuple[str, ...]:
    """Return the names of the pods that mount a claim."""
    _, answer = client.send(Request(method=Method.GET, path=f"/api/v1/namespaces/{namespace}/pods"))
    items = answer.get("items")
    pods = [as_mapping(item) for item in items] if isinstance(items, list) else []
    return tuple(sorted(as_text(as_mapping(pod.get("metadata")).get("name")) for pod in pods if _uses(pod, claim)))


def _uses(pod: Inputs, claim: str) -> bool:
    if as_text(as_mapping(pod.get("status")).get("phase")) in ENDED:
        return False
    volumes = as_mapping(pod.get("spec")).get("volumes")
    claims = (
        (as_mapping(as_mapping(volume).get("persistentVolumeClaim")) for volume in volumes)
        if isinstance(volumes, list)
        else ()
    )
    return any(as_text(found.get("claimName")) == claim for found in claims)
