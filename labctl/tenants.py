"""Stacks that live on another stack's cluster (``nodes.adopt.owner``): whose it is, and who else is on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.engine.state import UpdateKind, open_stack
from labctl.lab import open_lab
from stacks.config import CLUSTER_KEY
from stacks.errors import StackFileError
from stacks.loading import PlainValue, load_stack_file, stack_file_path, stack_names
from stacks.project import PROJECT

from .errors import OwnerAbsentError, TenantsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from labctl.lab import Lab

__all__ = ["owner_of", "require_no_tenants", "require_owner_up", "resource_count", "tenants_of"]


def owner_of(lab: Lab) -> Lab:
    """Return the lab whose cluster `lab` is on: its owner's, or itself.

    Raises
    ------
    StackFileError
        The owner's file is wrong.
    """
    owner = lab.cluster.nodes.owner
    return lab if owner is None else open_lab(owner, lab.root)


def tenants_of(lab: Lab) -> tuple[str, ...]:
    """Return the project's stacks whose files say that they live on the cluster of `lab`, by name.

    The files are only read, not judged: a tenant with a mistake in its file is still one.
    """
    return tuple(
        stack
        for stack in stack_names(lab.root)
        if stack != lab.stack and lab.stack in _owners(stack_file_path(stack, lab.root))
    )


def require_no_tenants(lab: Lab) -> None:
    """Return if no other stack has anything on the cluster of `lab`.

    Raises
    ------
    TenantsError
        Some have, and would be left without what they live on.
    """
    counts = {tenant: resource_count(lab, tenant) for tenant in tenants_of(lab)}
    if living := {tenant: count for tenant, count in counts.items() if count}:
        raise TenantsError(stack=lab.stack, living=living)


def require_owner_up(lab: Lab) -> None:
    """Return if the owner of the cluster that `lab` is on has made it.

    Raises
    ------
    OwnerAbsentError
        It has not, or it has been destroyed: nothing that `lab` uses is there.
    """
    owner = lab.cluster.nodes.owner
    if owner is not None and not resource_count(lab, owner):
        raise OwnerAbsentError(stack=lab.stack, owner=owner)


def resource_count(lab: Lab, stack: str) -> int:
    """Return how many resources a stack of the same project has, by its state."""
    path = lab.root / f"Pulumi.{stack}.yaml"
    salt = load_stack_file(path).encryption_salt if path.is_file() else None
    files = lab.backend().files(PROJECT, stack)
    return len(open_stack(files, UpdateKind.PREVIEW, passphrases=lab.passphrases(), salt=salt).snapshot.resources)


def _owners(path: Path) -> Iterator[str]:
    """Yield the owner that a stack file names, if it can be read and names one."""
    try:
        file = load_stack_file(path)
    except StackFileError:
        return
    held = file.config.get(f"{PROJECT}:{CLUSTER_KEY}")
    value = held.value if isinstance(held, PlainValue) else None
    for key in ("nodes", "adopt", "owner"):
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, str):
        yield value
