"""A kind of our own and an object of it, which has to wait for its kind."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.apiextensions.v1 import CustomResourceDefinition, JSONSchemaPropsArgsDict

group = f"{pulumi.Config().require('namespace')}.example"
kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="contract")
slices: JSONSchemaPropsArgsDict = {
    "type": "array",
    "items": {"type": "string"},
    "x_kubernetes_list_type": "set",
}
kind = CustomResourceDefinition(
    "kind",
    metadata={"name": f"layouts.{group}"},
    spec={
        "group": group,
        "scope": "Cluster",
        "names": {"kind": "Layout", "plural": "layouts", "singular": "layout"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "open_apiv3_schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": {"slices": slices}}},
                    }
                },
            }
        ],
    },
    opts=ResourceOptions(provider=cluster),
)
layout = CustomResource(
    "layout",
    api_version=f"{group}/v1",
    kind="Layout",
    metadata={"name": "gpu", "annotations": {"pulumi.com/deletionPropagationPolicy": "background"}},
    spec={"slices": ["1g.10gb", "2g.20gb"]},
    opts=ResourceOptions(provider=cluster, depends_on=[kind]),
)
