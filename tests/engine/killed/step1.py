"""A namespace with a few settings, a password, and a note; enough for a run to be cut off anywhere in it."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random
from pulumi import ResourceOptions
from pulumi_command import local
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace, Secret

name = pulumi.Config().require("namespace")
kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider(
    "cluster",
    kubeconfig=kubeconfig,
    cluster_identifier="contract",
    enable_config_map_mutable=True,
    enable_secret_mutable=True,
)
on_it = ResourceOptions(provider=cluster)
space = Namespace("space", metadata={"name": name}, opts=on_it)
inside = space.metadata["name"]
drawn = random.RandomPassword("drawn", length=16, special=False)
password = Secret(
    "password", metadata={"name": "password", "namespace": inside}, string_data={"word": drawn.result}, opts=on_it
)
first = ConfigMap("first", metadata={"name": "first", "namespace": inside}, data={"v": "1"}, opts=on_it)
after = ResourceOptions(provider=cluster, depends_on=[first, password])
second = ConfigMap("second", metadata={"name": "second", "namespace": inside}, data={"v": "1"}, opts=after)
moving = ConfigMap("moving", metadata={"name": "moving-a", "namespace": inside}, data={"v": "1"}, opts=on_it)
fixed = ConfigMap("fixed", metadata={"name": "fixed", "namespace": inside}, data={"v": "1"}, immutable=True, opts=on_it)
leaving = ConfigMap("leaving", metadata={"name": "leaving", "namespace": inside}, data={"v": "1"}, opts=after)
note = local.Command("note", create="echo 1 > note", delete="rm -f note")
