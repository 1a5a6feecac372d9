"""Names and labels: fixed, short enough everywhere, and telling stacks apart that share a cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from labctl.graph.values import Unknown

from .model import Finding, Rule, Severity
from .pods import pod_spec
from .reading import at, mapping, path_text, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.graph.values import Value

    from .model import RuledResource, Surroundings
    from .reading import Path

__all__ = ["RULES", "STACK_LABEL"]

LONGEST_NAME: Final = 63
"""Characters of a DNS label (RFC 1123), the strictest of the limits on names."""
LONGEST_RELEASE: Final = 53
"""Characters of a release's name: Helm's limit, which leaves charts ten for what they add."""
DNS_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""A name of an object (RFC 1123 subdomain)."""
FREE_NAMES: Final = frozenset({"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"})
"""Kinds whose names may have more than DNS has (``system:node``)."""
CLUSTER_SCOPED: Final = frozenset(
    {
        "APIServer",
        "ClusterIssuer",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "GatewayClass",
        "Installation",
        "Namespace",
        "Node",
        "NodePatch",
        "PersistentVolume",
        "PriorityClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "VolumeSnapshotClass",
    }
)
"""Kinds without a namespace, of those the program uses (``kubectl api-resources --namespaced=false``)."""
NAMED_BY_OTHERS: Final = frozenset({"APIServer", "CustomResourceDefinition", "Installation", "Node", "NodePatch"})
"""Kinds whose names are not ours to choose: a host's, a schema's, or the one name an operator looks for."""
HOSTS: Final = frozenset({"Node", "NodePatch"})
"""Kinds that are machines: each stack adds labels of its own to them, and none owns them."""
STACK_LABEL: Final = "lab.internal/stack"
"""Label of cluster-scoped objects: the stack that owns it."""
NAME_LABEL: Final = "app.kubernetes.io/name"
"""Label of pods: what it is (Kubernetes' recommended labels)."""


def _fits(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield a name that no one chose, that is too long or not one."""
    if resource.is_release:
        yield from _name(("name",), resource.inputs.get("name"), LONGEST_RELEASE, free=False)
    elif resource.is_object:
        name = at(resource.inputs, "metadata", "name")
        yield from _name(("metadata", "name"), name, LONGEST_NAME, free=resource.kind in FREE_NAMES)


def _name(path: Path, value: Value, longest: int, *, free: bool) -> Iterator[Finding]:
    if isinstance(value, Unknown):
        return
    name = text(value)
    if not name:
        yield Finding(path=path_text(path), what="no name: an engine would make one up", remedy="give it one")
    elif len(name) > longest:
        what = f"the name has {len(name)} characters"
        yield Finding(path=path_text(path), what=what, remedy=f"keep it to {longest}")
    elif not free and DNS_NAME.fullmatch(name) is None:
        what = "the name is no DNS name"
        yield Finding(path=path_text(path), what=what, remedy="use small letters, digits, '-' and '.'")


def _namespaced(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield what would go wherever the kubeconfig happens to point."""
    if resource.is_release:
        path: Path = ("namespace",)
    elif resource.is_object and resource.kind not in CLUSTER_SCOPED:
        path = ("metadata", "namespace")
    else:
        return
    if at(resource.inputs, *map(str, path)) in (None, ""):
        what = "no namespace: it would go to the one of the kubeconfig's context"
        yield Finding(path=path_text(path), what=what, remedy="say its namespace")


def _stack_scoped(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield a cluster-scoped object, or a release, that another stack of the same cluster would have as well."""
    if resource.is_release:
        path: Path = ("name",)
    elif resource.is_object and resource.kind in CLUSTER_SCOPED - NAMED_BY_OTHERS:
        path = ("metadata", "name")
    else:
        return
    name = at(resource.inputs, *map(str, path))
    if isinstance(name, Unknown):
        return
    parts, stack = text(name).split("-"), resource.stack.split("-")
    if not any(parts[start : start + len(stack)] == stack for start in range(len(parts))):
        yield Finding(
            path=path_text(path),
            what="the name does not carry the stack, so two stacks on one cluster would both own it",
            remedy=f"call it <name>-{resource.stack}",
        )


def _labels(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield a cluster-scoped object that does not say its stack, and pods that do not say what they are."""
    if resource.is_object and resource.kind in CLUSTER_SCOPED - HOSTS:
        path = ("metadata", "labels", STACK_LABEL)
        found = at(resource.inputs, *path)
        if not isinstance(found, Unknown) and found != resource.stack:
            remedy = f"label it {STACK_LABEL}: {resource.stack}"
            yield Finding(path=path_text(path), what="no label says which stack owns it", remedy=remedy)
    pods = pod_spec(resource)
    if pods is not None and mapping(pods[1]):
        path = (*map(str, pods[0][:-1]), "metadata", "labels", NAME_LABEL)
        if at(resource.inputs, *path) in (None, ""):
            what = "no label says what these pods are"
            yield Finding(path=path_text(path), what=what, remedy=f"label them {NAME_LABEL}: <what they are>")


RULES: Final = (
    Rule(
        name="name-fits",
        description="Every object and release has a name: a DNS name of 63 characters at most, of a release 53.",
        severity=Severity.MANDATORY,
        check=_fits,
    ),
    Rule(
        name="namespace-said",
        description="Every namespaced object and every release says its namespace.",
        severity=Severity.MANDATORY,
        check=_namespaced,
    ),
    Rule(
        name="name-carries-stack",
        description="Names that a whole cluster shares, and names of releases, carry the stack.",
        severity=Severity.MANDATORY,
        check=_stack_scoped,
    ),
    Rule(
        name="labels",
        description="Cluster-scoped objects say the stack that owns them, pods say what they are.",
        severity=Severity.MANDATORY,
        check=_labels,
    ),
)
