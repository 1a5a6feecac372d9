"""Profiles of real sites as they are published: a university's lectures, and a spawn dialog of many choices."""

from __future__ import annotations

from components.gpu.models import GpuModelName
from components.gpu.slices import Slice
from components.images import ImageReference, Interface

DIGEST = "sha256:" + "0123456789abcdef" * 4
COMMIT = "0123456789abcdef0123456789abcdef01234567"

SLICES = (
    Slice(
        name="whole.shared",
        resource="nvidia.com/gpu.shared",
        model=GpuModelName.T4,
        memory_gigabytes=16,
        nodes=(("gpu1", 8),),
        replicas=4,
    ),
    Slice(
        name="1g.10gb",
        resource="nvidia.com/mig-1g.10gb",
        model=GpuModelName.A100_80_PCIE,
        memory_gigabytes=10,
        nodes=(("gpu2", 7),),
    ),
    Slice(
        name="whole",
        resource="nvidia.com/gpu",
        model=GpuModelName.A100_80_PCIE,
        memory_gigabytes=80,
        nodes=(("gpu3", 2),),
    ),
)


def _size(cpu: str, memory: str) -> dict[str, object]:
    return {"guarantee": {"cpu": cpu, "memory": memory}}


def _course(kind: str, number: int, **changes: object) -> dict[str, object]:
    slug = f"{kind}-{number:02}"
    return {
        "slug": slug,
        "name": f"{kind.capitalize()} {number}",
        "description": f"Notebooks of the {kind}, as its lecturer keeps them.",
        "image": slug,
        "build": {
            "repository": f"https://git.example.org/teaching/{slug}.git",
            "commit": COMMIT,
            "folder": "docker",
            "base": "data-science",
        },
        "resources": _size("500m", "2Gi"),
        "groups": [f"course-{slug}"],
        **changes,
    }


LECTURES = [_course("lecture", number) for number in range(1, 16)]
LABS = [
    _course("lab", number, gpu={"slice": "whole.shared"}, walltime="4h", network="exam", prePull=True)
    for number in range(1, 6)
]
GENERIC = [
    {
        "slug": f"generic-{number:02}",
        "name": f"Generic {number}",
        "image": "minimal",
        "resources": _size("1", "4Gi"),
        "default": number == 1,
        **({"groups": ["staff"]} if number > 10 else {}),
    }
    for number in range(1, 14)
]
RWTH: dict[str, object] = {
    "profiles": [*LECTURES, *LABS, *GENERIC],
    "network": {"internet": "web", "classes": {"exam": {"internet": "none"}}},
}
"""15 lectures and 5 labs, each with an image built from its lecturer's repository, and 13 generic profiles; a T4 that
several share."""

WWU: dict[str, object] = {
    "resourcePolicy": "strict",
    "profiles": [
        {
            "slug": "custom",
            "name": "JupyterHub",
            "default": True,
            "environment": {"OMP_PROC_BIND": "close", "FORMAT": '{"a": 1}'},
            "tolerations": [{"key": "example.org/node-group", "value": "workers", "effect": "NoSchedule"}],
            "options": {
                "cpu": [
                    {"key": "c1", "name": "1", "default": True, "cpu": {"guarantee": "500m", "limit": "1"}},
                    {"key": "c4", "name": "4", "cpu": {"guarantee": "2", "limit": "4"}},
                    {"key": "c16", "name": "16", "cpu": {"guarantee": "16", "limit": "16"}},
                ],
                "memory": [
                    {"key": "m2", "name": "2 GB", "memory": {"guarantee": "1Gi", "limit": "2Gi"}},
                    {"key": "m8", "name": "8 GB", "default": True, "memory": {"guarantee": "8Gi", "limit": "8Gi"}},
                    {"key": "m64", "name": "64 GB", "memory": {"guarantee": "64Gi", "limit": "64Gi"}},
                ],
                "image": [
                    {"key": "minimal", "name": "Minimal", "default": True, "image": "minimal"},
                    {"key": "gpu", "name": "Machine learning", "image": "gpu"},
                    {"key": "code", "name": "Code", "image": "code-server", "kind": "code-server"},
                    {"key": "rstudio", "name": "RStudio", "image": "rstudio", "kind": "rstudio"},
                ],
                "gpu": [
                    {"key": "none", "name": "None", "default": True},
                    {"key": "t4", "name": "T4, shared", "gpu": {"slice": "whole.shared"}},
                    {"key": "slice", "name": "A100, 10 GB", "gpu": {"slice": "1g.10gb", "count": 2}},
                    {"key": "a100", "name": "A100", "gpu": {"slice": "whole", "model": "A100-80GB-PCIe"}},
                ],
            },
        }
    ],
}
"""A dialog for CPU, memory, image and type of GPU: 3 x 3 x 4 x 4 choices."""

NAMES = (
    "minimal",
    "gpu",
    "code-server",
    "rstudio",
    *(str(course["slug"]) for course in (*LECTURES, *LABS)),
)
IMAGES = {name: ImageReference.parse(f"registry.example.org/lab/{name}:2026-11@{DIGEST}") for name in NAMES}
INTERFACES = dict.fromkeys(NAMES, (Interface.NOTEBOOK,)) | {
    "code-server": (Interface.NOTEBOOK, Interface.CODE_SERVER),
    "rstudio": (Interface.NOTEBOOK, Interface.RSTUDIO),
}
