"""waits for a condition of its own"""

from pulumi import ResourceOptions
from pulumi_kubernetes import Provider
from pulumi_kubernetes.core.v1 import ConfigMap

cluster = Provider("cluster", kubeconfig="{}")
ConfigMap(
    "settings",
    metadata={"name": "settings", "annotations": {"pulumi.com/waitFor": "jsonpath={.data}"}},
    opts=ResourceOptions(provider=cluster),
)
