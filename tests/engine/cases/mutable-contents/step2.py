"""A setting goes, one comes, one changes, and so does the password."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import ResourceOptions
from pulumi_kubernetes.core.v1 import ConfigMap, Secret

name = pulumi.Config().require("namespace")
cluster = kubernetes.Provider(
    "cluster",
    kubeconfig=Path("kubeconfig").read_text(encoding="utf-8"),
    cluster_identifier="contract",
    enable_server_side_apply=True,
    enable_config_map_mutable=True,
    enable_secret_mutable=True,
)
on_it = ResourceOptions(provider=cluster)
settings = ConfigMap(
    "settings", metadata={"name": name, "labels": {"of": "contract"}}, data={"kept": "one", "added": "3"}, opts=on_it
)
password = Secret(
    "password",
    metadata={"name": name},
    string_data={"word": pulumi.Output.secret("canary-phrase-5e2")},
    data={"other": pulumi.Output.secret("b3RoZXI=")},
    opts=on_it,
)
pulumi.export("name", settings.metadata["name"])
