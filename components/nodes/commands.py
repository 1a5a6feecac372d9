"""Steps as ``remote.Command`` resources: how a host is reached, how its shell becomes root, what a step is fed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pulumi
from pulumi_command.remote import Command, ConnectionArgs, Logging, ProxyConnectionArgs

from components.secrets import SecretRef

from .plan import always_given, ssh_targets
from .shells import PASSWORD_END, shell
from .steps import INSTALLATION, Lifecycle, PlainValue, StepOutput, compose, installation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .config import NodesConfig
    from .plan import SshTarget
    from .steps import ScriptValue, Step

__all__ = ["StepCommands"]

UNDO_SECONDS = 600
"""How long undoing a step may take: a reset takes seconds. What empties a node first has that deadline on top."""
CONFIGURED = ["connection", "create", "update", "delete", "stdin", "logging", "environment", "triggers"]
"""Every input of a command: what is history ignores changes of all of them."""


class StepCommands:
    """The resources that steps become, each a ``remote.Command`` named after its step.

    Parameters
    ----------
    name
        Name of the component; every resource's begins with it.
    config
        The nodes section.
    secret
        Gives the secret a reference names.
    parent
        The component.
    """

    def __init__(
        self,
        name: str,
        config: NodesConfig,
        secret: Callable[[SecretRef], pulumi.Output[str]],
        parent: pulumi.Resource,
    ) -> None:
        self._name = name
        self._config = config
        self._secret = secret
        self._parent = parent
        self._targets = {target.host: target for target in ssh_targets(config)}
        self._made: dict[tuple[str, str | None], Command] = {}

    def add(self, step: Step) -> Command:
        """Return the step's resource, registered; what it waits for was added before."""
        apply, undo = (self._shell(step, mode) for mode in ("apply", "undo"))
        leaving = step.lifecycle is Lifecycle.LEAVING
        history = step.lifecycle is Lifecycle.ONCE
        begins = step.lifecycle not in {Lifecycle.LEAVING, Lifecycle.NEVER}
        ends = step.lifecycle not in {Lifecycle.ONCE, Lifecycle.NEVER}
        sealed = step.output_is_secret or self._needs_secrets(step)
        command = Command(
            f"{self._name}-{step.resource}",
            connection=self._connection(self._targets[step.host]),
            create=apply if begins else None,
            update=apply if begins else None,
            delete=undo if ends else None,
            stdin=self._text(step),
            logging=Logging.NONE if sealed else Logging.STDERR,
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(
                parent=self._parent,
                depends_on=[self._made[key] for key in step.after if key in self._made],
                ignore_changes=CONFIGURED if history else None,
                additional_secret_outputs=["stdout"] if step.output_is_secret else None,
                custom_timeouts=pulumi.CustomTimeouts(delete=f"{self._undo_seconds(leaving=leaving)}s"),
            ),
        )
        self._made[step.key] = command
        return command

    def keep(self, step: Step) -> None:
        """Register a step of a machine that is gone, so that nothing is asked of it when it leaves the state."""
        self._made[step.key] = Command(
            f"{self._name}-{step.resource}",
            connection=ConnectionArgs(host=str(self._config.hosts[step.host].address)),
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(parent=self._parent, ignore_changes=CONFIGURED, retain_on_delete=True),
        )

    def result(self, output: StepOutput) -> pulumi.Output[str]:
        """Return a result of a step that was added; empty where the step had none of that name."""
        return self._made[output.step, output.host].stdout.apply(lambda text: _result(text, output.key))

    def _undo_seconds(self, *, leaving: bool) -> int:
        return UNDO_SECONDS + (self._config.upgrade.drain_timeout.seconds if leaving else 0)

    def _shell(self, step: Step, mode: str) -> str:
        asks = self._config.ssh.sudo_password is not None
        return shell(self._targets[step.host], mode, asks_password=asks)

    def _needs_secrets(self, step: Step) -> bool:
        given = any(isinstance(value, SecretRef) for value in step.values.values())
        return given or self._config.ssh.sudo_password is not None

    def _text(self, step: Step) -> pulumi.Output[str]:
        """Return what the shell is fed, a secret if anything in it is one."""
        always = always_given(self._config, step)
        if step.name == INSTALLATION:
            text = pulumi.Output.from_input(installation(step.libraries, always))
        else:
            values = {name: self._value(value) for name, value in step.values.items()} | always
            text = pulumi.Output.all(**values).apply(lambda known: compose(step, _plain(known)))
        password, target = self._config.ssh.sudo_password, self._targets[step.host]
        if password is None or target.user == "root":
            return text
        return pulumi.Output.all(self._secret(password), text).apply(
            lambda both: f"{both[0]}\n{PASSWORD_END}\n{both[1]}"
        )

    def _value(self, value: ScriptValue) -> pulumi.Input[PlainValue]:
        if isinstance(value, SecretRef):
            return self._secret(value)
        if isinstance(value, StepOutput):
            return self.result(value) if (value.step, value.host) in self._made else ""
        return value

    def _connection(self, target: SshTarget) -> ConnectionArgs:
        ssh = self._config.ssh
        key = None if ssh.private_key is None else self._secret(ssh.private_key)
        seconds = ssh.connect_timeout.seconds
        jump = ssh.jump
        return ConnectionArgs(
            host=str(target.address),
            port=target.port,
            user=target.user,
            host_key=target.host_key,
            private_key=key,
            dial_error_limit=ssh.connect_attempts,
            per_dial_timeout=seconds,
            proxy=None
            if jump is None
            else ProxyConnectionArgs(
                host=str(jump.address),
                port=jump.port,
                user=jump.user,
                host_key=jump.host_key,
                private_key=key,
                dial_error_limit=ssh.connect_attempts,
                per_dial_timeout=seconds,
            ),
        )


def _plain(values: Mapping[str, PlainValue | list[str]]) -> dict[str, PlainValue]:
    """Return values as a planner gave them: what went through an output comes back as a list instead of a tuple."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _result(stdout: str, key: str) -> str:
    report = json.loads(stdout)
    return str(report["result"].get(key, ""))
