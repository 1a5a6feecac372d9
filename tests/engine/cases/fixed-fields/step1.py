"""Objects with fields that cannot change in place, and contents that may not."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.core.v1 import ConfigMap, Secret
from pulumi_kubernetes.rbac.v1 import RoleBinding
from pulumi_kubernetes.storage.v1 import StorageClass

name = pulumi.Config().require("namespace")
kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="contract")
on_it = ResourceOptions(provider=cluster)
settings = ConfigMap("settings", metadata={"name": name}, data={"a": "1"}, opts=on_it)
sealed = Secret("sealed", metadata={"name": name}, string_data={"a": "canary-fixed-99b"}, opts=on_it)
binding = RoleBinding(
    "binding",
    metadata={"name": name, "labels": {"level": "low"}},
    role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    subjects=[{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    opts=on_it,
)
disks = StorageClass(
    "disks",
    metadata={"name": name},
    provisioner="contract.example/none",
    parameters={"tier": "slow"},
    reclaim_policy="Delete",
    opts=on_it,
)
