"""Hosts and sections that the GPU tests share, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpus:
    model: str
    count: int


JSI_SECTION = {
    "groups": {
        "a100": {
            "hosts": ["gpu1"],
            "slicing": {"kind": "mig", "layout": [{"1g.10gb": 4, "3g.40gb": 1}, {"2g.20gb": 2, "3g.40gb": 1}]},
        }
    }
}
