"""Shared volumes in the namespaces that mount them: a PersistentVolume and a claim each, bound to one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import (
    CSIPersistentVolumeSourceArgs,
    ObjectReferenceArgs,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpecArgs,
    PersistentVolumeSpecArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from components.namespaces.plan import STACK_LABEL

from .plan import DRIVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.namespaces.component import LabNamespace

    from .plan import SharedMount, SharedVolumePlan

__all__ = ["SharedVolumes", "claim_shared"]


@dataclass(frozen=True, kw_only=True)
class SharedVolumes:
    """Shared volumes of a stack, ready to be claimed by namespaces."""

    plans: tuple[SharedVolumePlan, ...] = ()
    """Volumes a namespace claims for itself."""
    server: pulumi.Input[str] = ""
    """Address of the NFS server that holds them."""
    claimed: tuple[SharedMount, ...] = ()
    """Volumes whose claims another stack's storage made."""
    protect: bool = False
    after: Sequence[pulumi.Resource] = ()
    """What has to exist before a volume of the driver is of use."""


def claim_shared(
    name: str, shared: SharedVolumes, namespace: LabNamespace, parent: pulumi.Resource
) -> tuple[SharedMount, ...]:
    """Make a namespace's own volume and claim of every shared folder, and return what its pods mount.

    A volume binds to one claim and a claim lives in one namespace: every namespace has its own pair for the same
    folder. The pair name one another, so that no other claim takes the volume.

    Parameters
    ----------
    name
        Prefix of the resources' names: ``<name>-<volume>-pv`` and ``<name>-<volume>-claim``.
    shared
        The stack's shared volumes (`Storage.shared`).
    namespace
        Whose pods mount them.
    parent
        The component that owns the namespace.
    """
    for plan in shared.plans:
        volume_name = plan.volume(namespace.plan.name)
        volume = PersistentVolume(
            f"{name}-{plan.name}-pv",
            metadata=ObjectMetaArgs(name=volume_name, labels={STACK_LABEL: namespace.plan.stack}),
            spec=_volume_spec(plan, shared.server, namespace.plan.name),
            opts=pulumi.ResourceOptions(parent=parent, protect=shared.protect, depends_on=list(shared.after)),
        )
        PersistentVolumeClaim(
            f"{name}-{plan.name}-claim",
            metadata=ObjectMetaArgs(name=plan.claim, namespace=namespace.name),
            spec=PersistentVolumeClaimSpecArgs(
                access_modes=[plan.access_mode],
                resources=VolumeResourceRequirementsArgs(requests={"storage": str(plan.size)}),
                # The empty name keeps the cluster's default class, if there is one, from making a volume of its own.
                storage_class_name="",
                volume_name=volume_name,
            ),
            opts=pulumi.ResourceOptions(parent=parent, protect=shared.protect, depends_on=[volume]),
        )
    return (*(plan.mount() for plan in shared.plans), *shared.claimed)


def _volume_spec(plan: SharedVolumePlan, server: pulumi.Input[str], namespace: str) -> PersistentVolumeSpecArgs:
    return PersistentVolumeSpecArgs(
        access_modes=[plan.access_mode],
        capacity={"storage": str(plan.size)},
        claim_ref=ObjectReferenceArgs(
            api_version="v1", kind="PersistentVolumeClaim", namespace=namespace, name=plan.claim
        ),
        csi=CSIPersistentVolumeSourceArgs(
            driver=DRIVER,
            read_only=plan.read_only,
            volume_attributes={"server": server if plan.server is None else plan.server, "share": plan.path},
            # The kubelet tells volumes of a node apart by it: one per volume, whatever folder it shows.
            volume_handle=plan.volume(namespace),
        ),
        mount_options=[option.text for option in plan.mount_options],
        persistent_volume_reclaim_policy="Retain",
        storage_class_name="",
        volume_mode="Filesystem",
    )
