"""The lab that people walk through in the browser: dev's hosts and GPUs, with groups, limits and a short walltime."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lab_copy import LabCopy, copy_project

from labctl.local_hub.places import HubFolders, HubPort, address, read_ports

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DATASET", "HUB", "TourLab", "make_tour_lab"]

HUB: Final = """\
    hub:
      authentication:
        kind: dummy
        admins: [operator]
        groups:
          vision: [ada, emmy, grace, lise, rosa]
          students: [ben, eve]
      announcement: "Maintenance on Monday from 8 to 10: save your work."
      resourcePolicy: lax
      homes: {key: username, capacity: 100Gi, mountPath: /home/jovyan}
      culling: {idle: 2h, every: 10m, warnings: [29m]}
      healthCheck: {profile: minimal}
      network:
        internet: web
      profiles:
        - slug: minimal
          name: Minimal
          description: Python and a terminal, for writing and small calculations.
          image: minimal-notebook
          default: true
          resources: {guarantee: {cpu: 500m, memory: 1Gi}}
        - slug: gpu-small
          name: GPU, 10 GB
          description: A slice of an A100 with 10 GB of its own, for half an hour.
          image: pytorch-notebook
          groups: [vision, students]
          walltime: 30m
          resources: {guarantee: {cpu: 4, memory: 16Gi}}
          gpu: {slice: 1g.10gb}
        - slug: gpu-half
          name: GPU, 40 GB
          description: Nearly half an A100 with 40 GB of its own, for training.
          image: pytorch-notebook
          groups: [vision]
          resources: {guarantee: {cpu: 8, memory: 64Gi}}
          gpu: {slice: 3g.40gb}
        - slug: gpu-whole
          name: GPU, 80 GB
          description: An A100 in one piece.
          image: pytorch-notebook
          groups: [vision]
          resources: {guarantee: {cpu: 16, memory: 128Gi}}
          gpu: {slice: whole}
      limits:
        groups:
          students: {gpus: 1}
"""
"""One A100 of the lab is in one piece. A warning comes a minute after the start: the walltime less 29 minutes."""
DATASET: Final = "iris.csv"
"""A file that everybody finds in the shared folder."""


class TourLab(LabCopy):
    """That lab, brought up, and where its hub is."""

    @property
    def url(self) -> str:
        """Where people find its hub."""
        return address(read_ports(HubFolders(self.root / ".lab" / self.stack / "hub").ports)[HubPort.PUBLIC])

    @property
    def hub_log(self) -> str:
        """What the hub has said."""
        return (self.root / ".lab" / self.stack / "hub" / "logs" / "jupyterhub.log").read_text(encoding="utf-8")

    def volume(self, path: str) -> Path:
        """Return the folder of this machine that stands for a shared folder of the storage host."""
        (found,) = (self.root / ".lab" / self.stack / "pods" / "volumes" / "shared").glob(f"*/{path.strip('/')}")
        return found


def make_tour_lab(root: Path) -> TourLab:
    """Return that lab, up; stop it by `down`."""
    copied = copy_project(root)
    text = copied.file.read_text(encoding="utf-8")
    changed, count = re.subn(r"^    hub:\n(^     .*\n|^\s*\n)*", HUB, text, flags=re.MULTILINE)
    assert count == 1
    copied.file.write_text(changed, encoding="utf-8")
    lab = TourLab(root, environment={"LAB_HUB": "1"})
    lab.well("up", "--yes")
    return lab
