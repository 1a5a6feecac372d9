"""A scaled server whose copies somebody else counts, in a component that hands its provider down."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import ConfigMap


class Server(pulumi.ComponentResource):
    def __init__(self, name: str, label: str, copies: int, opts: ResourceOptions) -> None:
        super().__init__("house:index:Server", name, None, opts)
        counted = ResourceOptions(
            parent=self, ignore_changes=["spec.replicas", 'metadata.annotations["contract.example/by"]']
        )
        self.made = Deployment(
            f"{name}-made",
            metadata={
                "name": name,
                "labels": {"label": label},
                "annotations": {"pulumi.com/skipAwait": "true", "contract.example/by": label},
            },
            spec={
                "replicas": copies,
                "selector": {"match_labels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "c", "image": f"example.invalid/c@sha256:{'0' * 64}"}]},
                },
            },
            opts=counted,
        )
        self.register_outputs({})


name = pulumi.Config().require("namespace")
kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="contract")
server = Server(name, "first", 0, ResourceOptions(provider=cluster))
keepsake = ConfigMap(
    "keepsake", metadata={"name": f"{name}-keepsake"}, opts=ResourceOptions(provider=cluster, retain_on_delete=True)
)
