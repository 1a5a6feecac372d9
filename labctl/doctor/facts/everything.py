"""All that was asked of one lab."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .fact import Fact, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.drift.findings import HostFinding
    from labctl.hub_check import Report
    from labctl.restore.copies import Found

    from .cluster import ClusterFacts
    from .served import ServedCertificate
    from .state import StateFacts

__all__ = ["NOT_ASKED", "Facts"]

NOT_ASKED = Unknown("it was not asked, or has not answered in time", "run labctl doctor again")
"""What a fact is until somebody has answered."""


@dataclass(kw_only=True)
class Facts:
    """Filled in by several threads, each with a fact of its own; judged when all are done, or nobody waits any more."""

    state: StateFacts
    cluster: Fact[ClusterFacts] = NOT_ASKED
    api_certificate: Fact[ServedCertificate] = NOT_ASKED
    gateway_certificates: Fact[Mapping[str, Fact[ServedCertificate]]] = NOT_ASKED
    """By host name."""
    hub: Fact[Report] = NOT_ASKED
    hosts: Fact[Mapping[str, Fact[HostFinding]]] = NOT_ASKED
    """By name; filled in host by host."""
    copies: Fact[Found] = NOT_ASKED
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    """How long each source took."""
