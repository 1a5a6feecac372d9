"""The resource monitor: what Pulumi's Python SDK talks to while the program runs.

The SDK's generated client is replaced by an object with the same methods, so no process, port or plugin is involved.
A registration may take as long as making the resource takes: the SDK calls each from a thread of its own.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, resource_pb2

from .errors import DuplicateResourceError, UnsupportedFeatureError
from .goal import Goal, goal_from_request, make_urn
from .values import Inputs, from_struct, to_struct

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Answer", "EngineLog", "ResourceMonitor"]


@dataclass(frozen=True)
class Answer:
    """What the program gets back for a registration."""

    outputs: Inputs
    id: str = ""
    """Empty: not known yet."""
    failed: bool = False
    """True: every output stays unknown, and what depends on it is registered as such."""


class ResourceMonitor(ABC):
    """Turn the SDK's calls into `Goal` objects and answer them."""

    def __init__(self, *, project: str, stack: str) -> None:
        self._project = project
        self._stack = stack
        self._registered: set[str] = set()
        self._lock = threading.Lock()

    @abstractmethod
    def register(self, goal: Goal) -> Answer:
        """Answer one registration; called from many threads."""

    @abstractmethod
    def register_outputs(self, urn: str, outputs: Inputs) -> None:
        """Take the outputs of a component or of the stack."""

    # The methods below have the names and shapes of Pulumi's ResourceMonitor service (resource.proto).

    def GetDeploymentInfo(self, request: empty_pb2.Empty) -> resource_pb2.DeploymentInfo:  # noqa: N802 - gRPC's name
        """Tell the SDK what we support; it refuses by itself what needs a feature that is not here."""
        del request
        return resource_pb2.DeploymentInfo(
            supportedFeatures=[
                resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
                resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
                resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,  # refused by us, with the resource's name
            ]
        )

    def RegisterResource(  # noqa: N802 - gRPC's name
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        """Register one resource."""
        goal = goal_from_request(request, stack=self._stack, project=self._project)
        with self._lock:
            if goal.urn in self._registered:
                raise DuplicateResourceError(goal.urn)
            self._registered.add(goal.urn)
        answer = self.register(goal)
        result = resource_pb2.Result.FAIL if answer.failed else resource_pb2.Result.SUCCESS
        return resource_pb2.RegisterResourceResponse(
            urn=goal.urn, id=answer.id, object=to_struct(answer.outputs), result=result
        )

    def RegisterResourceOutputs(  # noqa: N802 - gRPC's name
        self, request: resource_pb2.RegisterResourceOutputsRequest
    ) -> empty_pb2.Empty:
        """Register what a component or the stack exports."""
        self.register_outputs(request.urn, from_struct(request.outputs))
        return empty_pb2.Empty()

    def SignalAndWaitForShutdown(self, request: empty_pb2.Empty) -> empty_pb2.Empty:  # noqa: N802 - gRPC's name
        """Let the program end."""
        return request

    def ReadResource(self, request: resource_pb2.ReadResourceRequest) -> resource_pb2.ReadResourceResponse:  # noqa: N802 - gRPC's name
        """Refuse ``Resource.get``."""
        urn = make_urn(
            stack=self._stack, project=self._project, parent=request.parent, type_=request.type, name=request.name
        )
        raise UnsupportedFeatureError(
            resource=urn, feature="reading an existing resource (.get)", instead="Pass its name through the stack file."
        )

    def Invoke(self, request: resource_pb2.ResourceInvokeRequest) -> resource_pb2.ResourceInvokeResponse:  # noqa: N802 - gRPC's name
        """Refuse provider functions."""
        raise UnsupportedFeatureError(
            resource=request.tok, feature="a provider function", instead="Plan with plain data from the stack file."
        )

    def RegisterPackage(self, request: resource_pb2.RegisterPackageRequest) -> resource_pb2.RegisterPackageResponse:  # noqa: N802 - gRPC's name
        """Refuse parameterised packages."""
        raise UnsupportedFeatureError(
            resource=request.name, feature="a parameterised package", instead="Use one of kubernetes, command, random."
        )


class EngineLog:
    """Take the program's ``pulumi.log`` messages."""

    def __init__(self, show: Callable[[str, str], None]) -> None:
        self._show = show

    def Log(self, request: engine_pb2.LogRequest) -> empty_pb2.Empty:  # noqa: N802 - gRPC's name
        """Show a message of the program, with its severity; debug messages are dropped."""
        if request.severity != engine_pb2.DEBUG and not request.ephemeral:
            self._show(engine_pb2.LogSeverity.Name(request.severity).lower(), request.message)
        return empty_pb2.Empty()
