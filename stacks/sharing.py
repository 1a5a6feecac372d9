"""Stacks that share a cluster, compared by what they would make: no object, name or address may be owned twice.

Pure, on recorded graphs: anything with the attributes of `Declared` will do (`labctl.graph.goal.Goal` has them). What
releases make is in their charts, out of reach here: of the charts this program installs it is known which can be
installed once on a cluster, because objects of theirs have fixed names and no namespace (`ONE_PER_CLUSTER`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

from components.addresses import AddressRange
from components.network.gateway_address import ADDRESSES_ANNOTATION
from components.problems import Problem

from .tenancy import check_beside, check_neighbours

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .config import ClusterConfig

__all__ = ["ONE_PER_CLUSTER", "Declared", "OwnedTwice", "Subject", "owned_twice", "shared_clusters", "sharing_problems"]

ONE_PER_CLUSTER: Mapping[str, str] = MappingProxyType(
    {
        "cert-manager": "the kinds of cert-manager.io",
        "crd.projectcalico.org.v1": "the kinds of crd.projectcalico.org",
        "csi-driver-nfs": "CSIDriver nfs.csi.k8s.io, ClusterRole nfs-external-provisioner-role",
        "gateway-helm": "the kinds of gateway.networking.k8s.io and gateway.envoyproxy.io",
        "gpu-operator": "ClusterPolicy cluster-policy, ClusterRole gpu-operator",
        "metallb": "the kinds of metallb.io, ValidatingWebhookConfiguration metallb-webhook-configuration",
        "tigera-operator": "ClusterRole tigera-operator, the Installation named default",
    }
)
"""Charts that can be installed once on a cluster, by what of theirs has a fixed name and no namespace (their templates,
in the pinned versions). JupyterHub's is none: with our values all it makes has a namespace."""

RELEASE = "kubernetes:helm.sh/v3:Release"
NODE_PATCH = "kubernetes:core/v1:NodePatch"


class Declared(Protocol):
    """One resource of a recorded graph, as far as sharing is concerned."""

    @property
    def urn(self) -> str: ...  # noqa: D102 - the URN
    @property
    def type(self) -> str: ...  # noqa: D102 - Pulumi's type token
    @property
    def custom(self) -> bool: ...  # noqa: D102 - whether a provider makes it
    @property
    def inputs(self) -> Mapping[str, object]: ...  # noqa: D102 - its properties


class Subject(StrEnum):
    """What is owned."""

    OBJECT = "object"
    """An object of the API server."""
    RELEASE = "release"
    """A Helm release: its name in its namespace."""
    CHART = "chart"
    """What a chart makes under a fixed name."""
    HOST_NAME = "host name"
    """A DNS name that a route, or a listener, answers for."""
    ADDRESS = "address"
    """An address of the lab's network."""
    LABEL = "label"
    """A label of a node, with two values."""


@dataclass(frozen=True, kw_only=True, order=True)
class OwnedTwice:
    """One thing that two stacks both say is theirs."""

    subject: Subject
    what: str
    """Its name: ``Namespace hub-prod``, ``jupyterhub-prod in hub-prod``, ``hub.lab.org``."""
    urns: tuple[str, str]
    """Who declares it, in each of the stacks."""

    def __str__(self) -> str:
        return f"{self.subject} {self.what}: {self.urns[0]} and {self.urns[1]}"


def owned_twice(one: Iterable[Declared], other: Iterable[Declared]) -> tuple[OwnedTwice, ...]:
    """Return what two stacks on one cluster would both own, sorted; nothing where they can live side by side.

    A label of a node that both give the same value is theirs together, and no clash.

    Parameters
    ----------
    one, other
        The resources of each, such as ``labctl.graph.record.record(program).goals``.
    """
    first, second = _claims(one), _claims(other)
    twice = [
        OwnedTwice(subject=subject, what=what, urns=(first[subject, what], second[subject, what]))
        for subject, what in first.keys() & second.keys()
        if subject not in {Subject.ADDRESS, Subject.LABEL}
    ]
    return tuple(sorted({*twice, *_labels(first, second), *_overlaps(first, second)}))


def shared_clusters(stacks: Mapping[str, ClusterConfig]) -> dict[str, tuple[str, ...]]:
    """Return the clusters that several stacks say they are on, by name: the owner first, then its tenants by name.

    Parameters
    ----------
    stacks
        Clusters by stack.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for stack, config in stacks.items():
        owner = stacks.get(config.nodes.owner or "")
        found[(owner or config).name].append(stack)
    return {
        name: tuple(sorted(together, key=lambda stack: (stacks[stack].nodes.owner is not None, stack)))
        for name, together in sorted(found.items())
        if len(together) > 1
    }


def sharing_problems(stacks: Mapping[str, ClusterConfig]) -> tuple[tuple[str, Problem], ...]:
    """Return everything in which the files of a project's stacks do not fit together, each with its stack.

    Parameters
    ----------
    stacks
        Clusters by stack, each checked by itself.
    """
    return tuple(_problems(stacks))


def _problems(stacks: Mapping[str, ClusterConfig]) -> Iterator[tuple[str, Problem]]:
    tenants: dict[str, dict[str, ClusterConfig]] = defaultdict(dict)
    for stack, config in sorted(stacks.items()):
        owner = config.nodes.owner
        if owner is None:
            continue
        if owner not in stacks:
            yield (
                stack,
                Problem(
                    path=("nodes", "adopt", "owner"),
                    what=f"there is no stack {owner} here",
                    remedy=f"write one of {', '.join(sorted(stacks.keys() - {stack})) or 'those there are (none)'}",
                ),
            )
            continue
        tenants[owner][stack] = config
        for problem in check_beside(stack, config, stacks[owner]):
            yield stack, problem
    for together in tenants.values():
        yield from check_neighbours(together)
    for name, together in shared_clusters(stacks).items():
        owners = [stack for stack in together if stacks[stack].nodes.owner is None]
        for one, stack in combinations(owners, 2):
            yield (
                stack,
                Problem(
                    path=("name",),
                    what=f"{name} is the cluster of {one}, too, and both own it",
                    remedy=f"give it another name, or write nodes.adopt.owner: {one}",
                ),
            )


_Claims = dict[tuple[Subject, str], str]


def _claims(resources: Iterable[Declared]) -> _Claims:
    """Return who declares what."""
    found: _Claims = {}
    for resource in resources:
        if resource.custom and resource.type.startswith("kubernetes:"):
            for subject, what in _claimed(resource):
                found.setdefault((subject, what), resource.urn)
    return found


def _claimed(resource: Declared) -> Iterator[tuple[Subject, str]]:
    metadata, spec = _mapping(resource.inputs.get("metadata")), _mapping(resource.inputs.get("spec"))
    if resource.type == RELEASE:
        yield from _of_release(resource.inputs)
        return
    if resource.type == NODE_PATCH:
        for key, value in _mapping(metadata.get("labels")).items():
            yield Subject.LABEL, f"{metadata.get('name')} {key}={value}"
        return
    _, version, kind = resource.type.split(":", 2)
    group = version.rpartition("/")[0]
    place = f" in {metadata['namespace']}" if metadata.get("namespace") else ""
    yield Subject.OBJECT, f"{kind}{f'.{group}' if '.' in group else ''} {metadata.get('name')}{place}"
    yield from _taken(kind, spec)


def _taken(kind: str, spec: Mapping[str, object]) -> Iterator[tuple[Subject, str]]:
    """Yield names and addresses that a custom resource takes."""
    names: list[str] = []
    addresses: list[str] = []
    if kind == "HTTPRoute":
        names = _texts(spec.get("hostnames"))
    elif kind == "Gateway":
        listening = [_mapping(listener).get("hostname") for listener in _sequence(spec.get("listeners"))]
        # Beside the name's route, which another stack may have: the listener is what lets it in.
        names = [f"{name} (listener)" for name in _texts(listening)]
    elif kind == "IPAddressPool":
        addresses = _texts(spec.get("addresses"))
    elif kind == "EnvoyProxy":
        asked = _at(spec, "provider", "kubernetes", "envoyService", "annotations", ADDRESSES_ANNOTATION)
        addresses = [f"{address}-{address}" for address in asked.split(",")] if isinstance(asked, str) else []
    yield from ((Subject.HOST_NAME, name) for name in names)
    yield from ((Subject.ADDRESS, each) for each in addresses)


def _of_release(inputs: Mapping[str, object]) -> Iterator[tuple[Subject, str]]:
    chart = str(inputs.get("chart") or "").rstrip("/").rpartition("/")[2]
    yield Subject.RELEASE, f"{inputs.get('name')} in {inputs.get('namespace')}"
    for name, made in ONE_PER_CLUSTER.items():
        # From a mirror a chart may be a packaged file: <name>-<version>.tgz.
        if chart == name or (chart.endswith(".tgz") and chart.startswith(f"{name}-")):
            yield Subject.CHART, f"{name} ({made})"
    route = _mapping(_mapping(inputs.get("values")).get("httpRoute"))
    for name in _texts(route.get("hostnames")):
        yield Subject.HOST_NAME, name


def _labels(one: _Claims, other: _Claims) -> Iterator[OwnedTwice]:
    """Yield labels of nodes to which the stacks give different values."""
    first, second = _split(one), _split(other)
    for place in first.keys() & second.keys():
        (value, urn), (its, its_urn) = first[place], second[place]
        if value != its:
            yield OwnedTwice(subject=Subject.LABEL, what=f"{place}: {value} or {its}", urns=(urn, its_urn))


def _split(claims: _Claims) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for (subject, what), urn in claims.items():
        if subject is Subject.LABEL:
            place, _, value = what.partition("=")
            found[place] = (value, urn)
    return found


def _overlaps(one: _Claims, other: _Claims) -> Iterator[OwnedTwice]:
    """Yield ranges of addresses of which both stacks hand some out."""
    first, second = (
        [(AddressRange.parse(what), urn) for (subject, what), urn in claims.items() if subject is Subject.ADDRESS]
        for claims in (one, other)
    )
    for addresses, urn in first:
        for its, its_urn in second:
            if addresses.overlaps(its):
                what = str(its) if addresses == its else f"{its}, of {addresses}"
                yield OwnedTwice(subject=Subject.ADDRESS, what=what, urns=(urn, its_urn))


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def _at(value: object, *path: str) -> object:
    for key in path:
        value = _mapping(value).get(key)
    return value


def _sequence(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, list) else ()


def _texts(value: object) -> list[str]:
    return [each for each in _sequence(value) if isinstance(each, str)]
