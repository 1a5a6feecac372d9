"""TLS on every route: plain HTTP answers with a redirect to https, and with nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.graph.values import Unknown

from .model import Finding, Rule, Severity
from .reading import at, mapping, opened, path_text, sequence, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.graph.values import Value

    from .model import RuledResource, Surroundings
    from .reading import Path

__all__ = ["RULES"]

ENCRYPTED: Final = ("HTTPS", "TLS")
"""Protocols of listeners that begin with TLS (Gateway API 1.4)."""
ROUTES: Final = frozenset({"HTTPRoute", "GRPCRoute"})
"""Kinds of routes that a listener of HTTP takes as well as one of HTTPS."""
UNENCRYPTED_ROUTES: Final = frozenset({"TCPRoute", "UDPRoute"})
"""Kinds of routes that no TLS ends before."""
OLD_VERSIONS: Final = ("1.0", "1.1")
"""Versions of TLS that are no longer to be used (RFC 8996)."""
OWN_NAMESPACE: Final = "Same"
"""Routes of the gateway's own namespace only, which is also the default."""


def _listeners(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield what of a gateway, an Ingress or a chart's values serves without TLS, or with an old one."""
    if resource.is_object and resource.kind == "Gateway":
        for index, item in enumerate(sequence(at(resource.inputs, "spec", "listeners"))):
            yield from _listener(("spec", "listeners", index), mapping(item))
    elif resource.is_object and resource.kind == "Ingress":
        if at(resource.inputs, "spec", "tls") in (None, [], {}):
            yield Finding(path="spec.tls", what="an Ingress without TLS", remedy="use a route of the gateway")
    elif resource.is_object and resource.kind in UNENCRYPTED_ROUTES:
        yield Finding(path="", what=f"a {resource.kind} has no TLS", remedy="use an HTTPRoute or a TLSRoute")
    for node in resource.nodes:
        if node.key == "minVersion" and node.value in OLD_VERSIONS:
            yield Finding(path=node.place, what=f"TLS {node.shown} is accepted", remedy='ask for "1.2" or newer')
        elif resource.is_release and node.key == "ingress" and _is_plain_ingress(mapping(node.value)):
            yield Finding(path=node.place, what="an Ingress without TLS", remedy="use the gateway, or give it tls")


def _listener(path: Path, listener: dict[str, Value]) -> Iterator[Finding]:
    protocol = opened(listener.get("protocol"))
    if isinstance(protocol, Unknown):
        return
    if protocol in ENCRYPTED:
        tls = mapping(listener.get("tls"))
        certified = sequence(tls.get("certificateRefs")) or isinstance(opened(tls.get("certificateRefs")), Unknown)
        if not certified and at(tls, "mode") != "Passthrough" and not mapping(tls.get("options")):
            what = "the listener has no certificate"
            yield Finding(path=path_text((*path, "tls")), what=what, remedy="name one in certificateRefs")
    elif protocol == "HTTP":
        source = at(listener.get("allowedRoutes"), "namespaces", "from")
        if not isinstance(source, Unknown) and source not in (None, OWN_NAMESPACE):
            what = "other namespaces may serve over plain HTTP"
            remedy = f"let in routes from {OWN_NAMESPACE} only: the redirect"
            yield Finding(path=path_text((*path, "allowedRoutes")), what=what, remedy=remedy)
    else:
        what = "the listener has no TLS"
        yield Finding(path=path_text((*path, "protocol")), what=what, remedy="use HTTPS or TLS")


def _is_plain_ingress(ingress: dict[str, Value]) -> bool:
    return opened(ingress.get("enabled")) is True and at(ingress, "tls") in (None, [], {}, False)


def _routes(resource: RuledResource, around: Surroundings) -> Iterator[Finding]:
    """Yield a route, of an object or of a chart's values, that is served over plain HTTP."""
    if resource.is_object and resource.kind in ROUTES:
        if _only_redirects(resource):
            return
        for index, item in enumerate(sequence(at(resource.inputs, "spec", "parentRefs"))):
            path = ("spec", "parentRefs", index)
            yield from _attached(path, mapping(item), resource.namespace, around)
    elif resource.is_release:
        for node in resource.nodes:
            route = mapping(node.value) if node.key == "httpRoute" else {}
            if opened(route.get("enabled")) is True:
                own = text(resource.inputs.get("namespace"))
                parents = sequence(route.get("parentRefs")) or [route.get("gateway")]
                for parent in parents:
                    yield from _attached(node.path, mapping(parent), own, around)


def _only_redirects(route: RuledResource) -> bool:
    """Tell whether every rule of `route` sends to https, and none serves."""
    rules = [mapping(rule) for rule in sequence(at(route.inputs, "spec", "rules"))]
    return bool(rules) and all(
        not sequence(rule.get("backendRefs"))
        and any(at(item, "requestRedirect", "scheme") == "https" for item in sequence(rule.get("filters")))
        for rule in rules
    )


def _attached(path: Path, parent: dict[str, Value], own: str, around: Surroundings) -> Iterator[Finding]:
    """Yield a route's attachment to a listener without TLS, or to every listener there is."""
    section = opened(parent.get("sectionName"))
    if isinstance(section, Unknown) or text(parent.get("kind")) not in ("", "Gateway"):
        return
    listeners = _listeners_of(parent, own, around)
    reached = [each for each in listeners if not section or at(each, "name") == section]
    if any(at(each, "protocol") == "HTTP" for each in reached):
        what = "the route is served over plain HTTP" if section else "the route is on every listener, plain HTTP too"
    elif not section and not listeners:
        what = "the route is on every listener of a gateway of another stack"
    elif section and listeners and not reached:
        what = "the gateway has no listener of that name"
    else:
        return
    place = path_text((*path, "sectionName"))
    yield Finding(path=place, what=what, remedy="name a listener of HTTPS in sectionName, or redirect to https only")


def _listeners_of(parent: dict[str, Value], own: str, around: Surroundings) -> list[Value]:
    """Return the listeners of the gateway that `parent` names; none when it is not of this stack."""
    name, namespace = text(parent.get("name")), text(parent.get("namespace")) or own
    for gateway in around.of_kind("Gateway"):
        if (gateway.object_name, gateway.namespace) == (name, namespace):
            return sequence(at(gateway.inputs, "spec", "listeners"))
    return []


RULES: Final = (
    Rule(
        name="tls-listener",
        description="Every listener and Ingress has TLS, 1.2 at least; plain HTTP is for the gateway's own redirect.",
        severity=Severity.MANDATORY,
        check=_listeners,
    ),
    Rule(
        name="tls-route",
        description="Every route is on a listener of HTTPS, but one that only redirects to https.",
        severity=Severity.MANDATORY,
        check=_routes,
        needs_stack=True,
    ),
)
