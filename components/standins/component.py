"""Stand-in CustomResourceDefinitions, each labelled as one.

Children: ``<name>-<plural>.<group>`` CustomResourceDefinition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.apiextensions.v1 import (
    CustomResourceDefinition,
    CustomResourceDefinitionNamesArgs,
    CustomResourceDefinitionSpecArgs,
    CustomResourceDefinitionVersionArgs,
    CustomResourceValidationArgs,
    JSONSchemaPropsArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from components.namespaces.plan import LABEL_DOMAIN, STACK_LABEL

from .plan import HelmOwner, stand_in_kinds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .plan import StandInKind, StandInSchema

__all__ = ["STAND_IN_LABEL", "StandIns", "StandInsArgs"]

STAND_IN_LABEL = f"{LABEL_DOMAIN}/stand-in"
"""On a definition: the chart that brings the real one."""

GUARDED_DOMAIN = ".k8s.io"
"""Groups of the Kubernetes project: the API server takes no definition in them that does not say who approved it
(KEP-2337)."""


@dataclass(frozen=True, kw_only=True)
class StandInsArgs:
    """Inputs of `StandIns`."""

    stack: str
    owners: Mapping[str, HelmOwner] = field(default_factory=dict[str, HelmOwner])
    """Releases of the stack by chart (`components.network.plan.NetworkPlan.helm_owners`): where a chart is reachable
    after all, Helm takes its kinds over from here instead of refusing them as somebody else's."""


class StandIns(pulumi.ComponentResource):
    """Every custom resource of the program can be applied, checked field by field, without the real definitions."""

    names: tuple[str, ...]
    """Names of the definitions."""

    def __init__(self, name: str, args: StandInsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lab:index:StandIns", name, None, opts)
        kinds = stand_in_kinds()
        # Once a reachable chart has taken a definition over, its spec is the chart's: a refresh must not want it back.
        options = pulumi.ResourceOptions(parent=self, ignore_changes=["spec"])
        for kind in kinds:
            CustomResourceDefinition(
                f"{name}-{kind.name}",
                metadata=_metadata(kind, args),
                spec=_definition(kind),
                opts=options,
            )
        self.names = tuple(kind.name for kind in kinds)
        self.register_outputs({"names": list(self.names)})


def _metadata(kind: StandInKind, args: StandInsArgs) -> ObjectMetaArgs:
    labels = {STAND_IN_LABEL: kind.chart, STACK_LABEL: args.stack}
    annotations: dict[str, str] = {}
    if kind.group.endswith(GUARDED_DOMAIN):
        annotations["api-approved.kubernetes.io"] = f"unapproved, a stand-in for what chart {kind.chart} brings"
    owner = args.owners.get(kind.chart)
    if owner is not None:
        labels["app.kubernetes.io/managed-by"] = "Helm"
        annotations |= owner.annotations()
    return ObjectMetaArgs(name=kind.name, labels=labels, annotations=annotations or None)


def _definition(kind: StandInKind) -> CustomResourceDefinitionSpecArgs:
    root = JSONSchemaPropsArgs(
        type="object",
        description=f"Stand-in for the {kind.kind} of chart {kind.chart}: the fields that are set here, no others.",
        properties={"spec": _schema(kind.spec)},
        required=["spec"],
    )
    return CustomResourceDefinitionSpecArgs(
        group=kind.group,
        scope=str(kind.scope),
        names=CustomResourceDefinitionNamesArgs(
            kind=kind.kind, list_kind=f"{kind.kind}List", plural=kind.plural, singular=kind.kind.lower()
        ),
        versions=[
            CustomResourceDefinitionVersionArgs(
                name=kind.version,
                served=True,
                storage=True,
                schema=CustomResourceValidationArgs(open_apiv3_schema=root),
            )
        ],
    )


def _schema(schema: StandInSchema) -> JSONSchemaPropsArgs:
    """Translate a schema; what it does not say is left out, so that the API server adds nothing either."""
    made = JSONSchemaPropsArgs(type=schema.type)
    if schema.properties:
        made.properties = {name: _schema(inner) for name, inner in schema.properties.items()}
    if schema.additional_properties is not None:
        made.additional_properties = _schema(schema.additional_properties)
    if schema.items is not None:
        made.items = _schema(schema.items)
    if schema.required:
        made.required = list(schema.required)
    if schema.enum:
        made.enum = list(schema.enum)
    if schema.minimum is not None:
        made.minimum = schema.minimum
    if schema.maximum is not None:
        made.maximum = schema.maximum
    if schema.pattern is not None:
        made.pattern = schema.pattern
    return made
