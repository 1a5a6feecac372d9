"""The API server, asked for what is judged: each list once, several at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

from labctl.cluster_access import client_of
from labctl.engine.providers.base import ProviderError
from labctl.engine.providers.kubernetes.client import ApiError, Client, Method, Request
from labctl.engine.providers.kubernetes.exceptions import ClusterUnreachableError
from labctl.graph.values import as_mapping, as_text

from .fact import Fact, Inapplicable, Known, Unknown
from .helm import SELECTOR, HelmRelease, newest_releases
from .objects import (
    CertificateFacts,
    ClaimFacts,
    ClassFacts,
    NodeFacts,
    PodFacts,
    VolumeFacts,
    WorkloadFacts,
    certificate_facts,
    claim_facts,
    class_facts,
    node_facts,
    pod_facts,
    volume_facts,
    workload_facts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from threading import Event

    from labctl.engine.state import Snapshot
    from labctl.graph.values import Inputs

__all__ = ["ClusterFacts", "cluster_facts"]

Parsed = TypeVar("Parsed")
CONNECT_SECONDS: Final = 5.0
"""Until the API server takes a connection; the same the engine waits."""
ATTEMPTS: Final = 2
"""One lost answer is forgiven, and a server that is off is named soon."""
PARALLEL: Final = 4
"""Lists under way at once: what the API server's fairness takes of one person without a thought."""
PAGE: Final = 500
"""Objects of one answer, as kubectl asks for them (``--chunk-size``)."""
WORKLOADS: Final = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}


@dataclass(frozen=True, kw_only=True)
class ClusterFacts:
    """One cluster; each list by itself may have been refused."""

    server: str
    """URL of the API server."""
    version: str
    """Its version: ``v1.36.3``."""
    nodes: Fact[tuple[NodeFacts, ...]]
    classes: Fact[tuple[ClassFacts, ...]]
    claims: Fact[tuple[ClaimFacts, ...]]
    volumes: Fact[tuple[VolumeFacts, ...]]
    pods: Fact[tuple[PodFacts, ...]]
    workloads: Fact[tuple[WorkloadFacts, ...]]
    releases: Fact[tuple[HelmRelease, ...]]
    certificates: Fact[tuple[CertificateFacts, ...]]


class _Lists:
    """Lists of one API server; one that was asked for and refused stays a fact that is not known."""

    def __init__(self, client: Client, cancelled: Event, stack: str) -> None:
        self._client, self._cancelled, self._stack = client, cancelled, stack

    def every(self, path: str, parse: Callable[[Inputs], Parsed], **query: str) -> Fact[tuple[Parsed, ...]]:
        """Return all objects of a kind, parsed; none where the cluster does not have the kind."""
        try:
            return Known(tuple(parse(item) for item in self._items(path, query)))
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return Known(())
            remedy = (
                "use a kubeconfig whose user may list them" if error.status == HTTPStatus.FORBIDDEN else _again(self)
            )
            return Unknown(f"{path}: {error.message}", remedy)
        except (ProviderError, OSError) as error:
            return Unknown(str(error), _again(self))

    def _items(self, path: str, query: Mapping[str, str]) -> list[Inputs]:
        found: list[Inputs] = []
        rest = ""
        while True:
            asked = {**query, "limit": str(PAGE), **({"continue": rest} if rest else {})}
            request = Request(method=Method.GET, path=path, query=asked, attempts=ATTEMPTS, cancelled=self._cancelled)
            _, answer = self._client.send(request)
            items = answer.get("items")
            found += [as_mapping(item) for item in items] if isinstance(items, list) else []
            rest = as_text(as_mapping(answer.get("metadata")).get("continue"))
            if not rest or self._cancelled.is_set():
                return found

    @property
    def stack(self) -> str:
        """Name of the stack, for remedies."""
        return self._stack


def cluster_facts(snapshot: Snapshot, root: Path, stack: str, cancelled: Event) -> Fact[ClusterFacts]:
    """Return what the cluster of a stack's state says of itself.

    Parameters
    ----------
    snapshot
        The state, which has the kubeconfig.
    root
        The project's folder.
    stack
        Name of the stack, for remedies.
    cancelled
        Ends pauses between attempts.
    """
    try:
        client = client_of(snapshot, root, connect_seconds=CONNECT_SECONDS)
        if client is None:
            return Inapplicable("the state has no cluster yet")
        request = Request(method=Method.GET, path="/version", attempts=ATTEMPTS, cancelled=cancelled)
        _, version = client.send(request)
    except (ClusterUnreachableError, ApiError) as error:
        return Unknown(str(error), f"labctl up --stack {stack}", is_down=True)
    except (ProviderError, OSError) as error:
        return Unknown(str(error), "see to the kubeconfig that nodes.adopt names", is_down=True)
    try:
        return Known(_asked(_Lists(client, cancelled, stack), client.access.server, as_text(version.get("gitVersion"))))
    finally:
        client.close()


def _asked(lists: _Lists, server: str, version: str) -> ClusterFacts:
    with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="doctor-lists") as pool:
        nodes = pool.submit(lists.every, "/api/v1/nodes", node_facts)
        pods = pool.submit(lists.every, "/api/v1/pods", pod_facts)
        claims = pool.submit(lists.every, "/api/v1/persistentvolumeclaims", claim_facts)
        volumes = pool.submit(lists.every, "/api/v1/persistentvolumes", volume_facts)
        classes = pool.submit(lists.every, "/apis/storage.k8s.io/v1/storageclasses", class_facts)
        secrets = pool.submit(lists.every, "/api/v1/secrets", dict, labelSelector=SELECTOR)
        certificates = pool.submit(lists.every, "/apis/cert-manager.io/v1/certificates", certificate_facts)
        workloads = [
            pool.submit(lists.every, f"/apis/apps/v1/{plural}", _workload_of(kind))
            for kind, plural in WORKLOADS.items()
        ]
        return ClusterFacts(
            server=server,
            version=version,
            nodes=nodes.result(),
            pods=pods.result(),
            claims=claims.result(),
            volumes=volumes.result(),
            classes=classes.result(),
            releases=_releases_of(secrets.result()),
            certificates=certificates.result(),
            workloads=_together([work.result() for work in workloads]),
        )


def _workload_of(kind: str) -> Callable[[Inputs], WorkloadFacts]:
    return lambda item: workload_facts(kind, item)


def _releases_of(secrets: Fact[tuple[Inputs, ...]]) -> Fact[tuple[HelmRelease, ...]]:
    return Known(newest_releases(secrets.value)) if isinstance(secrets, Known) else secrets


def _together(lists: Sequence[Fact[tuple[Parsed, ...]]]) -> Fact[tuple[Parsed, ...]]:
    """Return lists as one; one that is not known leaves none known."""
    every: list[Parsed] = []
    for part in lists:
        if not isinstance(part, Known):
            return part
        every += part.value
    return Known(tuple(every))


def _again(lists: _Lists) -> str:
    return f"see to the API server, then run labctl doctor --stack {lists.stack} again"
