"""The API server has another address."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.core.v1 import ConfigMap

name = pulumi.Config().require("namespace")
moved = Path("kubeconfig").read_text(encoding="utf-8").rstrip("\n").replace("https://127.0.0.1:", "https://localhost:")
cluster = kubernetes.Provider("cluster", kubeconfig=moved, cluster_identifier="contract")
settings = ConfigMap("settings", metadata={"name": name}, data={"a": "1"}, opts=ResourceOptions(provider=cluster))
