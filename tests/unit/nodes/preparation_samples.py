"""A lab of three kinds of hosts, and what it is bootstrapped into."""

from __future__ import annotations

from components.networks import Networks
from components.nodes.config import NodesConfig
from components.nodes.settings import ClusterSettings
from components.pins import Pins

__all__ = ["cluster", "lab"]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQ5h0WpOOUL5c+6YPQkmCkQNyu8U71JlFTv6/DxtS5V"
NAMES = ("kubelet", "kubeadm", "kubectl", "containerd", "runc", "cni-plugins", "etcd")
HARDWARE = {"cpus": 8, "memory": "64Gi", "ephemeralStorage": "1Ti"}


def pins(containerd: str = "2.3.4") -> Pins:
    """Return pins whose checksums say which file they are of."""
    return Pins.model_validate(
        {
            "kubernetes": "v1.36.3",
            "hostFiles": {
                name: {
                    "version": containerd if name == "containerd" else "v1.2.3",
                    "url": f"https://example.org/{name}/{{version}}/{name}-{{arch}}.tgz",
                    "sha256": {"amd64": f"{index}a" * 32, "arm64": f"{index}b" * 32},
                    "source": "a test",
                }
                for index, name in enumerate(NAMES)
            },
            "kubernetesImages": {
                name: f"registry.k8s.io/{name}:v1"
                for name in ("coredns", "etcd", "kube-apiserver", "kube-proxy", "pause")
            },
            "charts": {},
            "images": {
                "notebook": {
                    "image": f"quay.io/jupyter/notebook:2026@sha256:{'1' * 64}",
                    "source": "a test",
                },
                "tool": {"image": f"docker.io/busybox:1@sha256:{'2' * 64}", "source": "a test"},
            },
        },
        by_alias=True,
    )


def cluster(
    containerd: str = "2.3.4", *, has_host_driver: bool = False, pods: str = "10.244.0.0/16"
) -> ClusterSettings:
    """Return what hosts are bootstrapped into."""
    return ClusterSettings(
        name="lab",
        hosts=Networks.of("10.0.0.0/24"),
        pods=Networks.of(pods),
        services=Networks.of("10.96.0.0/16"),
        domain="cluster.local",
        pins=pins(containerd),
        has_host_driver=has_host_driver,
    )


def lab(**changes: object) -> NodesConfig:
    """Return a control plane, a worker with GPUs and a storage host, with these keys of the section replaced."""
    hosts: dict[str, dict[str, object]] = {
        "cp-1": {"address": "10.0.0.1", "roles": ["control-plane"]},
        "gpu-1": {
            "address": "10.0.0.2",
            "roles": ["worker"],
            "gpus": {"model": "A100-80GB-PCIe", "count": 2},
            "systemRaid": "raid1",
        },
        "nas-1": {"address": "10.0.0.3", "roles": ["storage"]},
        "old-1": {"address": "10.0.0.4", "roles": ["worker"], "lost": True},
    }
    section: dict[str, object] = {
        "hosts": {name: {"hostKey": KEY, "hardware": HARDWARE, **host} for name, host in hosts.items()},
        **changes,
    }
    return NodesConfig.model_validate(section, by_alias=True)
