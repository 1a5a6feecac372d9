"""The one stack that a test of the state opens, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.engine.providers.base import Operation
from labctl.engine.state import (
    Passphrase,
    ResourceState,
    Stack,
    StackFiles,
    UpdateKind,
    open_stack,
)

if TYPE_CHECKING:
    from labctl.graph.values import Inputs

PROJECT = "lab"
STACK = "dev"
SALT = "v1:ovWLodfxFXk=:v1:uRGUK4NRpug4xvkg:D4y6+w36AEP1fjM6i46DoZ9KQpzRDA=="
PASSPHRASES = (Passphrase("the test", "contract"),)
STACK_URN = f"urn:pulumi:{STACK}::{PROJECT}::pulumi:pulumi:Stack::{PROJECT}-{STACK}"
PROVIDER_URN = f"urn:pulumi:{STACK}::{PROJECT}::pulumi:providers:command::default"


class Lab:
    """Opens the one stack of a test, again and again."""

    salt = SALT
    stack_urn = STACK_URN
    passphrases = PASSPHRASES
    creating = Operation.CREATING

    def __init__(self, files: StackFiles) -> None:
        self.files = files

    def open(self, kind: UpdateKind = UpdateKind.UPDATE) -> Stack:
        return open_stack(self.files, kind, passphrases=PASSPHRASES, salt=SALT)

    def resource(self, name: str, *, inputs: Inputs | None = None) -> ResourceState:
        return ResourceState(
            urn=f"urn:pulumi:{STACK}::{PROJECT}::command:local:Command::{name}",
            type="command:local:Command",
            custom=True,
            id=f"{name}-1",
            inputs=inputs or {},
            parent=STACK_URN,
            provider=f"{PROVIDER_URN}::p1",
        )

    def start(self, stack: Stack) -> None:
        """Register what every program has first: the stack and a default provider."""
        stack.register(ResourceState(urn=STACK_URN, type="pulumi:pulumi:Stack", custom=False))
        stack.register(ResourceState(urn=PROVIDER_URN, type="pulumi:providers:command", custom=True, id="p1"))
