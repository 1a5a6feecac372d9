"""A release of the chart beside this program."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.helm.v3 import Release

kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="contract")
hub = Release(
    "hub",
    name=pulumi.Config().require("namespace"),
    chart="./notebook",
    namespace="default",
    skip_await=True,
    values={"image": {"tag": "b"}, "limits": {"memory": "2Gi"}, "profiles": [{"name": "small"}, {"name": "large"}]},
    opts=ResourceOptions(provider=cluster),
)
pulumi.export("chart", hub.status.apply(lambda status: f"{status.chart} {status.version}" if status else "unknown"))
