"""A lab whose Networking charts are installed for real, from the Go modules of their controllers, which then run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml
from cluster_api import Api, Object, eventually
from controllers_bed import SETTLED_SECONDS, PodRunner, conditions
from controllers_prepare import TEST_PROGRAMS
from lab_copy import LabCopy, copy_project

from labctl.control_plane import obtain_tool
from labctl.control_plane.errors import ApiRequestError
from labctl.control_plane.obtain import kept_beside, obtain_tools
from labctl.control_plane.pins import CONTROL_PLANE_TOOLS, tool_pin

GATEWAY, METALLB, CERT_MANAGER = "gateway-helm", "metallb", "cert-manager"
PROGRAMS: Mapping[str, str] = {
    GATEWAY: "envoy-gateway",
    METALLB: "metallb-controller",
    CERT_MANAGER: "cert-manager-controller",
}
"""Of each chart, the program whose Go module has the chart too."""
SAFE_UPGRADES = "safe-upgrades.gateway.networking.k8s.io"
"""Name of the chart's admission policy, and of its binding."""
STAND_IN = "lab.internal/stand-in"
"""Label of a CRD that stands in for a chart's."""

needs_controllers = pytest.mark.skipif(
    os.environ.get("LAB_TESTS") != "all" or os.geteuid() != 0,
    reason="builds controllers, and gives each a network and a root of its own: needs root and LAB_TESTS=all",
)
"""Mark of every module that starts a `ControllersLab`."""


@dataclass(frozen=True)
class ControllersLab:
    """A lab that is up, and the controllers that run beside its control plane."""

    lab: LabCopy
    runner: PodRunner

    @property
    def api(self) -> Api:
        return self.runner.api

    def settled(
        self, path: str, wanted: Mapping[str, str], *, of: Callable[[Object], Object] = lambda item: item
    ) -> Object:
        """Return the object at `path` once the conditions (of a part) of it are as `wanted`; all controllers live."""
        found: list[Object] = []

        def as_wanted() -> bool:
            self.runner.alive()
            found[:] = [self.api.get(path)]
            there = conditions(of(found[0]))
            return all(there.get(name) == status for name, status in wanted.items())

        try:
            eventually(as_wanted, SETTLED_SECONDS)
        except AssertionError:
            said = "\n".join(f"--- {container.name}\n{container.said()}" for container in self.runner.running)
            pytest.fail(f"{path} has not {dict(wanted)}: {found[0].get('status')}\n{said}")
        return found[0]

    def edit(self, change: Callable[[Object], None]) -> None:
        """Change the stack file's network section and bring the lab up."""
        edit_stack(self.lab, lambda config: change(config["network"]))
        self.lab.well("up", "--yes")


def edit_stack(lab: LabCopy, change: Callable[[Object], None], **values: str) -> None:
    """Change the cluster section of a stack file, and set `values` beside it."""
    document = yaml.safe_load(lab.file.read_text(encoding="utf-8"))
    change(document["config"]["research-compute:cluster"])
    for key, value in values.items():
        document["config"][f"research-compute:{key}"] = value
    lab.file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


@contextlib.contextmanager
def controllers_lab(
    folder: Path, charts: Sequence[str], change: Callable[[Object], None] = lambda _: None, **values: str
) -> Generator[ControllersLab]:
    """Give a lab that is up, with these charts installed and none of their controllers started yet.

    Parameters
    ----------
    folder
        Empty; everything is put there.
    charts
        The others are out of reach, and so recorded only.
    change
        What to change in the cluster section of the stack file before.
    values
        Configuration values beside the cluster section.
    """
    obtain_tools((*CONTROL_PLANE_TOOLS, "helm", *TEST_PROGRAMS), print)
    (project := folder / "project").mkdir()
    lab = copy_project(project)
    mirror = folder / "charts"
    mirror.mkdir()
    for chart in charts:
        package(chart, mirror, lab)

    def with_mirror(config: Object) -> None:
        config["charts"] = {"mirror": f"file://{mirror}"}
        change(config)

    edit_stack(lab, with_mirror, **values)
    (pods := folder / "pods").mkdir()
    try:
        lab.well("up", "--yes")
        runner = PodRunner(lab.api, lab.plane.directory / "pki" / "ca.crt", pods)
        if GATEWAY in charts:
            replace_stand_ins(runner.api, folder / "source" / GATEWAY)
        try:
            yield ControllersLab(lab, runner)
        finally:
            runner.end()
    finally:
        lab.plane.wipe()


def package(chart: str, mirror: Path, lab: LabCopy) -> None:
    """Put a chart of a controller's Go module into `mirror` as its release would have it, and pin that version."""
    tool = PROGRAMS[chart]
    source = mirror.with_name("source")
    shutil.unpack_archive(kept_beside(obtain_tool(tool, print)), source, filter="data")
    version = tool_pin(tool).version
    pins = lab.root / "stacks" / "pins" / "dev.yaml"
    pattern = rf"(\n  {chart}:\n    chart: {chart}\n    version: (v?))\S+"
    text = pins.read_text(encoding="utf-8")
    found = re.search(pattern, text)
    assert found, f"{pins} does not pin {chart}"
    pinned = f"{found[2]}{version}"
    pins.write_text(re.sub(pattern, rf"\g<1>{version}", text), encoding="utf-8")
    # What Envoy Gateway's release fills in.
    template = source / chart / "values.tmpl.yaml"
    if template.exists():
        filled = template.read_text(encoding="utf-8")
        filled = filled.replace("${GatewayImage}", f"docker.io/envoyproxy/gateway:{pinned}")
        template.with_name("values.yaml").write_text(filled.replace("${GatewayImagePullPolicy}", "IfNotPresent"))
        template.unlink()
    flags = ["--version", pinned, "--app-version", pinned, "--destination", str(mirror)]
    subprocess.run([obtain_tool("helm"), "package", source / chart, *flags], check=True, capture_output=True)


def replace_stand_ins(api: Api, chart: Path) -> None:
    """Return with the real kinds of Envoy Gateway's chart in the place of our stand-ins, and served.

    They are in a folder ``crds/``, out of which Helm installs only what is not there. And the chart's admission policy
    does not let its experimental kinds replace others, until it is removed, which is the way out that it names.
    """
    api.delete(f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/{SAFE_UPGRADES}")
    api.delete(f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{SAFE_UPGRADES}")
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    stand_ins = {
        item["metadata"]["name"]: item["metadata"]["resourceVersion"]
        for item in api.get(definitions)["items"]
        if item["metadata"].get("labels", {}).get(STAND_IN) == GATEWAY
    }
    real = {
        document["metadata"]["name"]: document
        for path in sorted((chart / "charts" / "crds" / "crds").rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if document
    }
    assert stand_ins
    for name, version in stand_ins.items():
        document = {**real[name], "metadata": {**real[name]["metadata"], "resourceVersion": version}}
        document.pop("status", None)
        eventually(partial(_replaced, api, f"{definitions}/{name}", document))
    group = "gateway.envoyproxy.io/v1alpha1"
    eventually(lambda: "envoyproxies/status" in {item["name"] for item in api.get(f"/apis/{group}")["resources"]})


def _replaced(api: Api, path: str, document: Object) -> bool:
    """Return whether an object could be replaced; a policy that is just gone is obeyed for a moment still."""
    try:
        api.put(path, document)
    except ApiRequestError as error:
        if error.status != HTTPStatus.UNPROCESSABLE_ENTITY or SAFE_UPGRADES not in str(error):
            raise
        return False
    return True
