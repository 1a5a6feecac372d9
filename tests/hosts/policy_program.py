"""The program that enforces network policies on the tests' hosts, built from its Go module."""

from __future__ import annotations

from pathlib import Path

from bed_programs import SOURCES

from labctl.control_plane.obtain import Toolbox
from labctl.control_plane.pins import Purpose, ToolPin, VersionFit

__all__ = ["obtain_enforcer"]

PIN = ToolPin(
    name="kube-network-policies",
    version="0.8.0",
    fits=VersionFit.NONE,
    probe=("--help",),
    module=str(SOURCES / "policies"),
    package="sigs.k8s.io/kube-network-policies/cmd",
    ldflags="-s -w",
    purpose=Purpose.TESTS,
)


def obtain_enforcer() -> Path:
    """Return the program, built from its Go module unless the cache has it."""
    (path,) = Toolbox().obtain_pinned([PIN], print)
    return path
