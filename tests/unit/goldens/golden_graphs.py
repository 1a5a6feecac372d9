"""The recorded graph of each environment, once per run."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from labctl.graph.record import Graph, record
from labctl.lab import open_lab

ROOT = Path(__file__).resolve().parents[3]
STACKS = ("dev", "next", "prod", "test")


@cache
def graph_of(stack: str) -> Graph:
    """Return what the program asks for in the environment `stack`, as a fresh clone sees it."""
    return record(open_lab(stack, ROOT).program())
