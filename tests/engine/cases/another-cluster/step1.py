"""A cluster without a name of its own, and an object on it."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.core.v1 import ConfigMap

name = pulumi.Config().require("namespace")
kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig)
settings = ConfigMap("settings", metadata={"name": name}, data={"a": "1"}, opts=ResourceOptions(provider=cluster))
