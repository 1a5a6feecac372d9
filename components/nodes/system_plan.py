"""The ``system`` step: what the operating system of every host is brought to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.networks import IPV6

from .config import Role
from .firewall_plan import firewall_rules, ssh_networks
from .host_files_plan import mirror_values
from .host_system_config import SecurityUpdates
from .kubernetes_plan import tolerates_swap
from .steps import Step

if TYPE_CHECKING:
    from components.addresses import DnsName

    from .config import HostConfig, NodesConfig
    from .settings import ClusterSettings
    from .steps import ScriptValue

__all__ = ["host_packages", "host_sysctls", "system_packages", "system_steps"]

SYSTEM_PACKAGES = (
    "apparmor",
    "ca-certificates",
    "chrony",
    "conntrack",
    "curl",
    "ethtool",
    "gpg",
    "iproute2",
    "iptables",
    "kmod",
    "nftables",
    "openssl",
    "procps",
)
"""What a bare Debian or Ubuntu lacks and kubeadm (preflight), the kubelet, kube-proxy or our own steps call."""
UPDATE_PACKAGES = ("unattended-upgrades",)
"""What installs security updates. It brings Python along, which is half of all that a bare host has to unpack."""
RAID_PACKAGES = ("mdadm",)
"""What watches an array and mails about it."""
ENDPOINT_PACKAGES = ("haproxy", "keepalived")
"""What the ``load-balancer`` step installs."""
BACKUP_PACKAGES = ("restic",)
"""What the ``backup`` step installs."""
NODE_MODULES = ("overlay", "br_netfilter")
"""Kernel modules of a node: images' layers, and bridged packets seen by netfilter (Kubernetes, Container Runtimes)."""
NODE_SYSCTLS = {
    "net.bridge.bridge-nf-call-ip6tables": "1",
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.ipv4.ip_forward": "1",
}
"""Kernel parameters of a node (Kubernetes, Container Runtimes: network configuration)."""
IPV6_SYSCTLS = {"net.ipv6.conf.all.forwarding": "1"}
"""Of a node whose pods have IPv6 addresses."""
NOTEBOOK_SYSCTLS = {"fs.inotify.max_user_instances": "8192", "fs.inotify.max_user_watches": "1048576"}
"""Each notebook server watches files under one user id: the kernel's 128 instances are used up by some thirty of them
(kind, Known issues: too many open files, has the same two)."""
NEVER_FROM_ARCHIVES = ("containerd", "containerd.io", "docker-ce", "docker.io", "kubeadm", "kubectl", "kubelet")
"""Packages of distributions and vendors that would fight with the pinned programs over the same files and sockets."""
NEVER_BY_THEMSELVES = (*NEVER_FROM_ARCHIVES, "runc", "nvidia", "libnvidia", "linux-modules-nvidia", "cuda")
"""Beginnings of packages that security updates leave alone: changing one under running pods ends them."""
JOURNAL_LIMIT = "1G"
"""Most that the journal takes of a disk; journald's own limit is a tenth of the file system, up to 4 GiB."""
SECURITY_ORIGINS = (
    "origin=Debian,codename=${distro_codename},label=Debian-Security",
    "origin=Debian,codename=${distro_codename}-security,label=Debian-Security",
    "origin=Ubuntu,archive=${distro_codename}-security",
    "origin=UbuntuESM,archive=${distro_codename}-infra-security",
    "origin=UbuntuESMApps,archive=${distro_codename}-apps-security",
)
"""Where security updates come from (unattended-upgrades' own files on Debian 12 and Ubuntu 24.04)."""


def system_steps(config: NodesConfig, settings: ClusterSettings) -> tuple[Step, ...]:
    """Return the ``system`` step of every host that is not lost, by name in order."""
    return tuple(
        Step(name="system", subject=name, host=name, values=_values(config, name, host, settings))
        for name, host in sorted(config.hosts.items())
        if not host.lost
    )


def system_packages(config: NodesConfig, host: HostConfig) -> tuple[str, ...]:
    """Return the packages the ``system`` step installs on a host, beside a driver."""
    names = [*SYSTEM_PACKAGES]
    if _updates_itself(config):
        names += UPDATE_PACKAGES
    if host.system_raid is not None:
        names += RAID_PACKAGES
    return tuple(sorted(names))


def host_packages(config: NodesConfig) -> tuple[str, ...]:
    """Return the name of every package that any step may install on any host, sorted: what a bundle has to hold."""
    hosts = [host for host in config.hosts.values() if not host.lost]
    names = {name for host in hosts for name in system_packages(config, host)}
    if config.endpoint is not None:
        names.update(ENDPOINT_PACKAGES)
    if config.control_plane.backup is not None:
        names.update(BACKUP_PACKAGES)
    if any(host.gpus for host in hosts):
        names.update(config.system.nvidia_driver)
    return tuple(sorted(names))


def host_sysctls(config: NodesConfig, host: HostConfig, settings: ClusterSettings) -> dict[str, str]:
    """Return the kernel parameters of a host by name: Kubernetes', notebooks', then the lab's own laid over them."""
    node = _is_node(host)
    has_ipv6 = IPV6 in (*settings.pods.families, *settings.services.families)
    wanted = {
        **(NODE_SYSCTLS if node else {}),
        **(IPV6_SYSCTLS if node and has_ipv6 else {}),
        **NOTEBOOK_SYSCTLS,
        **config.system.sysctls,
    }
    return {key: " ".join(value.split()) for key, value in sorted(wanted.items())}


def _values(config: NodesConfig, name: str, host: HostConfig, settings: ClusterSettings) -> dict[str, ScriptValue]:
    system = config.system
    sysctls = host_sysctls(config, host, settings)
    ssh4, ssh6 = ssh_networks(config, host) if system.firewall else ("", "")
    has_driver = host.gpus is not None and settings.has_host_driver
    return {
        **mirror_values(config),
        "HOSTNAME_WANTED": name,
        "ADDRESS": str(host.address),
        "SECOND_ADDRESS": str(host.second_address) if host.second_address is not None else "",
        "MTU_BYTES": settings.host_mtu_bytes if _is_node(host) and settings.host_mtu_bytes is not None else "",
        "PACKAGES": system_packages(config, host),
        "TIME_CONF": _time(system.time_servers),
        # A host that is no node is not the kubelet's: whoever set it up knows whether it should swap.
        "TOLERATES_SWAP": not _is_node(host) or tolerates_swap(config.kubelet),
        "MODULES": NODE_MODULES if _is_node(host) else (),
        "SYSCTLS": tuple(f"{key}={value}" for key, value in sysctls.items()),
        "SYSCTL_CONF": "\n".join(f"{key} = {value}" for key, value in sysctls.items()),
        "JOURNALD_CONF": f"[Journal]\nSystemMaxUse={JOURNAL_LIMIT}",
        "APT_PREFERENCES": _preferences(),
        "APT_CONF": _unattended(automatic=_updates_itself(config)),
        "AUTOMATIC_UPDATES": _updates_itself(config),
        "HAS_GPU": host.gpus is not None,
        "DRIVER_PACKAGES": tuple(f"{package}={version}" for package, version in sorted(system.nvidia_driver.items()))
        if has_driver
        else (),
        "SYSTEM_RAID": host.system_raid.value if host.system_raid else "",
        "FIREWALL": firewall_rules(config, host, settings),
        "SSH_NETWORKS4": ssh4,
        "SSH_NETWORKS6": ssh6,
    }


def _is_node(host: HostConfig) -> bool:
    return set(host.roles) != {Role.STORAGE}


def _time(servers: tuple[DnsName, ...]) -> str | None:
    """Return chrony's configuration with the lab's own servers, or None for the distribution's."""
    if not servers:
        return None
    lines = [
        *(f"server {server} iburst" for server in servers),
        "driftfile /var/lib/chrony/chrony.drift",
        "ntsdumpdir /var/lib/chrony",
        "logdir /var/log/chrony",
        "confdir /etc/chrony/conf.d",
        "maxupdateskew 100.0",
        "rtcsync",
        # A clock that is far off at boot is set at once; later only slowly, since etcd and certificates look at it.
        "makestep 1 3",
    ]
    return "\n".join(lines)


def _preferences() -> str:
    """Return apt's preferences (apt_preferences(5)): a negative priority is never installed."""
    return "\n".join(
        (
            "Explanation: containerd and Kubernetes are installed by checksum, from where their projects publish them.",
            f"Package: {' '.join(NEVER_FROM_ARCHIVES)}",
            "Pin: release *",
            "Pin-Priority: -1",
        )
    )


def _updates_itself(config: NodesConfig) -> bool:
    return config.system.security_updates is SecurityUpdates.AUTOMATIC


def _unattended(*, automatic: bool) -> str:
    """Return apt's configuration of unattended upgrades (apt.conf(5))."""
    often = "1" if automatic else "0"
    lines = [
        f'APT::Periodic::Update-Package-Lists "{often}";',
        f'APT::Periodic::Unattended-Upgrade "{often}";',
        "#clear Unattended-Upgrade::Allowed-Origins;",
        "#clear Unattended-Upgrade::Origins-Pattern;",
        "Unattended-Upgrade::Origins-Pattern {",
        *(f'    "{origin}";' for origin in SECURITY_ORIGINS),
        "};",
        "Unattended-Upgrade::Package-Blacklist {",
        *(f'    "^{name.replace(".", "[.]")}";' for name in NEVER_BY_THEMSELVES),
        "};",
        'Unattended-Upgrade::Automatic-Reboot "false";',
        'Unattended-Upgrade::Remove-Unused-Kernel-Packages "true";',
    ]
    return "\n".join(lines)
