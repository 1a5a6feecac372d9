"""Kubeconfig files with everything in them. Pure."""

import base64
from dataclasses import dataclass, field

__all__ = ["KubeconfigUser", "kubeconfig_text"]


@dataclass(frozen=True, kw_only=True)
class KubeconfigUser:
    """Who a kubeconfig logs in as."""

    name: str
    certificate: bytes
    """PEM."""
    key: bytes = field(repr=False)
    """PEM."""


def kubeconfig_text(*, cluster: str, server: str, authority: bytes, user: KubeconfigUser) -> str:
    """Return a kubeconfig (YAML) with one cluster, one user, and one context of the cluster's name.

    Parameters
    ----------
    cluster
        Name of the cluster and of its context.
    server
        Address of the API server.
    authority
        Certificate of the authority (PEM); it is put in, so that the file works wherever it is copied.
    """

    def encoded(pem: bytes) -> str:
        return base64.b64encode(pem).decode("ascii")

    return f"""\
apiVersion: v1
kind: Config
current-context: {cluster}
clusters:
- name: {cluster}
  cluster:
    server: {server}
    certificate-authority-data: {encoded(authority)}
contexts:
- name: {cluster}
  context:
    cluster: {cluster}
    user: {user.name}
users:
- name: {user.name}
  user:
    client-certificate-data: {encoded(user.certificate)}
    client-key-data: {encoded(user.key)}
"""
