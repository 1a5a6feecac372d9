"""A namespace, and objects whose place is read from it."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace, ServiceAccount

name = pulumi.Config().require("namespace")
kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="contract")
on_it = ResourceOptions(provider=cluster)
space = Namespace("space", metadata={"name": name, "labels": {"team": "a"}}, opts=on_it)
settings = ConfigMap(
    "settings", metadata={"name": "settings", "namespace": space.metadata["name"]}, data={"a": "1"}, opts=on_it
)
account = ServiceAccount("account", metadata={"name": "robot", "namespace": space.metadata["name"]}, opts=on_it)
