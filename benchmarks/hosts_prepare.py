"""Prepare hosts, in a process of its own as labctl is one: ``python -m benchmarks.hosts_prepare SPECIFICATION``.

The component's own steps of preparation and none of the later ones, through the embedded engine, with a state file.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi

from components.model import Model
from components.networks import DualStack
from components.nodes.bootstrap_plan import bootstrap_steps
from components.nodes.commands import StepCommands
from components.nodes.config import NodesConfig
from components.nodes.settings import ClusterSettings
from components.nodes.steps import INSTALLATION
from components.pins import Pins
from labctl.engine.operations import deploy
from labctl.engine.providers.command import CommandFactory
from labctl.engine.registry import ProviderRegistry
from labctl.engine.run import Run
from labctl.engine.state import FileBackend, Passphrase, UpdateKind, open_stack
from labctl.graph.program import Program

if TYPE_CHECKING:
    from components.secrets import SecretRef

__all__ = ["PREPARATION", "Specification"]

PREPARATION = (INSTALLATION, "system", "runtime", "kubernetes")
"""Steps that make a bare machine one that can join a cluster."""


class Specification(Model):
    """What is to be prepared."""

    nodes: NodesConfig
    name: str
    hosts: DualStack
    pods: DualStack
    services: DualStack
    domain: str
    pins: Pins
    private_key: str
    """Of the hosts' login."""
    state: str
    """Folder of the state."""


class _Prepared(pulumi.ComponentResource):
    """Hosts that are ready to join, once this exists."""

    def __init__(self, specification: Specification) -> None:
        super().__init__("lab:index:NodeBootstrap", "bootstrap", None, None)
        settings = ClusterSettings(
            name=specification.name,
            hosts=specification.hosts,
            pods=specification.pods,
            services=specification.services,
            domain=specification.domain,
            pins=specification.pins,
        )

        def secret(reference: SecretRef) -> pulumi.Output[str]:
            del reference
            return pulumi.Output.secret(specification.private_key)

        commands = StepCommands("bootstrap", specification.nodes, secret, self)
        for step in bootstrap_steps(specification.nodes, settings):
            if step.name in PREPARATION:
                commands.add(step)
        self.register_outputs({})


def main() -> None:
    """Prepare the hosts of the specification in the file that is named; ends with an error if a step fails."""
    gc.disable()  # as labctl does
    specification = Specification.model_validate_json(Path(sys.argv[1]).read_bytes(), by_alias=True)

    def entry() -> None:
        _Prepared(specification)

    files = FileBackend(f"file://{specification.state}").files("bench", "hosts")
    stack = open_stack(files, UpdateKind.UPDATE, passphrases=(Passphrase("the benchmark", "hosts"),))
    providers = ProviderRegistry({"command": CommandFactory()})
    program = Program(project="bench", stack="hosts", entry=entry)
    report = deploy(program, Run(providers=providers, old=stack.snapshot, record=stack, preview=False))
    stack.close(succeeded=not report.failures, changes=report.summary())
    for failure in report.failures:
        print(f"{failure.urn}: {failure.message}", file=sys.stderr)
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
