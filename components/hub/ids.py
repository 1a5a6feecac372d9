"""Who is who: the hub's account, and whom servers run as where people have no ids of their own."""

from __future__ import annotations

__all__ = ["HUB_ACCOUNT", "SERVER_GID", "SERVER_UID"]

HUB_ACCOUNT = "hub"
"""ServiceAccount the chart makes for the hub (``jupyterhub.hub-serviceaccount.fullname``)."""
SERVER_UID = 1000
"""User id of a server's processes: ``jovyan`` in Jupyter's images (docker-stacks, ``NB_UID``)."""
SERVER_GID = 100
"""Group id of a server's processes and volumes: ``users`` in Jupyter's images (docker-stacks, ``NB_GID``)."""
