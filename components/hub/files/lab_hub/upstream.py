"""JupyterHub and KubeSpawner, as far as this package builds on them.

Neither says of its attributes what they are: ``upstream.pyi`` beside this file does, for the checker. Names with an
underscore there are KubeSpawner 7.1's and JupyterHub 5.5's own; a test asks the installed ones for each of them.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# Untyped: that is why there is a file of types beside this one.
from __future__ import annotations

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers.pages import SpawnHandler
from jupyterhub.scopes import needs_scope
from kubespawner.clients import shared_client
from kubespawner.reflector import ResourceReflector
from kubespawner.spawner import EventReflector, KubeSpawner, PodReflector
from tornado.web import HTTPError

__all__ = [
    "APIHandler",
    "EventReflector",
    "HTTPError",
    "KubeSpawner",
    "PodReflector",
    "ResourceReflector",
    "SpawnHandler",
    "needs_scope",
    "shared_client",
]
