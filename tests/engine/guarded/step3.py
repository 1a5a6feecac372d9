"""The namespace gets another name, which is a deletion that looks like a change."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.core.v1 import Namespace

name = pulumi.Config().require("namespace")
kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="contract")
space = Namespace("space", metadata={"name": f"{name}-renamed"}, opts=ResourceOptions(provider=cluster))
