"""The ``nodes`` section of a stack file: the lab's machines, and how they become, or already are, a cluster."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from components.addresses import Address, AnyAddress, DnsLabel, DnsName, HostKey
from components.errors import ConfigurationError
from components.labels import LabelKey, LabelValue
from components.model import Model
from components.quantities import Duration, Size
from components.secrets import SecretRef

from .control_plane_config import CertificatesConfig, ControlPlaneConfig, UpgradeConfig
from .host_system_config import KubeletConfig, MirrorConfig, RuntimeConfig, SystemConfig

__all__ = [
    "AdoptConfig",
    "EndpointConfig",
    "GpusConfig",
    "HardwareConfig",
    "HostConfig",
    "HostSshConfig",
    "JumpConfig",
    "NodesConfig",
    "Role",
    "SshConfig",
    "SystemRaid",
    "TaintConfig",
    "TaintEffect",
]

API_SERVER_PORT = 6443
"""TCP port of the Kubernetes API server (kubeadm's default)."""
SSH_PORT = 22
"""TCP port of a host's SSH server (IANA)."""
LARGEST_PORT = 65_535
"""The largest TCP port (RFC 9293)."""
MOST_CPUS = 4096
"""Hardware threads of one host: beyond any machine sold in 2026, below any unit mistake."""
MOST_GPUS = 16
"""GPUs of one host: the largest single chassis (HGX, 16 in a DGX-2)."""


LOGIN = r"^[a-z_][a-z0-9_-]{0,31}$"
"""A login name (useradd(8))."""


class Role(StrEnum):
    """What a host does. A host with GPUs is a worker with ``gpus``; it needs no role of its own."""

    CONTROL_PLANE = "control-plane"
    """Runs etcd and the API server."""
    WORKER = "worker"
    """Runs people's notebooks and jobs."""
    STORAGE = "storage"
    """Exports file systems. With this role alone it is no Kubernetes node."""


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class TaintConfig(Model):
    """One taint a node registers with."""

    key: LabelKey = Field(description="The taint's key.")
    value: LabelValue = Field(default="", description="The taint's value; empty where the key says it all.")
    effect: TaintEffect = Field(description="What happens to pods that do not tolerate it.")


class SystemRaid(StrEnum):
    """What the system's disks are expected to be."""

    RAID1 = "raid1"
    """A mirror of the Linux kernel's (md)."""


class HardwareConfig(Model):
    """What a host has, as its kubelet would report it."""

    cpus: int = Field(
        ge=1, le=MOST_CPUS, title="CPUs", description="Hardware threads, which Kubernetes counts as CPUs."
    )
    memory: Size = Field(description="Installed memory.")
    ephemeral_storage: Size = Field(
        description="Size of the file system with the kubelet's and the container runtime's directories."
    )


class GpusConfig(Model):
    """The GPUs of a host, all of one model."""

    model: str = Field(
        min_length=1, title="GPU model", description="Model as the gpu section knows it, such as A100-80GB-PCIe."
    )
    count: int = Field(ge=1, le=MOST_GPUS, description="How many of them.")


class JumpConfig(Model):
    """A host that connections to the others go through."""

    address: Address | DnsName = Field(description="Where it is reached.")
    port: int = Field(default=SSH_PORT, ge=1, le=LARGEST_PORT, description="TCP port of its SSH server.")
    user: str = Field(pattern=LOGIN, description="Login there; needs no rights but to forward connections.")
    host_key: HostKey = Field(description="Public key of its SSH server.")


class SshConfig(Model):
    """How hosts are reached, where a host says nothing else."""

    user: str = Field(
        default="ubuntu", pattern=LOGIN, description="Login on the host: root, or one that may become root by sudo."
    )
    port: int = Field(default=SSH_PORT, ge=1, le=LARGEST_PORT, description="TCP port of the SSH server.")
    private_key: SecretRef | None = Field(
        default=None,
        description="Configuration key with the private key; without it the SSH agent of whoever runs this is asked.",
    )
    sudo_password: SecretRef | None = Field(
        default=None,
        description="Configuration key with the login's password, where sudo asks for one.",
    )
    jump: JumpConfig | None = Field(
        default=None, title="Jump host", description="Host that connections to the others go through."
    )
    connect_timeout: Duration = Field(default=Duration(15), description="How long one attempt to connect may take.")
    connect_attempts: int = Field(
        default=10,
        ge=1,
        le=100,
        description="Attempts to connect before a host counts as unreachable. Nothing but connecting is ever repeated.",
    )


class HostSshConfig(Model):
    """What differs in reaching one host."""

    user: str | None = Field(default=None, pattern=LOGIN, description="Login on this host, instead of the common one.")
    port: int | None = Field(
        default=None, ge=1, le=LARGEST_PORT, description="TCP port of its SSH server, instead of the common one."
    )


def _distinct_roles(roles: tuple[Role, ...]) -> tuple[Role, ...]:
    if len(set(roles)) != len(roles):
        raise ConfigurationError(what="a role is named twice", remedy="name each role once")
    return roles


class HostConfig(Model):
    """One machine of the lab. Its key in ``hosts`` is its host name and its node's name."""

    address: Address = Field(description="Address in the lab's network, the node's InternalIP.")
    second_address: Address | None = Field(
        default=None,
        description="Its address of the other family, on a dual-stack cluster; the first is of the primary one.",
    )
    mtu_bytes: int | None = Field(
        default=None,
        ge=1280,
        le=65_535,
        title="MTU in bytes",
        description="Largest packet its interface in the lab's network takes, where that is known; the step that "
        "prepares a host looks at the interface in any case.",
    )
    roles: Annotated[tuple[Role, ...], AfterValidator(_distinct_roles)] = Field(
        min_length=1, description="What it does: control-plane, worker, storage."
    )
    host_key: HostKey | None = Field(
        default=None,
        description="Public key of its SSH server; without it the server would not be authenticated, so a host that is "
        "to be bootstrapped has to have one.",
    )
    ssh: HostSshConfig = Field(
        default=HostSshConfig(), title="SSH", description="What differs from the common SSH settings."
    )
    hardware: HardwareConfig = Field(description="What it has.")
    gpus: GpusConfig | None = Field(default=None, title="GPUs", description="Its GPUs, if it has any.")
    labels: dict[LabelKey, LabelValue] = Field(default={}, description="Labels of its node, beside those of its roles.")
    taints: tuple[TaintConfig, ...] = Field(default=(), description="Taints its node registers with.")
    system_raid: SystemRaid | None = Field(
        default=None,
        title="System RAID",
        description="`raid1`: the system lies on a mirror, and a host whose mirror is not whole is refused.",
    )
    reconverge: int = Field(
        default=0,
        ge=0,
        description="Raise it by one to apply every step to this host again, such as after `labctl drift` found "
        "changes, or after its disks were replaced.",
    )
    lost: bool = Field(
        default=False,
        description="True once the machine is gone for good: nothing is asked of it any more, and its node is removed.",
    )

    @property
    def addresses(self) -> tuple[AnyAddress, ...]:
        """Its addresses in the lab's network, the primary one first."""
        return (self.address,) if self.second_address is None else (self.address, self.second_address)


class EndpointConfig(Model):
    """The virtual address all control-plane hosts answer at."""

    address: Address = Field(description="Address no host has of its own, in the lab's network.")
    port: int = Field(default=API_SERVER_PORT, ge=1, le=LARGEST_PORT, description="TCP port of the API server there.")


class AdoptConfig(Model):
    """A cluster that exists already, and how its API server is reached."""

    kubeconfig: str | None = Field(
        default=None,
        min_length=1,
        description="Path of a kubeconfig file, absolute or from the project's folder. This or kubeconfigSecret.",
    )
    kubeconfig_secret: SecretRef | None = Field(
        default=None, description="Configuration key with the kubeconfig itself. This or kubeconfig."
    )
    context: str | None = Field(
        default=None, min_length=1, description="Context of the kubeconfig to use; its current one if none is named."
    )
    simulated: bool = Field(
        default=False,
        description="True where the nodes are simulated from the hosts below (the embedded control plane): no SSH, no "
        "hardware, and charts that cannot be reached are recorded instead of installed.",
    )
    owner: DnsLabel | None = Field(
        default=None,
        title="Owning stack",
        description="Stack of this project that owns the cluster: its machines, pod network, storage server and GPUs. "
        "This stack lives beside it, names what it uses of it (`use` in each section) and owns none of that; None "
        "where no stack here does.",
    )


class NodesConfig(Model):
    """The lab's machines: bootstrapped into a cluster, or belonging to one that is adopted."""

    hosts: dict[DnsLabel, HostConfig] = Field(
        default={}, description="The machines by host name. Their order means nothing."
    )
    endpoint: EndpointConfig | None = Field(
        default=None,
        title="API endpoint",
        description="Virtual address of the control plane; needed with more than one control-plane host.",
    )
    bootstrap_host: DnsLabel | None = Field(
        default=None,
        description="Control-plane host where the cluster begins; the first by name if none is named.",
    )
    ssh: SshConfig = Field(default=SshConfig(), title="SSH", description="How hosts are reached.")
    system: SystemConfig = Field(default=SystemConfig(), description="The operating system of every host.")
    runtime: RuntimeConfig = Field(
        default=RuntimeConfig(), title="Container runtime", description="containerd on every node."
    )
    kubelet: KubeletConfig = Field(default=KubeletConfig(), title="kubelet", description="The kubelet of every node.")
    control_plane: ControlPlaneConfig = Field(default=ControlPlaneConfig(), description="The control plane.")
    certificates: CertificatesConfig = Field(
        default=CertificatesConfig(), description="The control plane's certificates."
    )
    upgrade: UpgradeConfig = Field(
        default=UpgradeConfig(), description="How hosts are brought to another version of Kubernetes."
    )
    mirror: MirrorConfig | None = Field(
        default=None, description="A bundle that stands for every public place hosts would download from."
    )
    pre_pull: tuple[str, ...] = Field(
        default=(),
        title="Pulled beforehand",
        description="Pinned images, by name, that a worker has before its node can be used.",
    )
    adopt: AdoptConfig | None = Field(
        default=None,
        title="Adopted cluster",
        description="A cluster that exists already, instead of making one.",
    )

    @property
    def simulated(self) -> bool:
        """Whether the nodes are simulated from the hosts, on the embedded control plane."""
        return self.adopt is not None and self.adopt.simulated

    @property
    def owner(self) -> str | None:
        """Stack that owns the cluster this one lives on; None where it is this one's, or no stack's."""
        return None if self.adopt is None else self.adopt.owner
