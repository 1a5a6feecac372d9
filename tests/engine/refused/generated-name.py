"""leaves an object's name to chance"""

from pulumi_kubernetes.core.v1 import ConfigMap

ConfigMap("settings", data={"a": "1"})
