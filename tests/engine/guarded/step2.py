"""The namespace is no longer wanted."""

from pathlib import Path

import pulumi_kubernetes as kubernetes

kubeconfig = Path("kubeconfig").read_text(encoding="utf-8")
cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="contract")
