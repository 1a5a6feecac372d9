"""The Provider resource: its options, and when a change of them means another cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.base import Diff
from labctl.graph.differences import Change
from labctl.graph.values import Secret, Unknown, as_text, contains_unknown, reveal

from .cluster import Cluster
from .exceptions import KubeconfigError, KubernetesError, UnsupportedOptionError
from .immutable import Mutability
from .kubeconfig import Access, Kubeconfig, Overrides
from .objects import ObjectLifecycle
from .patches import PatchLifecycle
from .provider import KubernetesProvider, Settings
from .releases import ChartSources, HelmCommand, ReleaseLifecycle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labctl.graph.values import Inputs, Value

__all__ = ["KubernetesFactory", "provider_diff"]

TRUE: Final = "true"

PLAIN_OPTIONS: Final = frozenset(
    {
        "cluster",
        "clusterIdentifier",
        "context",
        "kubeconfig",
        "namespace",
        "version",
        "__internal",
        "enableConfigMapMutable",
        "enableSecretMutable",
        "enableServerSideApply",
        "kubeClientSettings",
        "suppressDeprecationWarnings",
        "suppressHelmHookWarnings",
    }
)
"""Options that are honoured, and three that have nothing to act on here: the official client's rate limits, and
warnings that this engine does not give."""

REFUSED_OPTIONS: Final = {
    "alwaysRender": "apply to a cluster instead of rendering files",
    "deleteUnreachable": "start the cluster; a state is never emptied because nobody answered",
    "enablePatchForce": 'force one object with its own annotation pulumi.com/patchForce: "true"',
    "helmReleaseSettings": "leave it out; releases use Helm's own defaults in a private home",
    "renderYamlToDirectory": "apply to a cluster instead of rendering files",
    "skipUpdateUnreachable": "start the cluster, or leave the Provider out of the stack",
    "strictMode": "leave it out; there is no ambient kubeconfig here in any case",
    "upsertExistingObjects": "let one stack own the object and the others use it",
}
"""Options with another effect than what this engine does; only a value other than false is refused."""

CLUSTER_KEYS: Final = ("kubeconfig", "context", "cluster")
"""The options that say which cluster is meant (official: ``DiffConfig``)."""
IDENTIFIER_KEY: Final = "clusterIdentifier"


def _option(inputs: Mapping[str, Value], key: str) -> str:
    value = reveal(inputs.get(key))
    if isinstance(value, bool):
        return TRUE if value else "false"
    return json.dumps(value) if isinstance(value, dict) else as_text(value)


def _obtained_helm() -> Path:
    """Return the pinned helm, obtained now if need be."""
    from labctl.control_plane import obtain_tool  # noqa: PLC0415 - only a release needs the control plane's tools

    return obtain_tool("helm")


@dataclass(frozen=True, kw_only=True)
class KubernetesFactory:
    """The kubernetes provider package.

    Parameters
    ----------
    simulated
        True for a cluster of simulated nodes: a release whose chart cannot be reached is then recorded and said to be
        so, instead of being an error. Set by the engine from the stack, never by the program.
    project
        Folder that relative paths of kubeconfigs and charts start from.
    work
        Folder for Helm's private home and downloaded charts.
    helm
        Returns the helm executable; called when a release first needs it.
    """

    simulated: bool = False
    project: Path = Path()
    work: Path = Path(".lab/helm")
    helm: Callable[[], Path] = _obtained_helm

    def check_config(self, inputs: Inputs) -> Inputs:
        """Return the options as the state stores them: booleans as text, an object as JSON.

        Raises
        ------
        UnsupportedOptionError
            An option that this engine does not know or does not do, with what to do instead.
        """
        checked: Inputs = {"__internal": {}}
        for key, value in inputs.items():
            text = _option(inputs, key)
            if key in REFUSED_OPTIONS and text not in {"", "false"}:
                raise UnsupportedOptionError(option=key, remedy=REFUSED_OPTIONS[key])
            if key not in PLAIN_OPTIONS and key not in REFUSED_OPTIONS:
                raise UnsupportedOptionError(option=key, remedy="leave it out")
            plain = value.value if isinstance(value, Secret) else value
            stored: Value = (
                text if isinstance(plain, bool) or (key != "__internal" and isinstance(plain, dict)) else plain
            )
            checked[key] = Secret(stored) if isinstance(value, Secret) else stored
        if _option(inputs, "enableServerSideApply") == "false":
            remedy = "leave it out or set it to true: only server-side apply tells whose field is whose"
            raise UnsupportedOptionError(option="enableServerSideApply=false", remedy=remedy)
        return checked

    def diff_config(self, old: Inputs, new: Inputs) -> Diff:
        """Return how the options change, and whether that means another cluster; see `provider_diff`."""
        return provider_diff(old, new, self.project)

    def configure(self, inputs: Inputs) -> KubernetesProvider:
        """Return a provider for checked options; it connects when first needed, and can preview without."""
        access = _AccessOf(inputs, self.project)
        cluster = Cluster(access)
        namespace = _option(inputs, "namespace") or access.namespace()
        mutability = Mutability(
            config_maps=_option(inputs, "enableConfigMapMutable") == TRUE,
            secrets=_option(inputs, "enableSecretMutable") == TRUE,
        )
        return KubernetesProvider(
            Settings(namespace, mutability),
            objects=ObjectLifecycle(cluster, namespace, simulated=self.simulated),
            patches=PatchLifecycle(cluster, namespace),
            releases=ReleaseLifecycle(
                command=HelmCommand(helm=self.helm, access=access, work=self.work),
                charts=ChartSources(project=self.project),
                cluster=cluster,
                default_namespace=namespace,
                simulated=self.simulated,
            ),
        )


class _AccessOf:
    """How to reach the cluster that a Provider's options name, found out when asked."""

    def __init__(self, inputs: Mapping[str, Value], project: Path) -> None:
        self._inputs = inputs
        self._project = project
        self._overrides = Overrides(_option(inputs, "context"), _option(inputs, "cluster"))

    def kubeconfig(self) -> Kubeconfig:
        """Return the kubeconfig; raises `KubernetesError` where there is none, or none yet."""
        if contains_unknown(self._inputs.get("kubeconfig")):
            raise KubeconfigError(what="it is not known yet", remedy="what it comes from has to exist first")
        return Kubeconfig.load(_option(self._inputs, "kubeconfig"), self._project)

    def __call__(self) -> Access:
        """Return how to reach the cluster."""
        return self.kubeconfig().access(self._overrides)

    def namespace(self) -> str:
        """Return the namespace of the context in use, ``default`` where there is none."""
        try:
            return self().namespace
        except KubernetesError:
            return "default"


def provider_diff(old: Mapping[str, Value], new: Mapping[str, Value], project: Path) -> Diff:
    """Return how a Provider's options change, as the official ``DiffConfig`` judges it.

    With the same `clusterIdentifier` before and after, nothing replaces: a new port, certificate or context, or a
    kubeconfig not known yet, is an update. A changed identifier replaces; adding or removing one does not by itself.
    Without one, an unknown kubeconfig, context or cluster replaces, and so does any change of the active cluster's
    entry (server, certificate authority, ...). Source: pulumi-kubernetes ``provider/pkg/provider/provider.go``.

    Raises
    ------
    KubeconfigError
        One of the two cannot be parsed.
    """
    before = {key: reveal(value) for key, value in old.items() if key != "__internal" and value is not None}
    after = {key: reveal(value) for key, value in new.items() if key != "__internal" and value is not None}
    changes = {key: change for key in sorted(before.keys() | after.keys()) if (change := _change(before, after, key))}
    if not changes:
        return Diff(detailed=False)
    replaces: set[str] = set()
    if changes.get(IDENTIFIER_KEY) is Change.UPDATE:
        replaces.add(IDENTIFIER_KEY)
    is_same_cluster = bool(after.get(IDENTIFIER_KEY)) and IDENTIFIER_KEY not in changes
    unknown = next((key for key in CLUSTER_KEYS if contains_unknown(after.get(key))), None)
    if unknown is not None:
        replaces.add(unknown)
        changes = {unknown: changes[unknown]}
    elif _active_cluster_changed(before, after, project):
        replaces.update(key for key in CLUSTER_KEYS if key in changes)
    return Diff(changes=changes, replace_paths=frozenset() if is_same_cluster else frozenset(replaces), detailed=False)


def _change(before: Mapping[str, Value], after: Mapping[str, Value], key: str) -> Change | None:
    if key not in before:
        return Change.ADD
    if key not in after:
        return Change.DELETE
    same = before[key] == after[key] and not contains_unknown(after[key])
    return None if same else Change.UPDATE


def _active_cluster_changed(before: Mapping[str, Value], after: Mapping[str, Value], project: Path) -> bool:
    old, new = _active_cluster(before, project), _active_cluster(after, project)
    return old is not None and new is not None and old != new


def _active_cluster(inputs: Mapping[str, Value], project: Path) -> Inputs | None:
    text = _option(inputs, "kubeconfig")
    if not text or isinstance(inputs.get("kubeconfig"), Unknown):
        return None
    overrides = Overrides(_option(inputs, "context"), _option(inputs, "cluster"))
    try:
        return Kubeconfig.load(text, project).active_cluster(overrides)
    except KubeconfigError:
        if "\n" in text:
            raise
        return None
