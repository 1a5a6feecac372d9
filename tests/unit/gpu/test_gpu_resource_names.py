"""One module spells Kubernetes' resources for GPUs; everything else gets them from its slices."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SPELLED_IN = ROOT / "components/gpu/slices.py"
RESOURCE = re.compile(r"nvidia\.com/(?:mig-|gpu(?:\.shared)?(?![\w.]))")
"""A GPU resource, whole, shared or a MIG profile; not a label such as ``nvidia.com/gpu.product``."""
PROGRAM = ("components", "stacks", "labctl")


def texts(file: Path) -> list[str]:
    """Return the texts a file works with: of Python the string literals without docstrings, of others everything."""
    content = file.read_text(encoding="utf-8")
    if file.suffix != ".py" or RESOURCE.search(content) is None:
        return [content]
    tree = ast.parse(content)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    ]


def program_files() -> list[Path]:
    suffixes = {".py", ".sh", ".yaml", ".yml", ".json", ".js", ".html", ".toml"}
    found = [file for folder in PROGRAM for file in (ROOT / folder).rglob("*") if file.suffix in suffixes]
    return sorted(file for file in found if "__pycache__" not in file.parts)


def test_nobody_else_spells_a_gpu_resource() -> None:
    files = program_files()
    assert SPELLED_IN in files
    spelling = {file for file in files if any(RESOURCE.search(text) for text in texts(file))}
    assert spelling == {SPELLED_IN}, "take the name from components.gpu.slices"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nvidia.com/gpu", True),
        ("requests.nvidia.com/gpu", True),
        ("nvidia.com/gpu.shared", True),
        ("nvidia.com/mig-1g.10gb", True),
        ("nvidia.com/gpu.product", False),
        ("nvidia.com/mig.config", False),
    ],
)
def test_a_spelling_is_recognised(text: str, found: bool) -> None:  # noqa: FBT001 - a table's column
    assert bool(RESOURCE.search(text)) == found
