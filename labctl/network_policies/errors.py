"""Failures of reading NetworkPolicies."""

from __future__ import annotations

__all__ = ["MalformedPolicyError", "NoCommonFamilyError", "UnknownNamespaceError"]


class MalformedPolicyError(ValueError):
    """A NetworkPolicy that the API server would not have taken."""

    def __init__(self, namespace: str, name: str, field: str, found: object) -> None:
        super().__init__(f"NetworkPolicy {namespace}/{name}: {field} cannot be {found!r}")


class NoCommonFamilyError(ValueError):
    """Two ends that have no address of the family that is asked about."""

    def __init__(self, source: str, destination: str, ip_version: int) -> None:
        super().__init__(f"{source} and {destination} do not both have an IPv{ip_version} address")


class UnknownNamespaceError(LookupError):
    """A pod in a namespace nobody described: no selector of namespaces can be judged."""

    def __init__(self, pod: str, namespace: str) -> None:
        super().__init__(f"{pod} is in namespace {namespace}, of which nothing is known")
