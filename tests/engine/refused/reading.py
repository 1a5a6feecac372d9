"""reads an existing resource"""

from pulumi_kubernetes.core.v1 import ConfigMap

ConfigMap.get("existing", "default/existing")
