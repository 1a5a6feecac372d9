"""Providers that judge as the real ones do and ask nobody: what is created has stand-ins for what nobody can know.

A value that is not known would hide everything around it: one unknown address in a script of 300 lines, and the whole
script is unknown, whatever changed in it. So each output that only a real run has gets a text that is the same in both
revisions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from labctl.engine.providers import command, kubernetes, random
from labctl.engine.providers.base import Created
from labctl.engine.registry import ProviderRegistry
from labctl.graph.values import Secret, as_mapping, contains_unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from labctl.engine.providers.base import Context, Diff, Provider, ProviderFactory, Resource
    from labctl.graph.values import Inputs, Value

__all__ = ["rehearsed_providers", "stand_in_config"]

EMPTY_REPORT: Final = '{"result": {}}'
"""What a host step prints that has nothing to tell (`components.nodes.commands`): every result of it is empty."""
PARSED: Final = "certificates"
"""Section of the cluster whose secrets the program itself reads; a text that is no key would be refused there."""


@dataclass(frozen=True)
class _Rehearsed:
    """One provider: its checks and its differences, and no more."""

    provider: Provider

    def check(self, resource: Resource, old: Resource | None) -> Inputs:
        return self.provider.check(resource, old)

    def diff(self, old: Resource, inputs: Inputs, context: Context) -> Diff:
        return self.provider.diff(old, inputs, context)

    def create(self, resource: Resource, context: Context) -> Created:
        del context
        return Created(id=resource.name, outputs=_outputs(resource, resource.inputs))

    def update(self, old: Resource, inputs: Inputs, context: Context) -> Created:
        del context
        return Created(id=old.id, outputs=_outputs(old, inputs))

    def read(self, resource: Resource, context: Context) -> Created | None:
        del context
        return Created(id=resource.id, outputs=resource.outputs)

    def delete(self, resource: Resource, context: Context) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class _RehearsedFactory:
    """One provider package, all of whose providers are rehearsed."""

    factory: ProviderFactory

    def check_config(self, inputs: Inputs) -> Inputs:
        return self.factory.check_config(inputs)

    def diff_config(self, old: Inputs, new: Inputs) -> Diff:
        return self.factory.diff_config(_known(old), _known(new))

    def configure(self, inputs: Inputs) -> Provider:
        return _Rehearsed(self.factory.configure(_known(inputs)))


def _known(inputs: Inputs) -> Inputs:
    """Return the options of a provider without those that only a real run knows: they are the same in both revisions.

    A provider takes an unknown one for a changed one, and a changed kubeconfig for another cluster.
    """
    return {key: value for key, value in inputs.items() if not contains_unknown(value)}


def rehearsed_providers(project: Path) -> ProviderRegistry:
    """Return the embedded engine's provider packages, none of which touches or asks anything.

    Parameters
    ----------
    project
        Folder that relative paths of charts and kubeconfigs start from.
    """
    factories: dict[str, ProviderFactory] = {
        "command": command.CommandFactory(project=project),
        "kubernetes": kubernetes.KubernetesFactory(simulated=True, project=project, work=project / ".lab" / "helm"),
        "random": random.FACTORY,
    }
    return ProviderRegistry({name: _RehearsedFactory(factory) for name, factory in factories.items()})


def _outputs(resource: Resource, inputs: Inputs) -> Inputs:
    """Return the outputs of a resource as if it existed: its inputs, and stand-ins for what it would be given."""
    if resource.type.startswith("command:"):
        return inputs | {"stdout": EMPTY_REPORT, "stderr": ""}
    if resource.type.startswith("random:"):
        drawn: Value = f"<drawn for {resource.name}>"
        names = ("result", "hex", "id", "b64Std", "b64Url", "dec", "bcryptHash")
        return inputs | {name: Secret(drawn) if name in ("result", "bcryptHash") else drawn for name in names}
    return inputs


def stand_in_config(config: Mapping[str, str], sealed: tuple[str, ...]) -> dict[str, str]:
    """Return stand-ins for the secrets that a configuration seals or names, by full key.

    Parameters
    ----------
    config
        Plain values by full key, structured ones as JSON.
    sealed
        Full keys whose values are sealed.
    """
    parsed: set[str] = set()
    named: set[str] = set()
    for key, text in config.items():
        namespace = key.partition(":")[0]
        for path, name in _named_secrets(_structured(text)):
            (parsed if PARSED in path else named).add(f"{namespace}:{name}")
    return {key: f"<{key.partition(':')[2]}>" for key in sorted((named | set(sealed)) - parsed) if key not in config}


def _structured(text: str) -> Value:
    try:
        return json.loads(text) if text.startswith("{") else None
    except ValueError:
        return None


def _named_secrets(value: Value, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the names of secrets in a structured value, each with the keys on the way to it."""
    if isinstance(value, list):
        for item in value:
            yield from _named_secrets(item, path)
        return
    mapping = as_mapping(value)
    name = mapping.get("secret")
    if len(mapping) == 1 and isinstance(name, str):
        yield path, name
    for key, item in mapping.items():
        yield from _named_secrets(item, (*path, key))
