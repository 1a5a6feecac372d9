"""Which host a resource is about, by its name."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from components.model import Value

__all__ = ["host_names", "host_of", "without_host"]


def host_names(cluster: Value) -> tuple[str, ...]:
    """Return the names of the hosts in the data of a stack file's cluster, whatever else is wrong with it."""
    nodes = cluster.get("nodes") if isinstance(cluster, dict) else None
    hosts = nodes.get("hosts") if isinstance(nodes, dict) else None
    return tuple(str(name) for name in hosts) if isinstance(hosts, dict) else ()


def host_of(name: str, hosts: Collection[str]) -> str | None:
    """Return the host whose name is part of a resource's, the longest where several are; None where none is.

    Examples
    --------
    >>> host_of("bootstrap-gpu-1-join", ["gpu-1", "gpu"])
    'gpu-1'
    """
    found = _pattern(frozenset(hosts)).search(name) if hosts else None
    return found["host"] if found else None


def without_host(name: str, hosts: Collection[str]) -> str:
    """Return what of a resource's name comes after its host's: ``join`` of ``bootstrap-gpu-1-join``; else all of it."""
    host = host_of(name, hosts)
    return name.partition(host)[2].strip("-") or name if host else name


@lru_cache(maxsize=8)
def _pattern(hosts: frozenset[str]) -> re.Pattern[str]:
    longest_first = sorted(hosts, key=lambda host: (-len(host), host))
    return re.compile(rf"(?:^|-)(?P<host>{'|'.join(map(re.escape, longest_first))})(?:-|$)")
