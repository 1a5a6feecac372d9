"""A lab with a tenant on its cluster, as docs/sharing.md has it: the owner grants, the tenant comes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import cast

import yaml
from cluster_api import Api, Object
from lab_copy import LabCopy
from lab_facts import Key, inventory

CLUSTER = "research-compute:cluster"
MOVING = frozenset({"Node"})
"""Kinds whose objects their kubelet writes: their version says nothing."""


@dataclass(frozen=True)
class Shared:
    """The lab, and the tenant on its cluster."""

    lab: LabCopy
    tenant: LabCopy

    @property
    def api(self) -> Api:
        return self.lab.api

    def others(self) -> dict[Key, tuple[str, str]]:
        """Return identity and version of every object that is not the tenant's, and does not move by itself."""
        return {
            key: (item["metadata"]["uid"], item["metadata"]["resourceVersion"])
            for key, item in inventory(self.api).items()
            if key.kind not in MOVING and not is_of(key, self.tenant.stack)
        }

    def settled(self) -> None:
        """Check that both are as their files say."""
        for each in (self.lab, self.tenant):
            each.well("preview", "--refresh", "--expect-no-changes")


def is_of(key: Key, stack: str) -> bool:
    """Tell whether an object is a stack's, by its name or its namespace's: every one of a tenant's carries it."""
    return any(part.endswith(f"-{stack}") or f"-{stack}-" in part for part in (key.name, key.namespace))


def granted(lab: LabCopy) -> Shared:
    """Write both files, as a lab would; nothing is brought up."""
    example = lab.root / "docs" / "examples" / "open-data"
    data = yaml.safe_load(lab.file.read_text(encoding="utf-8"))
    _merge(data["config"][CLUSTER], yaml.safe_load((example / "granted-by-dev.yaml").read_text(encoding="utf-8")))
    lab.file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    shutil.copy(example / "Pulumi.dev-open.yaml", lab.root)
    return Shared(lab, LabCopy(lab.root, "dev-open", lab.environment))


def _merge(data: Object, more: Object) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(data.get(key), dict):
            _merge(data[key], cast("Object", value))
        else:
            data[key] = value
