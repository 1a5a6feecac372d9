"""The Pulumi project: its name and its folder."""

from __future__ import annotations

from pathlib import Path

__all__ = ["PROJECT", "ROOT"]

PROJECT = "research-compute"
"""Name of the Pulumi project (``Pulumi.yaml``), and the namespace of its configuration keys."""
ROOT = Path(__file__).resolve().parents[1]
"""Folder of the project, where ``Pulumi.yaml`` and the stack files are."""
