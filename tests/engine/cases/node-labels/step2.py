"""One label changes, one goes."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.core.v1 import NodePatch

node = pulumi.Config().require("namespace")
kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="contract")
labels = NodePatch(
    "labels",
    metadata={"name": node, "labels": {"contract.example/rack": "r2"}},
    opts=ResourceOptions(provider=cluster),
)
