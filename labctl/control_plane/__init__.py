"""The embedded control plane: etcd, kube-apiserver, its controllers and kwok; obtained, started and stopped here.

Parts are loaded when they are first asked for (PEP 562): every command imports this package's errors, only some start
anything, and the rest costs 0.2 s.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import ControlPlaneError
    from .nodes import NodeChanges, NodeTaint, SimulatedNode
    from .obtain import obtain_all, obtain_tool
    from .plane import ComponentStatus, ControlPlane, ControlPlaneStatus
    from .progress import Progress

__all__ = [
    "ComponentStatus",
    "ControlPlane",
    "ControlPlaneError",
    "ControlPlaneStatus",
    "NodeChanges",
    "NodeTaint",
    "Progress",
    "SimulatedNode",
    "obtain_all",
    "obtain_tool",
]

_MODULES = {
    **dict.fromkeys(("ComponentStatus", "ControlPlane", "ControlPlaneStatus"), "plane"),
    **dict.fromkeys(("NodeChanges", "NodeTaint", "SimulatedNode"), "nodes"),
    **dict.fromkeys(("obtain_all", "obtain_tool"), "obtain"),
    "ControlPlaneError": "errors",
    "Progress": "progress",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
