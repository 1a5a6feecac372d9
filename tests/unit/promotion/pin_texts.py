"""Texts of pins that are all alike but for what a test says, and git as somebody who has a name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from labctl.promotion.pins import Pin, pins_in

GIT = shutil.which("git") or "git"
CHECKSUM = "a" * 64


def git(root: Path, *arguments: str) -> str:
    """Run git in a folder, as somebody who has a name."""
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@lab.example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run([GIT, *identity, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout


class PinsText:
    """Files of pins that are all alike but for what a test says."""

    def __call__(
        self, kubernetes: str = "v1.36.1", charts: dict[str, str] | None = None, image: str = "2026-02-23"
    ) -> str:
        """Return the text of a file."""
        chosen = {"jupyterhub": "4.4.0", "tigera-operator": "v3.32.1", "crd.projectcalico.org.v1": "v3.32.1"} | (
            charts or {}
        )
        host_files = "".join(
            f"  {name}:\n    version: {kubernetes}\n    url: https://dl.example.org/{{version}}/{{arch}}/{name}\n"
            f"    sha256: {{amd64: {CHECKSUM}}}\n    source: example/checksums\n"
            for name in ("kubelet", "kubeadm", "kubectl")
        )
        entries = "".join(
            f"  {name}:\n    chart: {name}\n    version: {version}\n    repository: https://charts.example.org\n"
            for name, version in chosen.items()
        )
        return (
            f"# Versions of an environment.\nkubernetes: {kubernetes}\nhostFiles:\n{host_files}"
            f"# What kubeadm {kubernetes.removeprefix('v')} runs.\nkubernetesImages:\n"
            f"  kube-apiserver: registry.example.org/kube-apiserver:{kubernetes}\n"
            f"  pause: registry.example.org/pause:3.10.2\ncharts:\n{entries}images:\n  notebook:\n"
            f"    image: registry.example.org/notebook:{image}@sha256:{CHECKSUM}\n    source: example/images\n"
        )

    def pins(
        self, kubernetes: str = "v1.36.1", charts: dict[str, str] | None = None, image: str = "2026-02-23"
    ) -> dict[str, Pin]:
        """Return the pins in it."""
        return pins_in(self(kubernetes, charts, image), file="pins.yaml")


def bumped(version: str, index: int) -> str:
    """Return a version whose number at `index` is one more."""
    numbers = version.removeprefix("v").split(".")
    numbers[index] = str(int(numbers[index]) + 1)
    return ("v" if version.startswith("v") else "") + ".".join(
        [*numbers[: index + 1], *("0" for _ in numbers[index + 1 :])]
    )
