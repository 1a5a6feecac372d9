"""``labctl down``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.embedded import control_plane_of, hub_of, tenant_hub
from labctl.errors import LeftBehindError
from labctl.lab import open_lab
from labctl.tenants import require_no_tenants, resource_count, tenants_of
from stacks.project import PROJECT

from .session import error_console, output_console, print_json, teller

if TYPE_CHECKING:
    from labctl.control_plane import ControlPlane, Progress
    from labctl.lab import Lab
    from labctl.local_hub.hub import LocalHub

__all__ = ["down"]


def down(stack: str, *, wipe: bool, as_json: bool = False) -> None:
    """Stop the embedded control plane and the local hub; with `wipe` forget their data and the stack's state too.

    Of a stack that lives on another's control plane only its hub is stopped, and only what is its own forgotten.

    Raises
    ------
    TenantsError
        What is to be forgotten is what other stacks live on.
    LeftBehindError
        What the stack has on another's control plane would be left there.
    """
    done = _down(open_lab(stack), wipe=wipe)
    if as_json:
        print_json({"stack": stack, "stopped": [*done.stopped], "forgotten": done.forgotten})
    else:
        output_console().print(done.said)


@dataclass(frozen=True, kw_only=True)
class _Done:
    """What was done."""

    said: str
    stopped: tuple[str, ...] = ()
    forgotten: bool = False


def _down(lab: Lab, *, wipe: bool) -> _Done:
    tell = teller(error_console())
    plane, hub = control_plane_of(lab, tell), hub_of(lab, tell)
    with lab.locked(tell):  # not under a run that is changing it
        if lab.cluster.nodes.owner is not None:
            return _leave(lab, lab.cluster.nodes.owner, plane, hub, wipe=wipe)
        if wipe:
            require_no_tenants(lab)
            hub.wipe()
            plane.wipe()
            lab.backend().remove_stack(PROJECT, lab.stack)
            return _Done(said=f"{plane.name}: stopped and forgotten.", forgotten=True)
        # Hubs of other stacks on it would go on asking an API server that is away.
        stopped = (*hub.stop(), *_stop_hubs_of_tenants(lab, plane, tell), *plane.stop())
    said = f"{plane.name}: stopped {', '.join(stopped) if stopped else 'nothing; it was not running'}."
    return _Done(said=said, stopped=stopped)


def _leave(lab: Lab, owner: str, plane: ControlPlane, hub: LocalHub, *, wipe: bool) -> _Done:
    """Stop what is a tenant's own; the control plane goes on."""
    if not wipe:
        stopped = hub.stop()
        goes_on = f"it lives on {plane.name}, which goes on (labctl down --stack {owner})"
        said = f"{lab.stack}: stopped {', '.join(stopped) or 'nothing of its own'}; {goes_on}."
        return _Done(said=said, stopped=tuple(stopped))
    count = resource_count(lab, lab.stack)
    # Without the control plane's data nothing of it is left anywhere: then there is nothing to destroy.
    if count and plane.kubeconfig.exists():
        raise LeftBehindError(stack=lab.stack, owner=owner, count=count)
    hub.wipe()
    lab.backend().remove_stack(PROJECT, lab.stack)
    return _Done(said=f"{lab.stack}: forgotten; {plane.name} is as it was.", forgotten=True)


def _stop_hubs_of_tenants(lab: Lab, plane: ControlPlane, tell: Progress) -> tuple[str, ...]:
    """Stop the tenants' hubs; their files are not judged: one that no longer fits keeps nobody from stopping."""
    return tuple(
        f"{tenant}'s {part}" for tenant in tenants_of(lab) for part in tenant_hub(lab, tenant, plane, tell).stop()
    )
