"""The one way in: Envoy Gateway, and one shared Gateway with an HTTPS listener and a certificate per published service.

The Gateway API's kinds come with gateway-helm itself (its subchart ``crds``). The separate chart of CRDs cannot be a
Helm release: its release Secret would take 1.8 to 2.5 MB, and etcd takes 1 MiB (measured at v1.9.0;
envoyproxy/gateway issue 6105).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.namespaces.flows import ANYWHERE, Direction, Flow, NetworkPeer, PodPeer, Port
from components.namespaces.plan import GATEWAY_LABEL, NAMESPACE_LABEL, NamespacePlan, PodSecurity, scoped
from components.networks import family_name

from .certificates_config import AcmeCertificates, FileCertificates, HttpSolver
from .facts import LISTENER_PREFIX
from .flows import PROXY_PODS, api_server, dns, to_routed_namespaces, webhook
from .gateway_address import address_annotations, address_families
from .parts import ISSUER_KEY, TLS, CustomResourcePlan, NetworkPart, ReleasePlan, SecretPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from components.model import Value

    from .certificates_config import Certificates
    from .config import AddressPool, EnvoyGateway, NetworkConfig
    from .facts import GatewayReference, NetworkFacts

__all__ = [
    "GATEWAY_CHART",
    "GATEWAY_KEY",
    "HTTPS_PORT",
    "HTTP_LISTENER",
    "HTTP_PORT",
    "certificate_key",
    "container_port",
    "gateway_part",
    "listener_name",
]

GATEWAY_CHART = "gateway-helm"
GATEWAY_KEY = "gateway"
"""Key of the Gateway's custom resource."""
HTTP_LISTENER = "http"
"""Name of the plain listener: redirects, and ACME challenges."""
HTTP_PORT = 80
HTTPS_PORT = 443

_API = "gateway.networking.k8s.io/v1"
_ENVOY_API = "gateway.envoyproxy.io/v1alpha1"
_CONTROLLER_PODS = {"control-plane": "envoy-gateway"}
_JOB_PODS = {"app": "certgen"}
"""Label of the chart's certificate job (gateway-helm, ``certgen.yaml``)."""
_SOLVER_PODS = {"acme.cert-manager.io/http01-solver": "true"}
_XDS_PORTS = (18000, 18001, 18002)
"""Ports of the controller that proxies talk to: configuration, rate limits, WebAssembly modules (gateway-helm values,
``deployment.ports``)."""
_INJECTOR_PORT = 9443
"""Port of the controller's topology webhook (gateway-helm, ``envoy-proxy-topology-injector-webhook.yaml``)."""
_SOLVER_PORT = 8089
"""Port of the pod that answers an ACME challenge (cert-manager, ``acmeSolverListenPort``)."""
_PRIVILEGED_PORTS = 1024
_PORT_SHIFT = 10_000
"""Envoy Gateway adds it to listener ports below 1024, so that proxies run without privileges."""
_UNLIMITED = "0s"
_KEEPALIVE: Mapping[str, Value] = {"probes": 3, "idleTime": "60s", "interval": "20s"}
"""TCP keepalive towards both sides: a silent connection is probed after a minute, which keeps stateful firewalls (2 h
and less of memory) from forgetting it, and one whose other end is gone is dropped two minutes in."""


def container_port(listener_port: int) -> int:
    """Return the port on which a proxy's pod really listens for a listener's port."""
    return listener_port + _PORT_SHIFT if listener_port < _PRIVILEGED_PORTS else listener_port


def listener_name(service: str) -> str:
    """Return the name of a published service's HTTPS listener, the ``sectionName`` its route attaches to."""
    return f"{LISTENER_PREFIX}{service}"


def certificate_key(service: str) -> str:
    """Return the key of the custom resource, and the name, of a service's Certificate and Secret."""
    return f"{service}-tls"


def gateway_part(
    network: NetworkConfig, config: EnvoyGateway, facts: NetworkFacts, gateway: GatewayReference, stack: str
) -> NetworkPart:
    """Return the gateway: controller, class, proxies' shape, Gateway, redirect, timeouts, certificates.

    Parameters
    ----------
    network
        Network section of the stack file: the pools its address may come from, and where certificates come from.
    config
        Its gateway section.
    facts
        The network, with the host names to publish and the issuer of their certificates.
    gateway
        Names the Gateway goes by.
    stack
        Name of the stack; the controller only serves GatewayClasses that name it.
    """
    certificates = network.certificates
    pools = network.load_balancer.pools if network.load_balancer is not None else ()
    issuer_key = ISSUER_KEY if certificates is not None else None
    controller_name = f"gateway.envoyproxy.io/{stack}"
    return NetworkPart(
        key=GATEWAY_KEY,
        namespace=NamespacePlan(
            name=gateway.namespace,
            stack=stack,
            pod_security=PodSecurity.BASELINE,
            gateway=gateway.label,
            flows=_flows(config, facts, gateway, certificates),
        ),
        releases=(
            ReleasePlan(
                chart=GATEWAY_CHART,
                release_name=scoped("gateway", stack),
                values={
                    "crds": {"enabled": True},
                    "kubernetesClusterDomain": facts.cluster_domain,
                    "config": {"envoyGateway": {"gateway": {"controllerName": controller_name}}},
                    "deployment": {"priorityClassName": "system-cluster-critical"},
                },
            ),
        ),
        resources=(
            _proxies(config, facts, gateway, pools),
            _class(gateway, controller_name),
            _gateway(facts, gateway),
            _redirect(gateway),
            *_timeouts(config, gateway),
            *(() if isinstance(certificates, FileCertificates) else _certificates(facts, issuer_key)),
        ),
        secrets=_files(certificates) if isinstance(certificates, FileCertificates) else (),
    )


def _files(certificates: FileCertificates) -> tuple[SecretPlan, ...]:
    return tuple(
        SecretPlan(name=certificate_key(service), data={"tls.crt": file.chain, "tls.key": file.private_key}, type=TLS)
        for service, file in sorted(certificates.services.items())
    )


def _proxies(
    config: EnvoyGateway, facts: NetworkFacts, gateway: GatewayReference, pools: Sequence[AddressPool]
) -> CustomResourcePlan:
    service: dict[str, Value] = {
        "type": "LoadBalancer",
        # The client's own address reaches the logs, and no proxy forwards for another.
        "externalTrafficPolicy": "Local",
        # MetalLB sends straight to the nodes' proxies: no port is opened on every node.
        "allocateLoadBalancerNodePorts": False,
    }
    if annotations := address_annotations(config, pools):
        service["annotations"] = annotations
    if config.allowed_sources:
        service["loadBalancerSourceRanges"] = [str(network) for network in config.allowed_sources]
    kubernetes: dict[str, Value] = {
        "envoyService": service,
        "envoyDeployment": {
            "replicas": config.replicas,
            "pod": {
                "priorityClassName": "system-cluster-critical",
                "topologySpreadConstraints": [
                    {
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": dict(PROXY_PODS)},
                    }
                ],
            },
        },
    }
    if config.replicas > 1:
        kubernetes["envoyPDB"] = {"minAvailable": 1}
    spec: dict[str, Value] = {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}}
    if facts.services.is_dual:
        spec["ipFamily"] = _ip_family(address_families(config, pools, facts.services))
    return CustomResourcePlan(
        key="proxies",
        api_version=_ENVOY_API,
        kind="EnvoyProxy",
        name=gateway.name,
        spec=spec,
        after=(GATEWAY_CHART,),
    )


def _ip_family(families: AbstractSet[int]) -> str:
    """Return the families of the proxies' Service in Envoy Gateway's words (``EnvoyProxy.spec.ipFamily``)."""
    return "DualStack" if len(families) > 1 else "".join(family_name(version) for version in families)


def _class(gateway: GatewayReference, controller_name: str) -> CustomResourcePlan:
    parameters: dict[str, Value] = {
        "group": "gateway.envoyproxy.io",
        "kind": "EnvoyProxy",
        "name": gateway.name,
        "namespace": gateway.namespace,
    }
    return CustomResourcePlan(
        key="class",
        api_version=_API,
        kind="GatewayClass",
        name=gateway.class_name,
        namespaced=False,
        spec={"controllerName": controller_name, "parametersRef": parameters},
        after=("proxies",),
    )


def _gateway(facts: NetworkFacts, gateway: GatewayReference) -> CustomResourcePlan:
    listeners: list[Value] = [
        {
            "name": HTTP_LISTENER,
            "port": HTTP_PORT,
            "protocol": "HTTP",
            "allowedRoutes": {"namespaces": {"from": "Same"}},
        }
    ]
    listeners += [
        {
            "name": listener_name(service),
            "port": HTTPS_PORT,
            "protocol": "HTTPS",
            "hostname": hostname,
            "tls": {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": certificate_key(service)}]},
            "allowedRoutes": {
                "namespaces": {"from": "Selector", "selector": {"matchLabels": {GATEWAY_LABEL: gateway.label}}}
            },
        }
        for service, hostname in sorted(facts.hostnames.items())
    ]
    return CustomResourcePlan(
        key=GATEWAY_KEY,
        api_version=_API,
        kind="Gateway",
        name=gateway.name,
        spec={"gatewayClassName": gateway.class_name, "listeners": listeners},
        after=("class",),
    )


def _redirect(gateway: GatewayReference) -> CustomResourcePlan:
    """Send whoever comes by plain HTTP to HTTPS; a challenge's longer path goes before it."""
    return CustomResourcePlan(
        key="redirect",
        api_version=_API,
        kind="HTTPRoute",
        name="to-https",
        spec={
            "parentRefs": [{"name": gateway.name, "sectionName": HTTP_LISTENER}],
            "rules": [
                {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}]}
            ],
        },
        after=(GATEWAY_KEY,),
    )


def _timeouts(config: EnvoyGateway, gateway: GatewayReference) -> tuple[CustomResourcePlan, CustomResourcePlan]:
    """Let websockets live: both sides of the proxy have an idle timeout of 5 minutes of their own otherwise."""
    target: list[Value] = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway.name}]
    idle = str(config.websocket_idle)
    client: dict[str, Value] = {
        "targetRefs": target,
        "timeout": {"http": {"streamIdleTimeout": idle, "idleTimeout": idle}},
        "tcpKeepalive": _KEEPALIVE,
        "tls": {"minVersion": "1.2"},
    }
    backend: dict[str, Value] = {
        "targetRefs": target,
        "timeout": {
            # A notebook's download or a long computation's answer may take as long as it takes: Envoy's 15 s route
            # timeout would cut it.
            "http": {"requestTimeout": _UNLIMITED, "streamIdleTimeout": idle, "connectionIdleTimeout": idle}
        },
        "tcpKeepalive": _KEEPALIVE,
        "httpUpgrade": [{"type": "websocket"}],
    }
    return (
        CustomResourcePlan(
            key="client-policy",
            api_version=_ENVOY_API,
            kind="ClientTrafficPolicy",
            name=gateway.name,
            spec=client,
            after=(GATEWAY_KEY,),
        ),
        CustomResourcePlan(
            key="backend-policy",
            api_version=_ENVOY_API,
            kind="BackendTrafficPolicy",
            name=gateway.name,
            spec=backend,
            after=(GATEWAY_KEY,),
        ),
    )


def _certificates(facts: NetworkFacts, issuer_key: str | None) -> list[CustomResourcePlan]:
    return [
        CustomResourcePlan(
            key=certificate_key(service),
            api_version="cert-manager.io/v1",
            kind="Certificate",
            name=certificate_key(service),
            spec={
                "secretName": certificate_key(service),
                "dnsNames": [hostname],
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
                "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": facts.issuer or ""},
            },
            after=() if issuer_key is None else (issuer_key,),
        )
        for service, hostname in sorted(facts.hostnames.items())
    ]


def _flows(
    config: EnvoyGateway, facts: NetworkFacts, gateway: GatewayReference, certificates: Certificates | None
) -> tuple[Flow, ...]:
    listening = tuple(Port(container_port(port)) for port in (HTTP_PORT, HTTPS_PORT))
    sources = tuple(NetworkPeer(network=network) for network in config.allowed_sources) or ANYWHERE
    own = {NAMESPACE_LABEL: gateway.namespace}
    xds = tuple(Port(port) for port in _XDS_PORTS)
    return (
        dns(),
        api_server(facts, "The controller reads routes and writes their status.", _CONTROLLER_PODS),
        api_server(
            facts, "A job of the chart's writes the controller's certificates.", _JOB_PODS, name="certgen-to-api-server"
        ),
        webhook(_INJECTOR_PORT, "The API server has the controller tell proxies their zone.", _CONTROLLER_PODS),
        to_routed_namespaces(gateway.label),
        Flow(
            name="users-to-proxies",
            reason="This is where users come in.",
            direction=Direction.INGRESS,
            pods=PROXY_PODS,
            peers=sources,
            ports=listening,
        ),
        Flow(
            name="proxies-to-controller",
            reason="Proxies get their configuration from the controller.",
            direction=Direction.EGRESS,
            pods=PROXY_PODS,
            peers=(PodPeer(labels=_CONTROLLER_PODS, namespace=own),),
            ports=xds,
        ),
        Flow(
            name="controller-from-proxies",
            reason="Proxies get their configuration from the controller.",
            direction=Direction.INGRESS,
            pods=_CONTROLLER_PODS,
            peers=(PodPeer(labels=PROXY_PODS),),
            ports=xds,
        ),
        *_challenge_flows(certificates),
    )


def _challenge_flows(certificates: Certificates | None) -> tuple[Flow, ...]:
    if not isinstance(certificates, AcmeCertificates) or not isinstance(certificates.solver, HttpSolver):
        return ()
    return (
        Flow(
            name="challenge-from-proxies",
            reason="The ACME server fetches the answer to its challenge through the proxies.",
            direction=Direction.INGRESS,
            pods=_SOLVER_PODS,
            peers=(PodPeer(labels=PROXY_PODS),),
            ports=(Port(_SOLVER_PORT),),
        ),
    )
