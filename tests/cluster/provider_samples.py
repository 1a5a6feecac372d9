"""The kubernetes provider on the tests' control plane, as the engine would use it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from labctl.engine.providers.base import Context, Created, Operation, Resource
from labctl.engine.providers.kubernetes import KubernetesFactory
from labctl.graph.values import Value, as_mapping

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.engine.providers.base import Diff
    from labctl.engine.providers.kubernetes.provider import KubernetesProvider
    from labctl.graph.values import Inputs

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"
NAMESPACE = "kubernetes:core/v1:Namespace"


@dataclass
class Lab:
    """A provider and what it said."""

    provider: KubernetesProvider
    said: list[str] = field(default_factory=list[str])

    def context(
        self,
        *,
        preview: bool = False,
        timeout_seconds: float | None = None,
        interrupted: Operation | None = None,
        cancelled: Event | None = None,
    ) -> Context:
        """Return the circumstances of one operation."""
        return Context(
            preview=preview,
            timeout_seconds=timeout_seconds,
            interrupted=interrupted,
            report=self.said.append,
            cancelled=cancelled or Event(),
        )

    def wanted(self, token: str, name: str, inputs: Inputs) -> Resource:
        """Return a checked resource that is not there yet."""
        urn = f"urn:pulumi:dev::tests::{token}::{name}"
        plain = Resource(urn=urn, type=token, inputs=inputs)
        return Resource(urn=urn, type=token, inputs=self.provider.check(plain, None))

    def create(self, wanted: Resource, context: Context | None = None) -> Resource:
        """Create it; return it as the state would keep it."""
        return recorded(wanted, wanted.inputs, self.provider.create(wanted, context or self.context()))

    def update(self, old: Resource, inputs: Inputs, context: Context | None = None) -> Resource:
        """Change it to the program's `inputs`; return it as the state would keep it."""
        checked = self.checked(old, inputs)
        return recorded(old, checked, self.provider.update(old, checked, context or self.context()))

    def checked(self, old: Resource, inputs: Inputs) -> Inputs:
        """Return new inputs as they are stored."""
        return self.provider.check(Resource(urn=old.urn, type=old.type, inputs=inputs), old)

    def diff(self, old: Resource, inputs: Inputs) -> Diff:
        """Return how it would change."""
        return self.provider.diff(old, self.checked(old, inputs), self.context(preview=True))

    def read(self, old: Resource) -> Resource | None:
        """Refresh it."""
        found = self.provider.read(old, self.context())
        if found is None:
            return None
        return recorded(old, found.inputs if found.inputs is not None else old.inputs, found)

    def delete(self, old: Resource, context: Context | None = None) -> None:
        """Delete it."""
        self.provider.delete(old, context or self.context())

    def namespace(self, name: str) -> Resource:
        """Create a namespace."""
        return self.create(self.wanted(NAMESPACE, name, manifest("Namespace", name, "")))

    def config_map(self, namespace: str, name: str = "settings", **data: Value) -> Resource:
        """Return a ConfigMap to be created."""
        return self.wanted(CONFIG_MAP, name, manifest("ConfigMap", name, namespace, data=data))


def recorded(old: Resource, inputs: Inputs, created: Created) -> Resource:
    """Return a resource as the state keeps it."""
    return Resource(urn=old.urn, type=old.type, id=created.id, inputs=inputs, outputs=created.outputs)


def manifest(kind: str, name: str, namespace: str, api_version: str = "v1", **fields: Value) -> Inputs:
    """Return an object's inputs; `metadata` in `fields` is merged."""
    metadata: Inputs = {"name": name, **({"namespace": namespace} if namespace else {})}
    metadata |= as_mapping(fields.pop("metadata", None))
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def make_lab(
    kubeconfig: str,
    *,
    simulated: bool = False,
    project: Path = Path(),
    work: Path = Path(".lab/helm"),
    helm: Callable[[], Path] | None = None,
    **options: Value,
) -> Lab:
    """Return a provider for `kubeconfig` (text or path) with the Provider's `options`."""
    factory = KubernetesFactory(simulated=simulated, project=project, work=work)
    if helm is not None:
        factory = KubernetesFactory(simulated=simulated, project=project, work=work, helm=helm)
    return Lab(factory.configure(factory.check_config({"kubeconfig": kubeconfig, **options})))
