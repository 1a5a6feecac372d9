"""A namespace, and with it whatever people put into it."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.core.v1 import Namespace

name = pulumi.Config().require("namespace")
kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="contract")
space = Namespace("space", metadata={"name": name}, opts=ResourceOptions(provider=cluster))
