"""takes over whatever is there"""

from pulumi_kubernetes import Provider

Provider("cluster", kubeconfig="{}", upsert_existing_objects=True)
