"""Whom users' servers run as where people have no ids of their own."""

from __future__ import annotations

__all__ = ["SERVER_GID", "SERVER_UID"]

SERVER_UID = 1000
"""User id of a server's processes: ``jovyan`` in Jupyter's images (docker-stacks, ``NB_UID``)."""
SERVER_GID = 100
"""Group id of a server's processes and volumes: ``users`` in Jupyter's images (docker-stacks, ``NB_GID``)."""
