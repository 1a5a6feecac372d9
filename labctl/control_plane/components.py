"""How each program of the control plane is run: arguments, input files, and where it tells that it is well. Pure.

The flags are kubeadm's for a single control-plane host (kubeadm v1.36, phases/controlplane), moved to loopback and free
ports. Differences are commented.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .ports import LOOPBACK, PortUse

__all__ = ["CONTROLLERS", "ComponentSpec", "HealthCheck", "Layout", "Networks", "component_specs", "scheduler_text"]

CONTROLLERS = ("kube-controller-manager", "kube-scheduler", "kwok")
"""What works against the API server, and is started when that is ready."""
CLIENT_QPS = 400
"""Requests a second that the controller manager and the scheduler may make: a 1,000-node lab would wait for their
defaults of 20 and 50."""
CLIENT_BURST = 800
"""How many of them at once (defaults 30 and 100)."""

UNANSWERED_PLUGINS = "MutatingAdmissionWebhook,ValidatingAdmissionWebhook"
"""Off, where a kubeadm cluster has them on: the pods a chart's webhooks point at are simulated and answer nobody, so
with the webhook's ``failurePolicy: Fail`` nothing of its kinds could be changed or deleted any more. Admission policies
stay on: the API server evaluates those itself."""


@dataclass(frozen=True)
class Layout:
    """Where a control plane keeps its things."""

    directory: Path

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.directory / "pki"

    @property
    def config(self) -> Path:
        """Configuration files and kubeconfigs of the components, written anew at every start."""
        return self.directory / "config"

    @property
    def etcd(self) -> Path:
        """The data: every object of the cluster."""
        return self.directory / "etcd"

    @property
    def logs(self) -> Path:
        """One log per component."""
        return self.directory / "logs"

    @property
    def records(self) -> Path:
        """One process record per component."""
        return self.directory / "run"

    @property
    def ports(self) -> Path:
        """The kept ports."""
        return self.directory / "ports.json"

    @property
    def networks(self) -> Path:
        """The networks the data was made with."""
        return self.directory / "networks.json"

    @property
    def lock(self) -> Path:
        """Held while something is started, stopped or removed; beside the directory, so that it survives a wipe."""
        return self.directory.with_name(f"{self.directory.name}.lock")

    @property
    def scheduler(self) -> Path:
        """The scheduler's configuration, where it is told more than its defaults."""
        return self.config / "scheduler.yaml"

    def certificate(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key of this name."""
        return self.pki / f"{name}.crt", self.pki / f"{name}.key"


@dataclass(frozen=True, kw_only=True)
class Networks:
    """The networks inside the cluster in CIDR notation, those of two families with a comma between."""

    pods: str
    services: str


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """A GET that answers 200 when the component is well."""

    url: str
    authority: str | None = None
    """Whose certificate the server shows; None: plain HTTP."""
    client: str | None = None
    """Which client certificate is shown; None: none."""


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """One process to run."""

    name: str
    arguments: tuple[str, ...]
    inputs: tuple[Path, ...]
    """Files it reads once at start: other content means it must be restarted."""
    health: HealthCheck


def component_specs(
    layout: Layout, ports: Mapping[PortUse, int], networks: Networks, *, is_scheduler_configured: bool = False
) -> dict[str, ComponentSpec]:
    """Return the control plane's processes by name, in the order in which they need each other. Pure.

    Parameters
    ----------
    layout, ports, networks
        Where its files are, where it listens, what it hands out.
    is_scheduler_configured
        Whether the scheduler reads the file `Layout.scheduler`.
    """
    specs = (
        _etcd(layout, ports),
        _api_server(layout, ports, networks),
        _controller_manager(layout, ports, networks),
        _scheduler(layout, ports, is_configured=is_scheduler_configured),
        _kwok(layout, ports),
    )
    return {spec.name: spec for spec in specs}


def _etcd(layout: Layout, ports: Mapping[PortUse, int]) -> ComponentSpec:
    certificate, key = layout.certificate("etcd-server")
    authority = layout.pki / "etcd-ca.crt"
    client_url = f"https://{LOOPBACK}:{ports[PortUse.ETCD_CLIENT]}"
    peer_url = f"https://{LOOPBACK}:{ports[PortUse.ETCD_PEER]}"
    arguments = (
        "--name=labctl",
        f"--data-dir={layout.etcd}",
        f"--listen-client-urls={client_url}",
        f"--advertise-client-urls={client_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=labctl={peer_url}",
        f"--cert-file={certificate}",
        f"--key-file={key}",
        f"--trusted-ca-file={authority}",
        "--client-cert-auth",
        f"--peer-cert-file={certificate}",
        f"--peer-key-file={key}",
        f"--peer-trusted-ca-file={authority}",
        "--peer-client-cert-auth",
        # Every write would wait for the disk. What a killed process has written is in the kernel's page cache and
        # survives; only a crash of the machine itself can damage the data, and a development cluster is quickly remade.
        "--unsafe-no-fsync",
        # Room for the history of a 5,000-object benchmark; etcd's default of 2 GiB stops all writes when it is full.
        f"--quota-backend-bytes={4 << 30}",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=10m",
        "--logger=zap",
        "--log-level=warn",
    )
    health = HealthCheck(url=f"{client_url}/health", authority="etcd-ca", client="etcd-client")
    return ComponentSpec(name="etcd", arguments=arguments, inputs=(certificate, authority), health=health)


def _api_server(layout: Layout, ports: Mapping[PortUse, int], networks: Networks) -> ComponentSpec:
    pki = layout.pki
    serving, etcd, kubelet, proxy = (
        layout.certificate(name) for name in ("apiserver", "etcd-client", "kubelet-client", "front-proxy-client")
    )
    port = ports[PortUse.API_SERVER]
    arguments = (
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={port}",
        # The Service `kubernetes` may not have a loopback endpoint; without a reconciler none is tried.
        "--endpoint-reconciler-type=none",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--disable-admission-plugins={UNANSWERED_PLUGINS}",
        # kubeadm leaves anonymous requests on, for joining hosts. None joins here, and loopback is shared by all users.
        "--anonymous-auth=false",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={serving[0]}",
        f"--tls-private-key-file={serving[1]}",
        f"--etcd-servers=https://{LOOPBACK}:{ports[PortUse.ETCD_CLIENT]}",
        f"--etcd-cafile={pki / 'etcd-ca.crt'}",
        f"--etcd-certfile={etcd[0]}",
        f"--etcd-keyfile={etcd[1]}",
        f"--kubelet-client-certificate={kubelet[0]}",
        f"--kubelet-client-key={kubelet[1]}",
        "--kubelet-preferred-address-types=InternalIP,Hostname",
        f"--proxy-client-cert-file={proxy[0]}",
        f"--proxy-client-key-file={proxy[1]}",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        # No kube-proxy here: an aggregated API is reached at its endpoints.
        "--enable-aggregator-routing=true",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--service-cluster-ip-range={networks.services}",
        "--profiling=false",
    )
    inputs = (serving[0], etcd[0], proxy[0], pki / "ca.crt", pki / "front-proxy-ca.crt", pki / "sa.pub")
    health = HealthCheck(url=f"https://{LOOPBACK}:{port}/readyz", authority="ca", client="admin")
    return ComponentSpec(name="kube-apiserver", arguments=arguments, inputs=inputs, health=health)


def _served_by_controllers(layout: Layout, port: int, kubeconfig: Path) -> tuple[str, ...]:
    """Return what the controller manager and the scheduler share: how they serve, and that each is the only one."""
    certificate, key = layout.certificate("component")
    return (
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--client-ca-file={layout.pki / 'ca.crt'}",
        f"--requestheader-client-ca-file={layout.pki / 'front-proxy-ca.crt'}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        # There is one of each: an election would only add seconds to every start.
        "--leader-elect=false",
        f"--kube-api-qps={CLIENT_QPS}",
        f"--kube-api-burst={CLIENT_BURST}",
        "--profiling=false",
    )


def _controller_manager(layout: Layout, ports: Mapping[PortUse, int], networks: Networks) -> ComponentSpec:
    pki, port = layout.pki, ports[PortUse.CONTROLLER_MANAGER]
    kubeconfig = layout.config / "controller-manager.kubeconfig"
    arguments = (
        *_served_by_controllers(layout, port, kubeconfig),
        # The ttl controller annotates nodes for kubelets that cache Secrets, with a request of its own per node.
        "--controllers=*,-ttl-controller",
        # Nodes get no podCIDR: Calico hands out addresses by itself, and a /24 each would end at 256 simulated nodes.
        "--allocate-node-cidrs=false",
        f"--service-cluster-ip-range={networks.services}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
    )
    health = HealthCheck(url=f"https://{LOOPBACK}:{port}/healthz", authority="ca")
    inputs = (kubeconfig, pki / "component.crt")
    return ComponentSpec(name="kube-controller-manager", arguments=arguments, inputs=inputs, health=health)


def _scheduler(layout: Layout, ports: Mapping[PortUse, int], *, is_configured: bool) -> ComponentSpec:
    port = ports[PortUse.SCHEDULER]
    kubeconfig = layout.config / "scheduler.kubeconfig"
    health = HealthCheck(url=f"https://{LOOPBACK}:{port}/healthz", authority="ca")
    inputs = (kubeconfig, layout.pki / "component.crt")
    arguments = _served_by_controllers(layout, port, kubeconfig)
    if is_configured:
        # Beside it only the flags of serving and of the election count (kube-scheduler, options.ApplyTo).
        arguments, inputs = (*arguments, f"--config={layout.scheduler}"), (*inputs, layout.scheduler)
    return ComponentSpec(name="kube-scheduler", arguments=arguments, inputs=inputs, health=health)


def scheduler_text(layout: Layout, configuration: Mapping[str, object]) -> str:
    """Return a KubeSchedulerConfiguration as the embedded scheduler reads it: with how it signs in, and how fast."""
    connection = {
        "kubeconfig": str(layout.config / "scheduler.kubeconfig"),
        "qps": CLIENT_QPS,
        "burst": CLIENT_BURST,
    }
    return json.dumps({**configuration, "clientConnection": connection}, indent=2, sort_keys=True)


def _kwok(layout: Layout, ports: Mapping[PortUse, int]) -> ComponentSpec:
    config, kubeconfig = layout.config / "kwok.yaml", layout.config / "kwok.kubeconfig"
    health = HealthCheck(url=f"http://{LOOPBACK}:{ports[PortUse.KWOK]}/healthz")
    return ComponentSpec(
        name="kwok",
        arguments=(f"--config={config}", f"--kubeconfig={kubeconfig}"),
        inputs=(config, kubeconfig),
        health=health,
    )
