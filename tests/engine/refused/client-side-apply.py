"""turns server-side apply off"""

from pulumi_kubernetes import Provider

Provider("cluster", kubeconfig="{}", enable_server_side_apply=False)
