"""A thin shell over `labctl.graph.rules`: what the official engine sends becomes resources, what a rule says a report.

A rule that looks at one resource is a resource policy: the engine asks it before it touches that resource, and shows
its words there. One that compares resources is a stack policy, which the engine asks once, after the last resource.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import pulumi_policy.policy
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy, StackValidationPolicy
from pulumi_policy.deserialize import deserialize_properties, serialize_properties

from labctl.graph.rules import (
    RULE_NAMES,
    RULES,
    RuledResource,
    Severity,
    Surroundings,
    broken,
    from_wire,
    load_exceptions,
)
from labctl.rules import environment_facts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pulumi_policy import Policy, PolicyResource, ReportViolation, ResourceValidationArgs, StackValidationArgs

    from labctl.graph.rules import NamedException, Rule
    from labctl.graph.values import Plain

__all__ = ["NAME", "keep_secrets", "policies", "serve"]

NAME = "research-compute-rules"
"""Name of the pack, as PulumiPolicy.yaml has it."""
LEVELS = {Severity.MANDATORY: EnforcementLevel.MANDATORY, Severity.ADVISORY: EnforcementLevel.ADVISORY}
"""What the engine does with a rule that is broken."""
DESERIALIZE = "deserialize_properties"
"""Name, in the SDK's own module, of what reads the properties that the engine sends."""


def serve(exceptions: Path) -> None:
    """Answer the engine until it ends this process.

    Parameters
    ----------
    exceptions
        The reviewed file of named exceptions.

    Raises
    ------
    ExceptionsFileError
        The file is wrong: the pack does not start, and the engine says so.
    """
    keep_secrets()
    PolicyPack(
        name=NAME,
        policies=policies(load_exceptions(exceptions, RULE_NAMES)),
        enforcement_level=EnforcementLevel.MANDATORY,
    )


def policies(exceptions: Sequence[NamedException]) -> list[Policy]:
    """Return one policy for each rule."""
    return [
        _stack_policy(rule, exceptions) if rule.needs_stack else _resource_policy(rule, exceptions) for rule in RULES
    ]


def _resource_policy(rule: Rule, exceptions: Sequence[NamedException]) -> Policy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        _judge(rule, (_resource(args),), exceptions, report)

    return ResourceValidationPolicy(
        name=rule.name, description=rule.description, validate=validate, enforcement_level=LEVELS[rule.severity]
    )


def _stack_policy(rule: Rule, exceptions: Sequence[NamedException]) -> Policy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        _judge(rule, tuple(_resource(each) for each in args.resources), exceptions, report)

    return StackValidationPolicy(
        name=rule.name, description=rule.description, validate=validate, enforcement_level=LEVELS[rule.severity]
    )


def _judge(
    rule: Rule, resources: tuple[RuledResource, ...], exceptions: Sequence[NamedException], report: ReportViolation
) -> None:
    """Report what `resources` break of `rule`; the environment is the one that their URNs name."""
    if not resources:
        return
    around = Surroundings(environment=environment_facts(resources[0].stack), resources=resources)
    for resource in resources:
        for violation in sorted(broken(rule, resource, around)):
            if not any(exception.excuses(violation) for exception in exceptions):
                place = f"{violation.path}: " if violation.path else ""
                report(f"{place}{violation.what}; {violation.remedy}", violation.urn)


def _resource(sent: ResourceValidationArgs | PolicyResource) -> RuledResource:
    """Return what the engine sent, for the rules; what is unknown does not raise, as it would if read by itself."""
    properties = cast("dict[str, Plain]", serialize_properties(sent.props))
    return RuledResource(
        urn=sent.urn,
        type=sent.resource_type,
        name=sent.name,
        inputs=from_wire(properties),
        parent=sent.opts.parent or "",
        protect=sent.opts.protect,
    )


def keep_secrets() -> None:
    """Have the SDK keep the marks of secrets, which the engine sends and the SDK drops before a policy sees them.

    Without them a sealed Secret and a plain one look alike. It can keep them (it does for remediations); only the
    validations have no such choice. Pinned by tests/unit/rules/test_rules_policy_pack.py and by the exact version in
    requirements.txt beside this file.
    """
    setattr(pulumi_policy.policy, DESERIALIZE, partial(deserialize_properties, proxy_secrets=True))
