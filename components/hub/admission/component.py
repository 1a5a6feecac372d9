"""The hub's admission policies as resources.

Children: ``<name>-<policy>`` ValidatingAdmissionPolicy and ``<name>-<policy>-binding`` ValidatingAdmissionPolicyBinding
per policy of `components.hub.admission.plan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.admissionregistration.v1 import (
    MatchConditionArgs,
    MatchResourcesArgs,
    NamedRuleWithOperationsArgs,
    ParamKindArgs,
    ParamRefArgs,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpecArgs,
    ValidatingAdmissionPolicySpecArgs,
    ValidationArgs,
    VariableArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from components.namespaces.plan import NAMESPACE_LABEL, REASON_ANNOTATION, STACK_LABEL

from .cel import text
from .plan import POLICIES, policy_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .policy import AdmissionPolicy

__all__ = ["HubAdmission", "HubAdmissionArgs"]

TYPE_TOKEN = "lab:index:HubAdmission"  # noqa: S105 - Pulumi's word for a type's name


@dataclass(frozen=True, kw_only=True)
class HubAdmissionArgs:
    """Inputs of `HubAdmission`."""

    namespace: str
    """The hub's, which alone the policies are bound to."""
    stack: str
    policies: pulumi.Input[Sequence[AdmissionPolicy]]
    """One of each key, known once the names of other components are."""


class HubAdmission(pulumi.ComponentResource):
    """Policies in force: whatever the hub asks of the API server in its namespace is held against the plan."""

    names: tuple[str, ...]
    """Names of the policies and of their bindings."""

    def __init__(self, name: str, args: HubAdmissionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(TYPE_TOKEN, name, None, opts)
        planned = pulumi.Output.from_input(args.policies)
        for key in POLICIES:
            policy = planned.apply(lambda found, key=key: next(policy for policy in found if policy.key == key))
            self._policy(f"{name}-{key}", policy_name(key, args.stack), policy, args)
        self.names = tuple(policy_name(key, args.stack) for key in POLICIES)
        self.register_outputs({"names": list(self.names)})

    def _policy(self, name: str, named: str, policy: pulumi.Output[AdmissionPolicy], args: HubAdmissionArgs) -> None:
        child = pulumi.ResourceOptions(parent=self)
        metadata = ObjectMetaArgs(
            name=named,
            labels={STACK_LABEL: args.stack},
            annotations={REASON_ANNOTATION: policy.apply(lambda known: known.reason)},
        )
        made = ValidatingAdmissionPolicy(name, metadata=metadata, spec=policy.apply(_spec), opts=child)
        ValidatingAdmissionPolicyBinding(
            f"{name}-binding",
            metadata=ObjectMetaArgs(name=named, labels={STACK_LABEL: args.stack}),
            spec=policy.apply(lambda known: _binding(known, named, args.namespace)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[made]),
        )


def _spec(policy: AdmissionPolicy) -> ValidatingAdmissionPolicySpecArgs:
    comparison = "==" if policy.is_about_hub else "!="
    return ValidatingAdmissionPolicySpecArgs(
        # What cannot be checked is refused.
        failure_policy="Fail",
        param_kind=None if policy.identities is None else ParamKindArgs(api_version="v1", kind="ConfigMap"),
        match_constraints=MatchResourcesArgs(
            resource_rules=[
                NamedRuleWithOperationsArgs(
                    api_groups=[""],
                    api_versions=["v1"],
                    operations=[str(operation) for operation in resource.operations],
                    resources=list(resource.names),
                )
                for resource in policy.resources
            ]
        ),
        match_conditions=[
            MatchConditionArgs(
                name="account", expression=f"request.userInfo.username {comparison} {text(policy.account)}"
            )
        ],
        # An empty list is one the API server does not keep.
        variables=[VariableArgs(name=name, expression=expression) for name, expression in policy.variables.items()]
        or None,
        validations=[
            ValidationArgs(
                expression=rule.expression,
                message=f"{rule.name}: {rule.message}",
                message_expression=f"{text(f'{rule.name}: ')} + ({rule.message_expression})",
                reason="Forbidden",
            )
            for rule in policy.rules
        ],
    )


def _binding(policy: AdmissionPolicy, name: str, namespace: str) -> ValidatingAdmissionPolicyBindingSpecArgs:
    identities = policy.identities
    return ValidatingAdmissionPolicyBindingSpecArgs(
        policy_name=name,
        validation_actions=["Deny"],
        match_resources=MatchResourcesArgs(
            namespace_selector=LabelSelectorArgs(match_labels={NAMESPACE_LABEL: namespace}),
            object_selector=LabelSelectorArgs(match_labels=policy.labels) if policy.labels else None,
        ),
        param_ref=None
        if identities is None
        else ParamRefArgs(namespace=identities.namespace, name=identities.name, parameter_not_found_action="Deny"),
    )
