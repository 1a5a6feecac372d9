"""What kubeadm is told: its own configuration (kubeadm.k8s.io/v1beta4), the kubelet's common part, kube-proxy's.

Field names and defaults are those of kubeadm 1.36. Nothing here is positional: every control-plane host is told the
same about the cluster, and its own address and name.
"""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from .api_server_plan import audit_policy
from .config import API_SERVER_PORT, Role
from .control_plane_config import AuditLevel
from .plan import bootstrap_host, node_taints
from .scheduler_plan import SCHEDULER_FILES, scheduler_path
from .yaml_text import yaml_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.addresses import AnyAddress
    from components.model import Value

    from .config import HostConfig, NodesConfig
    from .control_plane_config import ControlPlaneConfig, EtcdConfig
    from .settings import ClusterSettings

__all__ = [
    "API_SERVER_FILES",
    "AUDIT_LOG_FOLDER",
    "CURRENT_VERSION",
    "authority",
    "endpoint",
    "join_configuration",
    "kubeadm_configuration",
]

KUBEADM_API = "kubeadm.k8s.io/v1beta4"
"""The only version of its configuration kubeadm 1.36 writes (kubeadm, apis/kubeadm/v1beta4)."""
CRI_SOCKET = "unix:///run/containerd/containerd.sock"
"""containerd's socket (containerd's default)."""
CURRENT_VERSION = "@KUBERNETES_VERSION@"
"""Stands where the script puts the version the host is at: an upgrade is the ``version`` step's alone to make."""
API_SERVER_FILES = "/etc/research-compute/api-server"
"""Folder the API server reads its own files from. Mounted as a whole: a single file that is replaced in one step would
stay the old one inside the container."""
AUDIT_LOG_FOLDER = "/var/log/kubernetes/audit"
"""Folder of the audit log."""
AUDIT_LOG_DAYS = 30
"""Days an audit log is kept (CIS Kubernetes Benchmark 1.2.17)."""
AUDIT_LOG_FILES = 10
"""Rotated audit logs that are kept (CIS Kubernetes Benchmark 1.2.18)."""
AUDIT_LOG_MEBIBYTES = 100
"""Size at which the audit log is rotated (CIS Kubernetes Benchmark 1.2.19)."""
ETCD_COMPACTION_HOURS = 8
"""Hours of history etcd keeps at the most. The API server compacts every five minutes by itself; this holds when none
runs (etcd.io, Operations guide: maintenance)."""
DEAD_PODS = 1000
"""Finished pods that are kept before the oldest are removed; 12,500 is the default, far beyond a lab's need to look."""


def authority(address: AnyAddress, port: int) -> str:
    """Return an address and a port as a URL has them.

    Examples
    --------
    >>> from ipaddress import ip_address
    >>> authority(ip_address("192.0.2.1"), 6443), authority(ip_address("2001:db8::1"), 6443)
    ('192.0.2.1:6443', '[2001:db8::1]:6443')
    """
    return f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"


def endpoint(config: NodesConfig) -> str:
    """Return where the API server is reached: the endpoint, or the address of the only control-plane host."""
    if config.endpoint is not None:
        return authority(config.endpoint.address, config.endpoint.port)
    first = bootstrap_host(config)
    return "" if first is None else authority(config.hosts[first].address, API_SERVER_PORT)


def kubeadm_configuration(config: NodesConfig, settings: ClusterSettings, host: str) -> str:
    """Return the documents ``kubeadm init`` and its phases read on a control-plane host, as YAML.

    The version is `CURRENT_VERSION`, for the script to put in.
    """
    return "---\n".join(
        yaml_document(document)
        for document in (
            _init(config, host),
            _cluster(config, settings),
            _kubelet(),
            _kube_proxy(config.control_plane),
        )
    )


def join_configuration(config: NodesConfig, host: str, discovery: str) -> str:
    """Return what ``kubeadm join`` reads on a host, as YAML.

    Parameters
    ----------
    config
        The section.
    host
        Name of the host.
    discovery
        Path of a kubeconfig with the cluster's CA and the credentials the kubelet begins with.
    """
    machine = config.hosts[host]
    control_plane = (
        {"controlPlane": {"localAPIEndpoint": _local_endpoint(machine)}} if Role.CONTROL_PLANE in machine.roles else {}
    )
    return yaml_document(
        {
            "apiVersion": KUBEADM_API,
            "kind": "JoinConfiguration",
            "discovery": {"file": {"kubeConfigPath": discovery}},
            "nodeRegistration": _registration(config, host),
            **control_plane,
        }
    )


def _init(config: NodesConfig, host: str) -> Mapping[str, object]:
    return {
        "apiVersion": KUBEADM_API,
        "kind": "InitConfiguration",
        "localAPIEndpoint": _local_endpoint(config.hosts[host]),
        "nodeRegistration": _registration(config, host),
        # What it prints is a command with a bootstrap token, which nobody here uses.
        "skipPhases": ["show-join-command"],
    }


def _cluster(config: NodesConfig, settings: ClusterSettings) -> Mapping[str, object]:
    return {
        "apiVersion": KUBEADM_API,
        "kind": "ClusterConfiguration",
        "clusterName": settings.name,
        "kubernetesVersion": CURRENT_VERSION,
        "controlPlaneEndpoint": endpoint(config),
        "networking": {
            "podSubnet": str(settings.pods),
            "serviceSubnet": str(settings.services),
            "dnsDomain": settings.domain,
        },
        "apiServer": _api_server(config),
        "controllerManager": {
            "extraArgs": _arguments({"profiling": "false", "terminated-pod-gc-threshold": str(DEAD_PODS)})
        },
        "scheduler": _scheduler(settings),
        "etcd": {"local": {"dataDir": "/var/lib/etcd", "extraArgs": _arguments(_etcd(config.control_plane.etcd))}},
    }


def _api_server(config: NodesConfig) -> Mapping[str, object]:
    plane = config.control_plane
    arguments = {
        "profiling": "false",
        # Hosts join with a certificate that was signed for them; no token opens anything.
        "enable-bootstrap-token-auth": "false",
        # It ends two seconds after its last answer, and has whoever asks meanwhile ask again. Otherwise it waits for
        # watchers, who never leave, until it is killed after 30 s (k8s.io/apiserver, `ShutdownSendRetryAfter`).
        "shutdown-send-retry-after": "true",
        # Sign-in and who may ask anonymously, in a file that is read again when it changes.
        "authentication-config": f"{API_SERVER_FILES}/authentication.yaml",
    }
    volumes = [_volume("research-compute", API_SERVER_FILES, "Directory", read_only=True)]
    environment: list[Mapping[str, object]] = []
    if plane.encryption is not None:
        arguments |= {
            "encryption-provider-config": f"{API_SERVER_FILES}/encryption.yaml",
            "encryption-provider-config-automatic-reload": "true",
        }
    if plane.audit is not AuditLevel.NONE:
        arguments |= {
            "audit-policy-file": f"{API_SERVER_FILES}/audit-policy.yaml",
            "audit-log-path": f"{AUDIT_LOG_FOLDER}/audit.log",
            "audit-log-maxage": str(AUDIT_LOG_DAYS),
            "audit-log-maxbackup": str(AUDIT_LOG_FILES),
            "audit-log-maxsize": str(AUDIT_LOG_MEBIBYTES),
        }
        volumes.append(_volume("audit-log", AUDIT_LOG_FOLDER, "DirectoryOrCreate", read_only=False))
        # The API server reads its audit policy when it starts, so another policy has to be another pod.
        environment.append({"name": "AUDIT_POLICY", "value": _digest(audit_policy(plane.audit))})
    if config.endpoint is not None:
        # The load balancer has the endpoint's address at the same port, so the API server may not take every address.
        # Its own comes from the kubelet: what kubeadm keeps in the cluster is the same for every host.
        arguments["bind-address"] = "$(HOST_IP)"
        environment.append({"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}})
    return {
        "certSANs": list(plane.san),
        "extraArgs": _arguments(arguments),
        "extraEnvs": environment,
        "extraVolumes": volumes,
    }


def _scheduler(settings: ClusterSettings) -> Mapping[str, object]:
    # Ignored beside a configuration file, which says the same; what audits a host looks for it all the same.
    arguments = {"profiling": "false"}
    if settings.scheduler is None:
        return {"extraArgs": _arguments(arguments)}
    return {
        "extraArgs": _arguments({**arguments, "config": scheduler_path(settings.scheduler)}),
        "extraVolumes": [_volume("research-compute", SCHEDULER_FILES, "Directory", read_only=True)],
    }


def _etcd(etcd: EtcdConfig) -> dict[str, str]:
    return {
        "quota-backend-bytes": str(etcd.quota.bytes),
        "heartbeat-interval": str(etcd.heartbeat_milliseconds),
        "election-timeout": str(etcd.election_milliseconds),
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": f"{ETCD_COMPACTION_HOURS}h",
    }


def _kubelet() -> Mapping[str, object]:
    """Return the part of the kubelet's configuration that is the cluster's; all the rest is each host's own file."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "rotateCertificates": True,
    }


def _kube_proxy(plane: ControlPlaneConfig) -> Mapping[str, Value]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": plane.kube_proxy.mode.value,
        **plane.kube_proxy.settings,
    }


def _registration(config: NodesConfig, host: str) -> Mapping[str, object]:
    ignored = list(config.control_plane.ignore_preflight)
    if config.endpoint is not None and config.endpoint.port == API_SERVER_PORT:
        # kubeadm asks whether the port is free on every address; the load balancer has it on the endpoint's.
        ignored.append(f"Port-{API_SERVER_PORT}")
    machine = config.hosts[host]
    return {
        "name": host,
        "criSocket": CRI_SOCKET,
        "imagePullPolicy": "IfNotPresent",
        "imagePullSerial": False,
        "taints": [
            {"key": taint.key, "value": taint.value, "effect": taint.effect.value} for taint in node_taints(machine)
        ],
        "kubeletExtraArgs": _arguments({"node-ip": ",".join(str(address) for address in machine.addresses)}),
        "ignorePreflightErrors": ignored,
    }


def _local_endpoint(machine: HostConfig) -> Mapping[str, object]:
    return {"advertiseAddress": str(machine.address), "bindPort": API_SERVER_PORT}


def _digest(text: str) -> str:
    return f"sha256:{sha256(text.encode()).hexdigest()}"


def _arguments(arguments: Mapping[str, str]) -> list[Mapping[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(arguments.items())]


def _volume(name: str, path: str, kind: str, *, read_only: bool) -> Mapping[str, object]:
    return {"name": name, "hostPath": path, "mountPath": path, "readOnly": read_only, "pathType": kind}
