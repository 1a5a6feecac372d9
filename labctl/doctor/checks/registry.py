"""Every check, in order."""

from __future__ import annotations

from labctl.doctor.vocabulary import CheckId, Source

from .certificates import gateway_certificate
from .cheap import CHEAP
from .check import Check
from .cluster import api_certificate
from .hosts import clocks, drift, host_certificates, host_upkeep, host_versions, hosts
from .hub import hub
from .lab import lock, readable
from .protection import backups, host_storage

__all__ = ["CHECKS"]

_OTHERS: tuple[Check, ...] = (
    Check(id=CheckId.STATE, judge=readable, sources=(Source.STATE,)),
    Check(id=CheckId.LOCK, judge=lock, sources=(Source.STATE,)),
    Check(id=CheckId.API_CERTIFICATE, judge=api_certificate, sources=(Source.API_CERTIFICATE,)),
    Check(id=CheckId.GATEWAY_CERTIFICATE, judge=gateway_certificate, sources=(Source.GATEWAY_CERTIFICATE,)),
    Check(id=CheckId.HUB, judge=hub, sources=(Source.HUB,)),
    Check(id=CheckId.HOSTS, judge=hosts, sources=(Source.HOSTS,)),
    Check(id=CheckId.HOST_VERSIONS, judge=host_versions, sources=(Source.HOSTS,)),
    Check(id=CheckId.HOST_CERTIFICATES, judge=host_certificates, sources=(Source.HOSTS,)),
    Check(id=CheckId.HOST_UPKEEP, judge=host_upkeep, sources=(Source.HOSTS,)),
    Check(id=CheckId.CLOCKS, judge=clocks, sources=(Source.HOSTS,)),
    Check(id=CheckId.HOST_STORAGE, judge=host_storage, sources=(Source.HOSTS,)),
    Check(
        id=CheckId.BACKUPS,
        judge=backups,
        sources=(
            Source.HOSTS,
            Source.COPIES,
        ),
    ),
    Check(id=CheckId.DRIFT, judge=drift, sources=(Source.HOSTS,)),
)

CHECKS: tuple[Check, ...] = tuple(sorted((*CHEAP, *_OTHERS), key=lambda check: list(CheckId).index(check.id)))
"""In the order in which they are shown, which is that of their names."""
