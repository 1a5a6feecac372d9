"""Resources of the network, each as the plan says.

Children: one ``lab:index:Namespace`` per part (``<name>-calico-namespace`` and so on), one Secret per planned one
(``<name>-lab-ca``, ``<name>-acme-solver``, ``<name>-<service>-tls`` of a certificate that is a file), one Release per
chart (``<name>-<chart>``), one custom resource per planned one (``<name>-<key>``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from components.charts import release
from components.namespaces.component import LabNamespace, LabNamespaceArgs
from components.namespaces.plan import STACK_LABEL

from .endpoints import Endpoint
from .errors import MissingSecretsError
from .facts import NetworkFacts
from .parts import CustomResourcePlan, NetworkPart, ReleasePlan, SecretPlan
from .plan import NetworkPlan, key_of, network_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from components.pins import Pins
    from components.secrets import SecretRef

    from .config import NetworkConfig

__all__ = ["Networking", "NetworkingArgs"]


@dataclass(frozen=True, kw_only=True)
class NetworkingArgs:
    """Inputs of `Networking`."""

    config: NetworkConfig
    stack: str
    pins: Pins
    secret: Callable[[SecretRef], pulumi.Input[str]] | None = None
    """Gives the secret behind a configuration key; needed where `components.network.plan.secrets` names any."""
    custom_resources_after: Sequence[pulumi.Resource] = ()
    """What brings kinds that no release here does: the stand-ins of a simulated cluster."""
    api_server_port: int | None = None
    """Port of kube-apiserver on the control-plane hosts; kubeadm's if not given."""


class Networking(pulumi.ComponentResource):
    """Pods that reach one another, services with addresses, one HTTPS gateway with certificates.

    Raises
    ------
    MissingSecretsError
        If certificates take secrets and no way to them is given.
    """

    facts: NetworkFacts
    """The network as plain data, for other components' plans."""
    gateway_name: pulumi.Output[str] | None
    """Name of the Gateway, known once it exists; None where nothing is published."""
    gateway_namespace: pulumi.Output[str] | None
    gateway_class: pulumi.Output[str] | None
    issuer: pulumi.Output[str] | None
    """Name of the ClusterIssuer."""
    pools: tuple[str, ...]
    """Names of the address pools."""
    endpoints: Mapping[str, Endpoint]
    """Where each published service is reached, and the DNS records it takes."""

    def __init__(self, name: str, args: NetworkingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lab:index:Networking", name, None, opts)
        self._name, self._args = name, args
        self._made: dict[str, pulumi.Resource] = {}
        plan = network_plan(args.config, args.stack, api_server_port=args.api_server_port)
        self._namespaces: Mapping[str, LabNamespace] = {
            part.key: LabNamespace(
                f"{name}-{part.key}-namespace",
                LabNamespaceArgs(plan=part.namespace),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for part in plan.parts
        }
        self._secrets(plan)
        for part, step in plan.steps():
            made = self._release(part, step) if isinstance(step, ReleasePlan) else self._custom_resource(part, step)
            self._made[key_of(step)] = made
        self._publish(plan)

    def _release(self, part: NetworkPart, plan: ReleasePlan) -> pulumi.Resource:
        return release(
            f"{self._name}-{plan.chart}",
            self._args.pins.chart(plan.chart),
            release_name=plan.release_name,
            namespace=self._namespaces[part.key].name,
            values=plan.values,
            opts=pulumi.ResourceOptions(parent=self, depends_on=self._after(part, plan.after)),
        )

    def _custom_resource(self, part: NetworkPart, plan: CustomResourcePlan) -> pulumi.Resource:
        metadata = (
            ObjectMetaArgs(name=plan.name, namespace=self._namespaces[part.key].name)
            if plan.namespaced
            else ObjectMetaArgs(name=plan.name, labels={STACK_LABEL: self._args.stack})
        )
        after = [*self._after(part, plan.after), *self._args.custom_resources_after]
        return CustomResource(
            f"{self._name}-{plan.key}",
            api_version=plan.api_version,
            kind=plan.kind,
            metadata=metadata,
            spec=plan.spec,
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )

    def _after(self, part: NetworkPart, keys: Sequence[str]) -> list[pulumi.Resource]:
        """Return what a step waits for; the whole namespace with its policies, before the first pod starts in it."""
        return [self._namespaces[part.key], *(self._made[key] for key in keys)]

    def _secrets(self, plan: NetworkPlan) -> None:
        planned = [(part, secret) for part in plan.parts for secret in part.secrets]
        give = self._args.secret
        if give is None:
            if missing := tuple(reference.secret for _, secret in planned for reference in secret.references):
                raise MissingSecretsError(missing)
            return
        for part, secret in planned:
            self._secret(part, secret, give)

    def _secret(self, part: NetworkPart, plan: SecretPlan, give: Callable[[SecretRef], pulumi.Input[str]]) -> None:
        Secret(
            f"{self._name}-{plan.name}",
            metadata=ObjectMetaArgs(name=plan.name, namespace=self._namespaces[part.key].name),
            type=plan.type,
            string_data={
                key: text if isinstance(text, str) else pulumi.Output.secret(give(text))
                for key, text in plan.data.items()
            },
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _publish(self, plan: NetworkPlan) -> None:
        facts = plan.facts
        self.facts, self.endpoints = facts, plan.endpoints
        balancer = self._args.config.load_balancer
        self.pools = tuple(pool.name for pool in balancer.pools) if balancer is not None else ()
        gateway = facts.gateway
        self.gateway_name = self._once_made("gateway", gateway.name) if gateway is not None else None
        self.gateway_namespace = self._once_made("gateway", gateway.namespace) if gateway is not None else None
        self.gateway_class = self._once_made("class", gateway.class_name) if gateway is not None else None
        self.issuer = self._once_made("issuer", facts.issuer) if facts.issuer is not None else None
        self.register_outputs(
            {
                "gatewayName": self.gateway_name,
                "gatewayNamespace": self.gateway_namespace,
                "gatewayClass": self.gateway_class,
                "issuer": self.issuer,
                "hostnames": dict(facts.hostnames),
                "endpoints": {service: endpoint.outputs() for service, endpoint in plan.endpoints.items()},
                "pools": list(self.pools),
            }
        )

    def _once_made(self, key: str, name: str) -> pulumi.Output[str]:
        """Return a name that is known once what it names exists; at once where another stack owns it."""
        made = self._made.get(key)
        return pulumi.Output.from_input(name) if made is None else made.urn.apply(lambda _: name)
