"""The namespace has another name, so all that is in it moves; one account is no longer wanted."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace

name = pulumi.Config().require("namespace")
kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="contract")
on_it = ResourceOptions(provider=cluster)
space = Namespace("space", metadata={"name": f"{name}-new", "labels": {"team": "a"}}, opts=on_it)
settings = ConfigMap(
    "settings", metadata={"name": "settings", "namespace": space.metadata["name"]}, data={"a": "1"}, opts=on_it
)
