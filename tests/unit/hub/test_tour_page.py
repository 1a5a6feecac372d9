"""The walk through the hub (docs/tour.md): every picture is there and taken by the test; all pictures are small."""

import re
import struct
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"
TOUR = (DOCS / "tour.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"!\[[^\]]+\]\(images/([\w-]+)\.png\)", TOUR)
PICTURES = sorted(path.name for path in (DOCS / "images").glob("*.png"))
TAKEN = (DOCS.parent / "tests" / "hub" / "test_browser_tour.py").read_text(encoding="utf-8")
MOST_WIDTH = 1280
"""Pixels: a page of documentation shows no more."""
MOST_BYTES = 120_000
"""A picture that changes with every release stays in the repository for good."""


def test_what_the_walk_shows_is_what_the_test_takes() -> None:
    taken = re.findall(r"pictures\.take\(\w+\.page, \"([\w-]+)\"", TAKEN)
    assert sorted(SHOWN) == sorted(taken)
    assert {f"{name}.png" for name in SHOWN} <= set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small(name: str) -> None:
    content = (DOCS / "images" / name).read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    (width,) = struct.unpack(">I", content[16:20])
    assert width <= MOST_WIDTH
    assert len(content) <= MOST_BYTES
