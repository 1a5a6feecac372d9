"""The lab's machines, as far as the address plan has to fit them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.addresses import AnyAddress

__all__ = ["Machine", "Machines"]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One host."""

    addresses: tuple[AnyAddress, ...]
    """In the hosts' network, the primary one first."""
    is_node: bool = True
    """Whether it runs pods."""
    mtu_bytes: int | None = None
    """Largest packet its interface takes; None where the stack file does not say."""


@dataclass(frozen=True, kw_only=True)
class Machines:
    """All of them, and the address they share."""

    hosts: Mapping[str, Machine] = field(default_factory=dict[str, Machine])
    endpoint: AnyAddress | None = None
    """Virtual address of the API server (``nodes.endpoint``)."""
    is_bootstrapped: bool = False
    """Whether kubeadm makes the cluster out of them: its own bounds hold then, too."""

    @property
    def nodes(self) -> dict[str, Machine]:
        """The hosts that run pods."""
        return {name: machine for name, machine in self.hosts.items() if machine.is_node}

    @property
    def places(self) -> dict[str, AnyAddress]:
        """Every address that is somebody's already, by whose it is: ``host cp-1``, ``the API server``."""
        taken = {
            f"host {name}" + (", second address" if index else ""): address
            for name, machine in self.hosts.items()
            for index, address in enumerate(machine.addresses)
        }
        return taken if self.endpoint is None else {**taken, "the API server (nodes.endpoint)": self.endpoint}
