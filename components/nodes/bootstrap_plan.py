"""Every step of a lab's hosts, in an order in which each comes after what it waits for."""

from __future__ import annotations

from dataclasses import replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, TypeAlias

from .backup_plan import backup_steps
from .control_plane_plan import cluster_steps, control_plane_steps, kubeconfig_steps, load_balancer_steps
from .encryption_plan import rewrite_steps
from .kubernetes_plan import kubernetes_steps
from .membership_plan import join_steps, member_steps, request_steps
from .plan import control_planes
from .runtime_plan import runtime_steps
from .steps import INSTALLATION, Lifecycle, Step, StepOutput, scripts_on
from .system_plan import system_steps
from .upgrade_plan import certificate_steps, version_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .config import NodesConfig
    from .settings import ClusterSettings

__all__ = ["KUBECONFIG", "FurtherSteps", "bootstrap_steps", "in_order", "kept_steps", "no_further_steps"]

KUBECONFIG = StepOutput(step="kubeconfig", host=None, key="kubeconfig")
"""The administrator's kubeconfig, in base64."""


FurtherSteps: TypeAlias = "Callable[[NodesConfig], tuple[Step, ...]]"
"""Gives the steps that other components have on the hosts of a nodes section: pools, exports."""


def no_further_steps(_: NodesConfig) -> tuple[Step, ...]:
    """Return no steps: no other component has anything to do on hosts."""
    return ()


def bootstrap_steps(
    config: NodesConfig, settings: ClusterSettings | None, further: FurtherSteps = no_further_steps
) -> tuple[Step, ...]:
    """Return all steps of all hosts that are not lost, each after what it waits for; none where a cluster is adopted.

    Every control-plane host is given the same scripts, so that it does not matter which of them does what for others.

    Parameters
    ----------
    config
        The nodes section.
    settings
        The cluster that hosts are bootstrapped into; None only where one is adopted.
    further
        Gives the steps of other components.
    """
    if config.adopt is not None or settings is None:
        return ()
    return _with_scripts(config, (*_node_steps(config, settings), *further(config)))


def _node_steps(config: NodesConfig, settings: ClusterSettings) -> tuple[Step, ...]:
    return (
        *system_steps(config, settings),
        *runtime_steps(config, settings),
        *kubernetes_steps(config, settings),
        *load_balancer_steps(config),
        *control_plane_steps(config, settings),
        *request_steps(config),
        *cluster_steps(config, settings),
        *join_steps(config),
        *member_steps(config),
        *version_steps(config, settings),
        *certificate_steps(config),
        *rewrite_steps(config),
        *backup_steps(config),
        *kubeconfig_steps(config, settings),
    )


def _with_scripts(config: NodesConfig, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps in order, before them on each host the one that puts their scripts there."""
    planes, hosts = control_planes(config), {step.host for step in steps}
    scripts = (
        Step(
            name=INSTALLATION,
            subject=name,
            host=name,
            values={},
            libraries=scripts_on(planes if name in planes else (name,), steps),
        )
        for name, host in config.hosts.items()
        if not host.lost and name in hosts
    )
    after_scripts = (replace(step, after=((INSTALLATION, step.host), *step.after)) for step in steps)
    return in_order((*scripts, *after_scripts))


def kept_steps(
    config: NodesConfig, settings: ClusterSettings | None, further: FurtherSteps = no_further_steps
) -> tuple[Step, ...]:
    """Return the steps that machines which are lost would have: they stay in the state until the host leaves the file.

    What others do when such a machine leaves is not among them, so that it is done.
    """
    lost = {name for name, host in config.hosts.items() if host.lost}
    if not lost:
        return ()
    found = {name: host.model_copy(update={"lost": False}) for name, host in config.hosts.items()}
    steps = bootstrap_steps(config.model_copy(update={"hosts": found}), settings, further)
    return tuple(step for step in steps if step.subject in lost and step.lifecycle is not Lifecycle.LEAVING)


def in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps so that each comes after those it waits for and those whose results it uses.

    Steps that are waited for and do not exist are passed over. Equal input gives equal output, whatever its order.

    Raises
    ------
    graphlib.CycleError
        If steps wait for each other.
    """
    by_key = {step.key: step for step in sorted(steps, key=lambda step: step.resource)}
    graph = {key: [needed for needed in _needs(step) if needed in by_key] for key, step in by_key.items()}
    return tuple(by_key[key] for key in TopologicalSorter(graph).static_order())


def _needs(step: Step) -> Iterable[tuple[str, str | None]]:
    yield from step.after
    for value in step.values.values():
        if isinstance(value, StepOutput):
            yield value.step, value.host
