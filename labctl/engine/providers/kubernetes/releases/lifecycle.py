"""The life of a Helm release: checked, compared, installed by helm, read, uninstalled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.base import Context, Created, Diff, PartialFailureError, Resource
from labctl.engine.providers.kubernetes.annotations import Propagation
from labctl.engine.providers.kubernetes.cluster import Target
from labctl.engine.providers.kubernetes.manifests import scrubbed, sealed_like
from labctl.graph.differences import Change, differences
from labctl.graph.values import Inputs, Value, as_mapping, as_text, contains_unknown, reveal

from .charts import ChartReference, ChartSources
from .command import Credentials, HelmCommand
from .exceptions import (
    ChartUnreachableError,
    HelmFailedError,
    HelmUnavailableError,
    ReleaseBusyError,
    ReleaseExistsError,
)
from .inputs import DEFAULT_TIMEOUT_SECONDS, checked_release
from .outputs import (
    installed_outputs,
    installed_revision,
    is_recorded_only,
    preview_outputs,
    recorded_outputs,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labctl.engine.providers.kubernetes.cluster import Cluster

__all__ = ["ReleaseLifecycle", "upgrade_arguments"]

REPLACING: Final = frozenset({"name", "namespace"})
"""Inputs whose change is another release (official: ``forceNewFields``)."""

SWITCHES: Final = {
    "atomic": "--atomic",
    "cleanupOnFail": "--cleanup-on-fail",
    "createNamespace": "--create-namespace",
    "dependencyUpdate": "--dependency-update",
    "disableOpenapiValidation": "--disable-openapi-validation",
    "forceUpdate": "--force",
    "renderSubchartNotes": "--render-subchart-notes",
    "skipCrds": "--skip-crds",
    "verify": "--verify",
}
"""Inputs and the flags of ``helm upgrade --install`` that they are."""


def _flag(inputs: Mapping[str, Value], name: str) -> bool:
    return inputs.get(name) is True


def _timeout(inputs: Mapping[str, Value], context: Context) -> str:
    given = inputs.get("timeout")
    stated = given if isinstance(given, int | float) and given else DEFAULT_TIMEOUT_SECONDS
    return f"{int(context.timeout_seconds or stated)}s"


def upgrade_arguments(inputs: Mapping[str, Value], chart: Path, context: Context) -> list[str]:
    """Return the arguments of helm that install or upgrade the release of opened `inputs`; values come by stdin."""
    arguments = ["upgrade", as_text(inputs["name"]), str(chart), "--install"]
    arguments += ["--namespace", as_text(inputs["namespace"]), "--values", "-", "--output", "json"]
    arguments += [flag for name, flag in SWITCHES.items() if _flag(inputs, name)]
    arguments.append("--reuse-values" if _flag(inputs, "reuseValues") else "--reset-values")
    if _flag(inputs, "disableWebhooks") or _flag(inputs, "disableCRDHooks"):
        arguments.append("--no-hooks")
    if not _flag(inputs, "skipAwait"):
        arguments.append("--wait")
        arguments += ["--wait-for-jobs"] if _flag(inputs, "waitForJobs") else []
    arguments += ["--timeout", _timeout(inputs, context)]
    for name, flag in (("description", "--description"), ("keyring", "--keyring")):
        arguments += [flag, as_text(inputs[name])] if as_text(inputs.get(name)) else []
    history = inputs.get("maxHistory")
    return [*arguments, "--history-max", str(history)] if isinstance(history, int) else arguments


class ReleaseLifecycle:
    """Helm releases on one cluster.

    Parameters
    ----------
    command
        Runs helm.
    charts
        Where charts are, and which sources answer.
    cluster
        For what helm left behind when it was cut off.
    default_namespace
        Of releases that name none.
    simulated
        True: a chart that cannot be reached is recorded, and said to be, instead of being an error.
    """

    def __init__(
        self,
        *,
        command: HelmCommand,
        charts: ChartSources,
        cluster: Cluster,
        default_namespace: str,
        simulated: bool,
    ) -> None:
        self._command = command
        self._charts = charts
        self._cluster = cluster
        self._namespace = default_namespace
        self._simulated = simulated

    def check(self, resource: Resource, old: Resource | None) -> Inputs:
        """Return the inputs with every default; see `checked_release`."""
        del old
        return checked_release(resource, self._namespace, self._charts.project)

    def diff(self, old: Resource, inputs: Inputs, context: Context) -> Diff:
        """Return what differs; a recorded release differs in its status as soon as it can be installed."""
        del context
        changes = dict(differences(old.inputs, inputs))
        if is_recorded_only(old.outputs) and not self._must_be_recorded(inputs):
            changes["status"] = Change.UPDATE
        return Diff(changes=changes, replace_paths=REPLACING & changes.keys())

    def _must_be_recorded(self, inputs: Mapping[str, Value]) -> str:
        """Return why the chart cannot be installed on this simulated cluster; empty when it may be tried."""
        if (
            not self._simulated
            or contains_unknown(inputs.get("chart"))
            or contains_unknown(inputs.get("repositoryOpts"))
        ):
            return ""
        return self._charts.why_unreachable(ChartReference.of(as_mapping(reveal(dict(inputs)))))

    def create(self, resource: Resource, context: Context) -> Created:
        """Install the release; on a simulated cluster, record it if its chart cannot be had.

        Raises
        ------
        ReleaseExistsError, ReleaseBusyError, ChartUnreachableError, HelmUnavailableError, HelmFailedError
            Nothing was changed, or helm took its changes back.
        PartialFailureError
            The release is there and did not get ready.
        """
        return self._installed(resource, resource.inputs, context, is_new=True)

    def update(self, old: Resource, inputs: Inputs, context: Context) -> Created:
        """Upgrade the release, or install one that was only recorded."""
        return self._installed(old, inputs, context, is_new=installed_revision(old.outputs) == 0)

    def _installed(self, resource: Resource, inputs: Inputs, context: Context, *, is_new: bool) -> Created:
        reason = self._must_be_recorded(inputs)
        if context.preview:
            if reason:
                context.report(f"will be recorded, not installed: {_unreachable(inputs, reason)}")
            return Created(id=resource.id, outputs=preview_outputs(inputs))
        plain = as_mapping(reveal(dict(inputs)))
        reference = ChartReference.of(plain)
        if not reason:
            try:
                credentials = Credentials.of(as_mapping(plain.get("repositoryOpts")))
                chart = self._command.fetch(reference, credentials, self._charts.project)
                self._command.executable()
            except (ChartUnreachableError, HelmUnavailableError) as error:
                if not self._simulated:
                    raise
                reason = error.reason
            else:
                return self._upgraded(inputs, plain, chart, context, is_new=is_new)
        context.report(f"recorded, not installed: {_unreachable(inputs, reason)}")
        outputs = recorded_outputs(reference, inputs, reason, installed_revision(resource.outputs))
        return Created(id=_release_id(plain), outputs=outputs)

    def _upgraded(self, inputs: Inputs, plain: Inputs, chart: Path, context: Context, *, is_new: bool) -> Created:
        self._settle(plain, context, is_new=is_new)
        values = json.dumps(plain.get("values") or {})
        arguments = upgrade_arguments(plain, chart, context)
        try:
            release = self._command.on_cluster(arguments, standard_input=values, cancelled=context.cancelled)
        except HelmFailedError as error:
            message = scrubbed(error.reason, inputs)
            failed = self._described(plain)
            if failed is None:
                raise HelmFailedError(what=f"upgrade --install of {_release_id(plain)}", message=message) from error
            outputs = installed_outputs(failed, inputs)
            raise PartialFailureError(_release_id(plain), outputs, (f"helm: {message}",)) from error
        return Created(id=_release_id(plain), outputs=installed_outputs(release, inputs))

    def _settle(self, plain: Inputs, context: Context, *, is_new: bool) -> None:
        """Leave nothing in the way: refuse a release of somebody else, forget a revision that was cut off."""
        release = self._described(plain)
        if release is None:
            return
        status = as_text(as_mapping(release.get("info")).get("status"))
        revision = release.get("version")
        number = revision if isinstance(revision, int) else 0
        if is_new and context.interrupted is None:
            metadata = as_mapping(as_mapping(release.get("chart")).get("metadata"))
            raise ReleaseExistsError(_release_id(plain), as_text(metadata.get("name")), number)
        if not status.startswith("pending-"):
            return
        if context.interrupted is None:
            raise ReleaseBusyError(_release_id(plain), status)
        # Only the record of the revision that was cut off goes: what it had installed carries the release's name, so
        # the next upgrade takes it over, and a workload that already runs goes on running.
        record = Target(
            "v1", "Secret", f"sh.helm.release.v1.{as_text(plain['name'])}.v{number}", as_text(plain["namespace"])
        )
        kind = self._cluster.resource_of(record)
        if kind is not None:
            self._cluster.delete(kind, record, Propagation.BACKGROUND)
            context.report(f"revision {number} was cut off ({status}): done again")

    def _described(self, plain: Inputs) -> Inputs | None:
        """Return helm's description of the release, or None when there is none."""
        arguments = ["status", as_text(plain["name"]), "--namespace", as_text(plain["namespace"]), "--output", "json"]
        try:
            return self._command.on_cluster(arguments)
        except HelmFailedError as error:
            if "release: not found" in error.reason:
                return None
            raise

    def read(self, resource: Resource, context: Context) -> Created | None:
        """Return the release as helm knows it, its values as they were last set by anybody; None when it is gone."""
        del context
        if is_recorded_only(resource.outputs):
            return Created(id=resource.id, outputs=resource.outputs, inputs=resource.inputs)
        plain = as_mapping(reveal(dict(resource.inputs)))
        release = self._described(plain)
        if release is None:
            return None
        inputs = dict(resource.inputs)
        inputs["values"] = sealed_like(as_mapping(release.get("config")), resource.inputs.get("values"))
        return Created(id=resource.id, outputs=installed_outputs(release, inputs), inputs=inputs)

    def delete(self, resource: Resource, context: Context) -> None:
        """Uninstall the release; one that was only recorded, or is gone, is success."""
        if is_recorded_only(resource.outputs) and installed_revision(resource.outputs) == 0:
            return
        plain = as_mapping(reveal(dict(resource.inputs)))
        arguments = [
            "uninstall",
            as_text(plain["name"]),
            "--namespace",
            as_text(plain["namespace"]),
            "--ignore-not-found",
        ]
        if _flag(plain, "atomic") or not _flag(plain, "skipAwait"):
            arguments.append("--wait")
        arguments += ["--timeout", _timeout(plain, context)]
        self._command.on_cluster(arguments, cancelled=context.cancelled)


def _release_id(plain: Mapping[str, Value]) -> str:
    return f"{as_text(plain['namespace'])}/{as_text(plain['name'])}"


def _unreachable(inputs: Mapping[str, Value], reason: str) -> str:
    reference = ChartReference.of(as_mapping(reveal(dict(inputs))))
    return f"chart {reference.name} {reference.version} unreachable at {reference.source} ({reason})"
