"""An object that is there already and belongs to somebody else, and one beside it."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace

name = pulumi.Config().require("namespace")
kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="contract")
beside = ConfigMap("beside", metadata={"name": name}, opts=ResourceOptions(provider=cluster))
theirs = Namespace(
    "theirs",
    metadata={"name": "kube-public", "labels": {"contract.example/mine": "true"}},
    opts=ResourceOptions(provider=cluster, depends_on=[beside]),
)
