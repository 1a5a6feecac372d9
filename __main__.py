"""Read this stack's configuration, build the cluster, export its outputs."""

import pulumi

from stacks.cluster import Cluster
from stacks.config import CLUSTER_KEY, parse_cluster
from stacks.environments import environment_of
from stacks.pins import load_pins

stack = pulumi.get_stack()
environment = environment_of(stack)
pins = load_pins(environment.name)
data = pulumi.Config().require_object(CLUSTER_KEY)
config = parse_cluster(data, file=f"Pulumi.{stack}.yaml", pins=pins)
Cluster(config, environment, pins).export()
