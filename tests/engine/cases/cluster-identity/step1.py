"""A cluster whose kubeconfig another resource gives, and an object on it."""

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_command import local
from pulumi_kubernetes.core.v1 import ConfigMap

name = pulumi.Config().require("namespace")
admin = local.Command("admin", create="cat kubeconfig")
cluster = kubernetes.Provider("cluster", kubeconfig=admin.stdout, cluster_identifier="contract")
settings = ConfigMap("settings", metadata={"name": name}, data={"a": "1"}, opts=ResourceOptions(provider=cluster))
