"""The network section of a stack file, planned: parts in the order in which they can be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from components.standins.plan import HelmOwner

from .calico import calico_part
from .certificates import certificates_part
from .config import FileCertificates
from .endpoints import Endpoint, endpoints
from .errors import UnorderedPartsError
from .facts import NetworkFacts, network_facts
from .gateway import GATEWAY_CHART, gateway_part
from .metallb import metallb_part
from .parts import CustomResourcePlan, NetworkPart, ReleasePlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from components.secrets import SecretRef

    from .config import NetworkConfig

__all__ = ["NetworkPlan", "Step", "key_of", "network_plan", "secrets"]

Step: TypeAlias = ReleasePlan | CustomResourcePlan


@dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """What has to exist, and what others may know of it."""

    facts: NetworkFacts
    parts: tuple[NetworkPart, ...]
    endpoints: Mapping[str, Endpoint]
    """Published services by name."""

    def helm_owners(self) -> dict[str, HelmOwner]:
        """Return the releases by their charts, for stand-ins of a simulated cluster to name."""
        return {
            release.chart: HelmOwner(release_name=release.release_name, namespace=part.namespace.name)
            for part in self.parts
            for release in part.releases
        }

    def steps(self) -> tuple[tuple[NetworkPart, Step], ...]:
        """Return every release and custom resource with its part, each after all that it waits for.

        Among those that may come next the order of the parts is kept, so that the same file gives the same order.

        Raises
        ------
        UnorderedPartsError
            If something waits for what is not in the plan, or for itself by a detour.
        """
        waiting = [(part, step) for part in self.parts for step in (*part.releases, *part.resources)]
        ordered: list[tuple[NetworkPart, Step]] = []
        made: set[str] = set()
        while waiting:
            ready = [(part, step) for part, step in waiting if made.issuperset(step.after)]
            if not ready:
                raise UnorderedPartsError({key_of(step): step.after for _, step in waiting})
            ordered += ready
            made.update(key_of(step) for _, step in ready)
            waiting = [entry for entry in waiting if entry not in ready]
        return tuple(ordered)


def key_of(step: Step) -> str:
    """Return the key by which others wait for a release or a custom resource."""
    return step.chart if isinstance(step, ReleasePlan) else step.key


def network_plan(config: NetworkConfig, stack: str, *, api_server_port: int | None = None) -> NetworkPlan:
    """Return the plan of a stack's network.

    Parameters
    ----------
    config
        Network section of the stack file, checked (`components.network.checks.check`).
    stack
        Name of the stack.
    api_server_port
        Port of kube-apiserver on the control-plane hosts; kubeadm's if not given.
    """
    facts = network_facts(config, stack) if api_server_port is None else network_facts(config, stack, api_server_port)
    return NetworkPlan(facts=facts, parts=tuple(_parts(config, facts, stack)), endpoints=endpoints(config))


def secrets(config: NetworkConfig) -> tuple[SecretRef, ...]:
    """Return the secrets the section names and the program reads."""
    plan = network_plan(config, "")
    return tuple(reference for part in plan.parts for secret in part.secrets for reference in secret.references)


def _parts(config: NetworkConfig, facts: NetworkFacts, stack: str) -> Iterable[NetworkPart]:
    if config.cni is not None:
        yield calico_part(config.cni, facts, stack)
    if config.load_balancer is not None:
        yield metallb_part(config.load_balancer, facts, stack)
    if config.gateway is not None and facts.gateway is not None:
        yield gateway_part(config, config.gateway, facts, facts.gateway, stack)
    if config.certificates is not None and not isinstance(config.certificates, FileCertificates):
        gateway_chart = GATEWAY_CHART if config.gateway is not None else None
        yield certificates_part(config.certificates, facts, stack, gateway_chart=gateway_chart)
