"""The only wiring place: a cluster's configuration becomes its components, in the order in which data flows.

nodes -> (kubeconfig) -> network -> storage -> gpu -> hub. Only typed outputs travel between components.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes import Provider

from components.gpu.component import GpuOperator, GpuOperatorArgs
from components.hub.component import Hub, HubArgs
from components.hub.identity.plan import bind_password
from components.hub.operation.plan import database_password
from components.hub.signin.plan import sign_in_secret
from components.namespaces.component import PriorityClasses, PriorityClassesArgs
from components.network.component import Networking, NetworkingArgs
from components.network.config import FileCertificates, LabCaCertificates
from components.network.plan import network_plan
from components.nodes.component import NodeBootstrap, NodeBootstrapArgs, NodeLabels, NodeLabelsArgs
from components.nodes.plan import members
from components.scheduling.plan import scheduler_names
from components.storage.component import Storage, StorageArgs

from .checks import host_gpus
from .config import cluster_settings
from .host_steps import further_steps
from .project import ROOT
from .secrets import StackSecrets, used_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.network.config import NetworkConfig
    from components.pins import Pins

    from .config import ClusterConfig
    from .environments import Environment

__all__ = ["Cluster"]


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What was built of the optional components."""

    network: Networking | None
    storage: Storage | None
    gpu: GpuOperator | None
    hub: Hub | None


class Cluster:
    """A whole research-compute cluster, declared.

    Parameters
    ----------
    config
        The cluster, validated.
    environment
        What the stack's environment protects.
    pins
        Every version it runs, mirrors not yet applied.

    Raises
    ------
    MissingSecretsError, KubeconfigMissingError
        Outside a preview, before anything is registered.
    CertificateKeyError
        Before anything is registered.
    """

    def __init__(self, config: ClusterConfig, environment: Environment, pins: Pins) -> None:
        self._config = config
        self._environment = environment
        self._pins = pins.from_mirror(config.charts.mirror)
        self._stack = pulumi.get_stack()
        self._schedulers = scheduler_names(config.scheduling) if config.scheduling is not None else None
        self._secrets = StackSecrets(pulumi.Config(), used_secrets(config))
        if config.network is not None and isinstance(config.network.certificates, FileCertificates | LabCaCertificates):
            from components.network.certificate_files import check_keys  # noqa: PLC0415 - few labs have files

            check_keys(config.network, pulumi.Config().get)
        settings = cluster_settings(config, self._pins)
        bootstrap = NodeBootstrap(
            "bootstrap",
            NodeBootstrapArgs(
                config=config.nodes,
                project=ROOT,
                secret=self._secrets.known,
                settings=settings,
                further=further_steps(config, self._stack),
            ),
        )
        self._on_cluster = pulumi.ResourceOptions(provider=self._provider(bootstrap))
        NodeLabels("nodes", NodeLabelsArgs(config=config.nodes, joined=bootstrap.joined), opts=self._on_cluster)
        network = self._network()
        storage = self._storage(bootstrap)
        gpu = self._gpu(network, bootstrap)
        hub = self._hub(network, storage, gpu) if network is not None and storage is not None else None
        self._parts = _Parts(network=network, storage=storage, gpu=gpu, hub=hub)

    def export(self) -> None:
        """Give the stack its outputs: what exists, where to look, which versions."""
        for name, value in self.outputs().items():
            pulumi.export(name, value)

    def outputs(self) -> Mapping[str, pulumi.Input[object]]:
        """Return the stack's outputs; those of a component that is not built are left out."""
        parts = self._parts
        outputs: dict[str, pulumi.Input[object]] = {
            "cluster": self._config.name,
            "environment": str(self._environment.name),
            "contact": self._config.contact,
            "versions": {
                "kubernetes": self._pins.kubernetes,
                "hostFiles": {name: pin.version for name, pin in self._pins.host_files.items()},
                "charts": {name: pin.version for name, pin in self._pins.charts.items()},
            },
        }
        if parts.network is not None:
            outputs["endpoints"] = {
                service: endpoint.outputs() for service, endpoint in parts.network.endpoints.items()
            }
        if parts.storage is not None:
            outputs["storageClasses"] = {"home": parts.storage.home_class, "scratch": parts.storage.scratch_class}
        if parts.gpu is not None:
            outputs["slices"] = [offered.outputs() for offered in parts.gpu.slices]
        if self._schedulers is not None:
            outputs["schedulers"] = {"interactive": self._schedulers.interactive, "batch": self._schedulers.batch}
        if parts.hub is not None:
            outputs["hub"] = {"url": parts.hub.url, "namespace": parts.hub.namespace}
        return outputs

    def _provider(self, bootstrap: NodeBootstrap) -> Provider:
        """Return the provider of the cluster, its identity the cluster's name from the first creation on.

        Without it a changed kubeconfig would replace the provider, and with it all that it holds.
        """
        nodes = self._config.nodes
        return Provider(
            "cluster",
            kubeconfig=bootstrap.kubeconfig,
            context=nodes.adopt.context if nodes.adopt is not None else None,
            cluster_identifier=self._config.name,
            enable_server_side_apply=True,
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
        )

    def _network(self) -> Networking | None:
        config, endpoint = self._config.network, self._config.nodes.endpoint
        if config is None:
            return None
        port = endpoint.port if endpoint is not None else None
        return Networking(
            "network",
            NetworkingArgs(
                config=config,
                stack=self._stack,
                pins=self._pins,
                secret=self._secrets.known,
                custom_resources_after=self._stand_ins(config, port),
                api_server_port=port,
            ),
            opts=self._on_cluster,
        )

    def _stand_ins(self, config: NetworkConfig, port: int | None) -> list[pulumi.Resource]:
        """Return what brings the custom resources' kinds where charts may be out of reach: a simulated cluster.

        On another stack's cluster they are there, and that stack's.
        """
        if not self._config.nodes.simulated or self._config.nodes.owner is not None:
            return []
        from components.standins.component import StandIns, StandInsArgs  # noqa: PLC0415 - real clusters need none

        owners = network_plan(config, self._stack, api_server_port=port).helm_owners()
        return [StandIns("stand-ins", StandInsArgs(stack=self._stack, owners=owners), opts=self._on_cluster)]

    def _storage(self, bootstrap: NodeBootstrap) -> Storage | None:
        config = self._config.storage
        if config is None:
            return None
        hosts = self._config.nodes.hosts
        exported = [made for (step, _), made in bootstrap.steps.items() if step in {"exports", "scratch"}]
        return Storage(
            "storage",
            StorageArgs(
                config=config,
                stack=self._stack,
                pins=self._pins,
                server=str(hosts[config.nfs.host].address) if config.nfs is not None else None,
                protect=self._environment.protects_data,
                after=exported,
                nodes=len(members(self._config.nodes)),
            ),
            opts=self._on_cluster,
        )

    def _gpu(self, network: Networking | None, bootstrap: NodeBootstrap) -> GpuOperator | None:
        config = self._config.gpu
        if config is None:
            return None
        args = GpuOperatorArgs(
            config=config,
            hosts=host_gpus(self._config),
            pins=self._pins,
            stack=self._stack,
            kubeconfig=bootstrap.kubeconfig,
            context=self._config.nodes.adopt.context if self._config.nodes.adopt is not None else None,
            joined=bootstrap.joined,
            network=network.facts if network is not None else None,
        )
        return GpuOperator("gpu", args, opts=self._on_cluster)

    def _hub(self, network: Networking, storage: Storage, gpu: GpuOperator | None) -> Hub | None:
        config = self._config.hub
        if config is None:
            return None
        priorities = PriorityClasses("priorities", PriorityClassesArgs(stack=self._stack), opts=self._on_cluster)
        signing_in = sign_in_secret(config.authentication)
        return Hub(
            "hub",
            HubArgs(
                config=config,
                stack=self._stack,
                pins=self._pins,
                network=network.facts,
                shared=storage.shared,
                home_class=storage.home_class,
                home_requests=storage.home_requests,
                slices=gpu.slices if gpu is not None else (),
                gateway_name=network.gateway_name,
                gateway_namespace=network.gateway_namespace,
                priorities=priorities.names,
                scheduler=self._schedulers.interactive if self._schedulers is not None else None,
                client_secret=self._secrets.get(signing_in.reference if signing_in is not None else None),
                database_password=self._secrets.get(database_password(config)),
                bind_password=self._secrets.get(bind_password(config)),
                contact=self._config.contact,
                is_simulated=self._config.nodes.simulated,
                protect=self._environment.protects_data,
            ),
            opts=self._on_cluster,
        )
