"""Steps by which hosts become members of the cluster, and by which others take their leave of them.

A host asks with a certificate request of its own making (``request``), a control-plane host signs it (``admit``), the
host joins (``join``). No token exists, so nothing expires in between, and no key ever leaves the host it was made on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .config import Role
from .kubeadm_plan import endpoint, join_configuration
from .plan import bootstrap_host, control_planes, members, node_taints
from .steps import Lifecycle, Step, StepOutput

if TYPE_CHECKING:
    from .config import HostConfig, NodesConfig

__all__ = ["helper", "join_steps", "member_steps", "request_steps"]

DISCOVERY = "/run/research-compute-join/discovery.conf"
"""Kubeconfig a host joins with: in memory alone, with a key that is wiped afterwards."""


def helper(config: NodesConfig, host: str) -> str | None:
    """Return the control-plane host that does for a host what it cannot do itself; None where there is no other.

    It is the bootstrap host, and for that one the first other by name.
    """
    first = bootstrap_host(config)
    if first != host:
        return first
    return next((name for name in control_planes(config) if name != host), None)


def request_steps(config: NodesConfig) -> tuple[Step, ...]:
    """Return the step by which every member asks to be admitted, and says whether it holds a cluster already."""
    return tuple(
        Step(
            name="request",
            subject=host,
            host=host,
            libraries=("kube",),
            values={"ROLE": _role(machine).value},
            # A GPU host whose driver is a mixture never becomes a node (components/gpu/driver_plan.py), nor a
            # worker without what every server mounts (components/hub/lxcfs.py).
            after=(("system", host), ("gpu-driver", host), ("lxcfs", host)),
        )
        for host, machine in members(config).items()
    )


def join_steps(config: NodesConfig) -> tuple[Step, ...]:
    """Return the steps by which every member is admitted and joins, in an order in which they can be done.

    Control-plane hosts join one after the other, the bootstrap host first: etcd takes one new member at a time. Workers
    join all at once. No step of a host runs on any other but one, ``admit``, on its `helper`.
    """
    first = bootstrap_host(config)
    planes = sorted(control_planes(config), key=lambda name: (name != first, name))
    workers = [name for name in members(config) if name not in planes]
    steps: list[Step] = []
    if first is not None:
        # The bootstrap host is admitted by a host that may not be a member itself yet, so this waits for no join. It
        # comes before the cluster is begun: at that time nobody can admit it, and that is remembered.
        steps += _admission(config, first, after=())
    for index, host in enumerate(planes):
        if host != first:
            steps += _admission(config, host, after=(("join", helper(config, host)),))
        previous = (("join", planes[index - 1]),) if index else (("cluster", None),)
        steps.append(_join(config, host, after=previous))
    for host in workers:
        steps += _admission(config, host, after=(("join", helper(config, host)),))
        # A kubelet may not be newer than the API server it talks to (Kubernetes, Version Skew Policy).
        steps.append(_join(config, host, after=tuple(("version", plane) for plane in planes)))
    return tuple(steps)


def member_steps(config: NodesConfig) -> tuple[Step, ...]:
    """Return, for every member, what its `helper` does when it leaves.

    Nobody can do it for the only control-plane host. Its step is there all the same and does nothing: it takes the
    place of the one there was while it had others beside it, whose undoing would take it out of the cluster.
    """
    return tuple(
        Step(
            name="member",
            subject=host,
            host=other or host,
            script="leave",
            libraries=("kube",),
            lifecycle=Lifecycle.NEVER if other is None else Lifecycle.LEAVING,
            values={
                "ADDRESS": str(machine.address),
                "DRAIN_SECONDS": config.upgrade.drain_timeout.seconds,
                "EVICT_UNMANAGED": config.upgrade.evict_unmanaged,
                "ROLE": _role(machine).value,
                "SUBJECT": host,
            },
            after=(("join", host), ("join", other or host)),
        )
        for host, machine in members(config).items()
        for other in (helper(config, host),)
    )


def _admission(config: NodesConfig, host: str, after: tuple[tuple[str, str | None], ...]) -> list[Step]:
    other = helper(config, host)
    if other is None:
        return []
    machine = config.hosts[host]
    return [
        Step(
            name="admit",
            subject=host,
            host=other,
            libraries=("kube",),
            lifecycle=Lifecycle.ONCE,
            generation=machine.reconverge,
            values={
                "ADDRESS": str(machine.address),
                "CONTROL_PLANES": tuple(str(config.hosts[name].address) for name in control_planes(config)),
                "ENDPOINT": endpoint(config),
                "MEMBER": StepOutput(step="request", host=host, key="member"),
                "RECIPIENT": StepOutput(step="request", host=host, key="recipient"),
                "REQUEST": StepOutput(step="request", host=host, key="csr"),
                "ROLE": _role(machine).value,
                "SUBJECT": host,
                "TAINTS": tuple(
                    f"{taint.key}={taint.value}:{taint.effect.value}" if taint.value else f"{taint.key}:{taint.effect}"
                    for taint in node_taints(machine)
                ),
            },
            after=after,
        )
    ]


def _join(config: NodesConfig, host: str, after: tuple[tuple[str, str | None], ...]) -> Step:
    admitted = {
        name: StepOutput(step="admit", host=host, key=key)
        for name, key in (("CERTIFICATE", "certificate"), ("CLUSTER_CA", "ca"), ("PKI", "pki"))
    }
    return Step(
        name="join",
        subject=host,
        host=host,
        libraries=("kube",),
        values={
            "ADDRESS": str(config.hosts[host].address),
            "DISCOVERY": DISCOVERY,
            "ENDPOINT": endpoint(config),
            "ETCD_URLS": StepOutput(step="admit", host=host, key="etcd"),
            "KUBEADM_JOIN": join_configuration(config, host, DISCOVERY),
            "ROLE": _role(config.hosts[host]).value,
            **admitted,
        },
        after=(("runtime", host), ("kubernetes", host), ("control-plane", host), *after),
    )


def _role(machine: HostConfig) -> Role:
    """Return what a host is to the cluster: a control-plane host may work, too, but joins as what it is first."""
    return Role.CONTROL_PLANE if Role.CONTROL_PLANE in machine.roles else Role.WORKER
