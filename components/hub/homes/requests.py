"""Homes the hub has to ask for: the chart values that give it the folder, and the code, for it.

Where homes are datasets, nobody makes one but the storage host (docs/decisions/0007), and it is asked through a folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.quantities import Duration
from components.storage.homes_plan import KnownHome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value

__all__ = ["VOLUME", "database_home", "request_settings", "request_volume", "request_volume_mount"]

FOLDER = "/srv/home-requests"
"""Where the hub has the folder of requests and answers."""
VOLUME = "home-requests"
"""Name of the pod's volume."""
TIMEOUT = Duration.parse("30s")
"""How long a home is waited for. One is made within a second; a hundred at once took half a minute on a slow host."""
DATABASE_CLAIM = "hub-db-dir"
"""Claim of the hub's database (the chart's ``jupyterhub.hub-pvc.fullname``)."""
HUB_ID = 1000
"""User and group id of the hub's process (the chart's ``hub.containerSecurityContext``)."""


def database_home(namespace: str) -> KnownHome:
    """Return the home of the hub's own database, which cannot ask for it: the hub starts on it.

    Parameters
    ----------
    namespace
        The hub's.
    """
    return KnownHome(namespace=namespace, claim=DATABASE_CLAIM, uid=HUB_ID, gid=HUB_ID)


def request_settings(uid: int, gid: int) -> Mapping[str, Value]:
    """Return what our module reads: the `HomesSettings` of ``files/lab_hub/home_requests.py``.

    Parameters
    ----------
    uid, gid
        Whom servers run as.
    """
    return {"folder": FOLDER, "uid": uid, "gid": gid, "timeoutSeconds": TIMEOUT.seconds}


def request_volume(claim: str) -> Mapping[str, Value]:
    """Return the hub pod's volume of the folder, `VOLUME`, by the name of its claim."""
    return {"persistentVolumeClaim": {"claimName": claim}}


def request_volume_mount() -> Mapping[str, Value]:
    """Return where the hub's container has it."""
    return {"mountPath": FOLDER}
