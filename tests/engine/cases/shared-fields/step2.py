"""Another label and another number of copies, of which only the label is ours; the keepsake is forgotten."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.apps.v1 import Deployment


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
server = Server(name, "second", 5, ResourceOptions(provider=cluster))
