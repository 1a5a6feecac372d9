"""One registration: what the program wants of one resource, as plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .aliases import Alias, aliases_of
from .errors import UnsupportedFeatureError
from .values import Inputs, from_struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi.runtime.proto import resource_pb2

__all__ = ["PROVIDER_PREFIX", "STACK_TYPE", "Goal", "Timeouts", "goal_from_request", "make_urn", "urn_name", "urn_type"]

STACK_TYPE: Final = "pulumi:pulumi:Stack"
"""Type token of the root resource, which is no part of its children's qualified types."""
PROVIDER_PREFIX: Final = "pulumi:providers:"
"""Type tokens of provider resources start with this; the package's name follows."""
DYNAMIC_PREFIX: Final = "pulumi-python:"
"""Type tokens of resources whose provider is Python code of the program."""
DURATION_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
"""Seconds per unit of a Go duration (``time.ParseDuration``), as far as timeouts are written in them."""

UNSUPPORTED: Final = {
    "deletedWith": ("deleted_with", "Leave it out: deleting it costs one request."),
    "dynamic": ("a dynamic provider", "Use a local.Command with a script of its own."),
    "importId": ("the import option", "Adopt the object with the official engine."),
    "packageRef": ("a parameterised package", "Use one of kubernetes, command, random."),
    "pluginDownloadURL": ("plugin_download_url", "Use one of kubernetes, command, random."),
    "remote": ("a remote component", "Use its resources one by one."),
    "replace_with": ("replace_with", "Use depends_on and replace_on_changes."),
    "replacement_trigger": ("replacement_trigger", "Use replace_on_changes."),
    "transforms": ("transforms", "Write the properties where the resource is made."),
}
"""Fields of a registration that the embedded engine refuses: what each is, and what to write instead."""


@dataclass(frozen=True)
class Timeouts:
    """``custom_timeouts`` of a resource, in seconds; None where the provider's default holds."""

    create: float | None = None
    update: float | None = None
    delete: float | None = None


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What the program wants of one resource."""

    urn: str
    type: str
    name: str
    custom: bool
    inputs: Inputs
    parent: str = ""
    dependencies: tuple[str, ...] = ()
    """URNs, sorted; explicit ones and those of the properties together."""
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    provider: str = ""
    """``<urn>::<id>`` of an explicit provider; empty: the package's default provider."""
    version: str = ""
    """Version of the provider's SDK, which names the default provider."""
    protect: bool = False
    retain_on_delete: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    delete_before_replace: bool | None = None
    additional_secret_outputs: tuple[str, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    aliases: tuple[Alias, ...] = ()
    """What it was called before."""

    @property
    def is_provider(self) -> bool:
        """Whether this resource is itself a provider."""
        return self.type.startswith(PROVIDER_PREFIX)

    @property
    def package(self) -> str:
        """Name of the provider package that manages it: ``kubernetes``, ``command``, ``random``."""
        return self.type.removeprefix(PROVIDER_PREFIX).split(":", 1)[0]


def make_urn(*, stack: str, project: str, parent: str, type_: str, name: str) -> str:
    """Return the URN the official engine gives (``deployment.go``: the parents' chain without the stack)."""
    if parent and (chain := parent.split("::")[2]) != STACK_TYPE:
        type_ = f"{chain}${type_}"
    return f"urn:pulumi:{stack}::{project}::{type_}::{name}"


def urn_name(urn: str) -> str:
    """Return the logical name in `urn`."""
    return urn.split("::", 3)[3]


def urn_type(urn: str) -> str:
    """Return the type token in `urn`, without the parents' chain."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def goal_from_request(request: resource_pb2.RegisterResourceRequest, *, stack: str, project: str) -> Goal:
    """Return `request` as a `Goal`.

    Raises
    ------
    UnsupportedFeatureError
        For any option that the embedded engine would otherwise have to ignore.
    InvalidAliasError
        For an alias that is no URN.
    """
    _refuse_unsupported(request)
    timeouts = request.customTimeouts
    return Goal(
        urn=make_urn(stack=stack, project=project, parent=request.parent, type_=request.type, name=request.name),
        type=request.type,
        name=request.name,
        custom=request.custom,
        inputs=from_struct(request.object),
        parent=request.parent,
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies={
            key: tuple(sorted(value.urns)) for key, value in sorted(request.propertyDependencies.items())
        },
        provider=request.provider,
        version=request.version,
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        timeouts=Timeouts(_seconds(timeouts.create), _seconds(timeouts.update), _seconds(timeouts.delete)),
        aliases=aliases_of(request),
    )


def _seconds(text: str) -> float | None:
    """Return a Go duration such as ``1h30m`` in seconds, None for an empty one."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    return sum(float(number) * DURATION_UNITS[unit] for number, unit in parts) if parts else None


def _refuse_unsupported(request: resource_pb2.RegisterResourceRequest) -> None:
    """Raise for whatever `request` sets that this engine has not."""
    present = {descriptor.name for descriptor, _ in request.ListFields()}
    if request.type.startswith(DYNAMIC_PREFIX):
        present.add("dynamic")
    for name in sorted(present & UNSUPPORTED.keys()):
        feature, instead = UNSUPPORTED[name]
        raise UnsupportedFeatureError(resource=f"{request.type} {request.name!r}", feature=feature, instead=instead)
