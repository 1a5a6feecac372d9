"""The words of an examination: what is checked, what is asked for it, and what comes of it."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["CheckId", "Source", "State"]


class CheckId(StrEnum):
    """One check, in the order in which they are shown; a name stays what it is (docs/doctor.md)."""

    STATE = "state"
    LOCK = "lock"
    PENDING = "pending"
    API_SERVER = "api-server"
    API_CERTIFICATE = "api-certificate"
    NODES = "nodes"
    STORAGE = "storage"
    SLICES = "slices"
    RELEASES = "releases"
    PODS = "pods"
    CERTIFICATES = "certificates"
    GATEWAY_CERTIFICATE = "gateway-certificate"
    HUB = "hub"
    HOSTS = "hosts"
    HOST_VERSIONS = "host-versions"
    HOST_CERTIFICATES = "host-certificates"
    HOST_UPKEEP = "host-upkeep"
    CLOCKS = "clocks"
    HOST_STORAGE = "host-storage"
    BACKUPS = "backups"
    DRIFT = "drift"


class Source(StrEnum):
    """Whom facts come from; each is asked once, whatever checks need it."""

    STATE = "state"
    CLUSTER = "cluster"
    API_CERTIFICATE = "api-certificate"
    GATEWAY_CERTIFICATE = "gateway-certificate"
    HUB = "hub"
    HOSTS = "hosts"
    COPIES = "copies"


class State(StrEnum):
    """What came of a check, or of one thing in it; the worst last."""

    NOT_APPLICABLE = "not-applicable"
    """The stack does not have what it is about."""
    OK = "ok"
    WARNING = "warning"
    """Somebody should see to it; nothing is wrong yet."""
    UNKNOWN = "unknown"
    """It could not be asked."""
    PROBLEM = "problem"

    @property
    def weight(self) -> int:
        """How much it counts: the state of many is that of the heaviest."""
        return list(State).index(self)
