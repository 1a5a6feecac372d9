"""Resources of storage, each as the plan says.

Children: ``<name>-namespace`` of the driver, ``<name>-csi-driver-nfs`` Release, ``<name>-homes`` and
``<name>-scratch`` StorageClass. Shared volumes are claimed by the namespaces that mount them
(`components.storage.claims.claim_shared`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.storage.v1 import StorageClass

from components.charts import release
from components.namespaces.component import LabNamespace, LabNamespaceArgs
from components.namespaces.plan import STACK_LABEL

from .claims import SharedVolumes
from .errors import MissingServerError
from .plan import (
    CHART,
    CONTROLLERS,
    DRIVER,
    home_requests_volume,
    storage_plan,
    used_home_requests,
    used_home_requests_volume,
    used_mounts,
    used_volumes,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.pins import Pins

    from .config import NfsStorage, StorageConfig, StorageUse
    from .plan import ClassPlan

__all__ = ["Storage", "StorageArgs"]


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    """Inputs of `Storage`."""

    config: StorageConfig
    stack: str
    pins: Pins
    server: pulumi.Input[str] | None = None
    """Address of the NFS server: of the host that ``storage.nfs.host`` names. Not needed where storage is used."""
    nodes: int = CONTROLLERS
    """How many nodes the cluster has: on a single one there is one controller of the driver."""
    after: Sequence[pulumi.Resource] = ()
    """What has to be done on the storage hosts before anything is of use: the exports."""
    protect: bool = False
    """Whether volumes and claims that hold data refuse to be deleted."""


class Storage(pulumi.ComponentResource):
    """Classes for homes and scratch space, and shared volumes to be claimed.

    Raises
    ------
    MissingServerError
        If storage is built and the server's address is not given.
    """

    home_class: pulumi.Output[str]
    """StorageClass for homes."""
    scratch_class: pulumi.Output[str] | None
    """StorageClass for scratch space, if there is any."""
    shared: SharedVolumes
    """Shared volumes, for namespaces to claim."""
    home_requests: SharedVolumes | None = None
    """The folder in which a hub asks for homes, for its namespace to claim; None where homes need not be asked for."""

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lab:index:Storage", name, None, opts)
        self._name = name
        if args.config.nfs is not None:
            self._build(args, args.config.nfs)
        elif args.config.use is not None:
            self._use(args.config.use, protect=args.protect)
        self.register_outputs({"homeClass": self.home_class, "scratchClass": self.scratch_class})

    def _build(self, args: StorageArgs, nfs: NfsStorage) -> None:
        if args.server is None:
            raise MissingServerError(nfs.host)
        plan = storage_plan(nfs, args.stack, is_ours=args.config.zfs is not None, nodes=args.nodes)
        namespace = LabNamespace(
            f"{self._name}-namespace",
            LabNamespaceArgs(plan=plan.namespace),
            opts=pulumi.ResourceOptions(parent=self),
        )
        driver = release(
            f"{self._name}-{CHART}",
            args.pins.chart(CHART),
            release_name=plan.release_name,
            namespace=namespace.name,
            values=plan.values,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace]),
        )
        self.home_class = self._storage_class(plan.homes, args, args.server)
        self.scratch_class = None if plan.scratch is None else self._storage_class(plan.scratch, args, args.server)
        after = (driver, *args.after)
        self.shared = SharedVolumes(plans=plan.shared, server=args.server, protect=args.protect, after=after)
        if args.config.zfs is not None:
            self.home_requests = SharedVolumes(
                plans=(home_requests_volume(nfs),), server=args.server, protect=args.protect, after=after
            )

    def _use(self, use: StorageUse, *, protect: bool) -> None:
        self.home_class = pulumi.Output.from_input(use.home_class)
        self.scratch_class = None if use.scratch_class is None else pulumi.Output.from_input(use.scratch_class)
        self.shared = SharedVolumes(plans=used_volumes(use), claimed=used_mounts(use), protect=protect)
        if (claim := used_home_requests(use)) is not None:
            self.home_requests = SharedVolumes(claimed=(claim,))
        elif (folder := used_home_requests_volume(use)) is not None:
            self.home_requests = SharedVolumes(plans=(folder,), protect=protect)

    def _storage_class(self, plan: ClassPlan, args: StorageArgs, server: pulumi.Input[str]) -> pulumi.Output[str]:
        made = StorageClass(
            f"{self._name}-{plan.key}",
            metadata=ObjectMetaArgs(name=plan.name, labels={STACK_LABEL: args.stack}),
            provisioner=DRIVER,
            parameters={**plan.parameters(), "server": server},
            mount_options=[option.text for option in plan.mount_options],
            reclaim_policy=plan.reclaim_policy,
            volume_binding_mode="Immediate",
            allow_volume_expansion=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
        )
        return made.metadata.apply(lambda metadata: metadata.name or plan.name)
