"""Hub sections of a small lab, as plain data."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["GPU", "MINIMAL", "RESOURCES", "hub_section", "profiles"]

MINIMAL = "minimal"
GPU = "gpu-small"
RESOURCES = {"guarantee": {"cpu": "100m", "memory": "512Mi"}}


def profiles(*more: Mapping[str, object], walltime: str = "8h") -> list[Mapping[str, object]]:
    """Return a profile that ends after a time, one with a GPU, and more."""
    small: dict[str, object] = {"slug": MINIMAL, "name": "Minimal", "image": "minimal", "default": True}
    small |= {"resources": RESOURCES, "walltime": walltime}
    gpu = {"slug": GPU, "name": "GPU", "image": "gpu", "resources": RESOURCES, "gpu": {"slice": "1g.10gb"}}
    return [small, gpu, *more]


def hub_section(**changes: object) -> dict[str, object]:
    """Return a lab's section with these profiles, some of its keys replaced."""
    section: dict[str, object] = {
        "authentication": {"kind": "dummy"},
        "homes": {"key": "username", "capacity": "10Gi"},
        "profiles": profiles(),
    }
    return {**section, **changes}
