"""The checks that cost a few requests of the API server: those that `up` makes, too."""

from __future__ import annotations

from labctl.doctor.vocabulary import CheckId, Source

from .certificates import certificates
from .check import Check
from .cluster import api_server, nodes
from .lab import pending
from .pods import pods
from .releases import releases
from .slices import slices
from .storage import storage

__all__ = ["CHEAP"]

CHEAP: tuple[Check, ...] = (
    Check(id=CheckId.PENDING, judge=pending, sources=(Source.STATE,)),
    Check(id=CheckId.API_SERVER, judge=api_server, sources=(Source.CLUSTER,)),
    Check(id=CheckId.NODES, judge=nodes, sources=(Source.CLUSTER,)),
    Check(id=CheckId.STORAGE, judge=storage, sources=(Source.CLUSTER,)),
    Check(id=CheckId.SLICES, judge=slices, sources=(Source.CLUSTER,)),
    Check(id=CheckId.RELEASES, judge=releases, sources=(Source.CLUSTER,)),
    Check(id=CheckId.PODS, judge=pods, sources=(Source.CLUSTER,)),
    Check(id=CheckId.CERTIFICATES, judge=certificates, sources=(Source.CLUSTER,)),
)
"""In the order in which they are shown."""
