"""The examples of docs/examples/open-data, each beside its owner, as a lab would have copied them."""

from __future__ import annotations

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import cast

import yaml

from labctl.graph.record import Graph, record
from labctl.lab import open_lab
from stacks.config import ClusterConfig

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "open-data"
CLUSTER = "research-compute:cluster"
Data = dict[str, object]


def read(path: Path) -> Data:
    return cast("Data", yaml.safe_load(path.read_text(encoding="utf-8")))


def section(data: Data, *path: str) -> Data:
    """Return a mapping further down, made where it is not there."""
    for key in path:
        data = cast("Data", data.setdefault(key, {}))
    return data


def merge(data: Data, more: Data) -> None:
    """Lay `more` over `data`, mapping by mapping."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(data.get(key), dict):
            merge(cast("Data", data[key]), cast("Data", value))
        else:
            data[key] = value


def owner_file(owner: str, *, granting: bool = True) -> Data:
    """Return the owner's stack file, with what the example has it grant."""
    data = read(ROOT / f"Pulumi.{owner}.yaml")
    if granting:
        merge(section(data, "config", CLUSTER), read(EXAMPLE / f"granted-by-{owner}.yaml"))
    return data


def tenant_file(owner: str) -> Data:
    return read(EXAMPLE / f"Pulumi.{owner}-open.yaml")


def project(root: Path, files: dict[str, Data]) -> Path:
    """Make a project's folder with these stack files."""
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, root / name)
    for stack, data in files.items():
        (root / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return root


@cache
def example_project() -> Path:
    """A folder with prod, dev and their tenants, gone when the tests end."""
    root = Path(mkdtemp(prefix="sharing-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    files = {owner: owner_file(owner) for owner in ("prod", "dev")}
    files |= {f"{owner}-open": tenant_file(owner) for owner in ("prod", "dev")}
    return project(root, files)


@cache
def graph_of(stack: str) -> Graph:
    """Return what the program asks for in a stack of the example."""
    return record(open_lab(stack, example_project()).program())


@cache
def cluster_of(stack: str) -> ClusterConfig:
    return open_lab(stack, example_project()).cluster
