"""The server is to have no copies, which it has: what is there is brought to that."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import CustomTimeouts, ResourceOptions
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import ConfigMap

name = pulumi.Config().require("namespace")
kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="contract")
server = Deployment(
    "server",
    metadata={"name": name},
    spec={
        "replicas": 0,
        "selector": {"match_labels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {
                "node_selector": {"contract.example/nowhere": "true"},
                "containers": [{"name": "server", "image": f"example.invalid/server@sha256:{'0' * 64}"}],
            },
        },
    },
    opts=ResourceOptions(provider=cluster, custom_timeouts=CustomTimeouts(create="3s", update="3s")),
)
after = ConfigMap("after", metadata={"name": name}, opts=ResourceOptions(provider=cluster, depends_on=[server]))
