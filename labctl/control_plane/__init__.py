"""The embedded control plane: etcd, kube-apiserver, its controllers and kwok; obtained, started and stopped here."""

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
