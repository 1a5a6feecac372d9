"""Releases against charts: what is said of each outcome, and how heavy a release is."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import random
import tarfile
from typing import TYPE_CHECKING

import pytest

from labctl.charts.graphs import RecordedRelease, is_placeholder, recorded_releases, recorded_resources
from labctl.charts.helm import HelmCharts
from labctl.charts.rendering import LARGEST_RELEASE_BYTES, Outcome, check_release, release_bytes
from labctl.control_plane.cache import tool_path
from labctl.control_plane.pins import tool_pin
from labctl.engine.providers.kubernetes.releases.exceptions import ChartUnreachableError, HelmFailedError
from labctl.graph.values import UNKNOWN, Secret
from labctl.verbs.charts import check_charts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labctl.graph.record import Graph

CHART_YAML = "apiVersion: v2\nname: toy\nversion: 1.0.0\n"
TEMPLATE = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
data:
  size: {{ required "size is needed" .Values.size | quote }}
  kubernetes: {{ .Capabilities.KubeVersion.Version }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}
stringData:
  token: {{ .Values.token | quote }}
"""


def release(values: Mapping[str, object] | None = None, reference: str = "toy") -> RecordedRelease:
    return RecordedRelease(
        urn="urn",
        name="ball",
        namespace="play",
        chart="toy",
        reference=reference,
        version="1.0.0",
        repository=None,
        values=values or {},
    )


class Tool:
    """Helm, as far as a check needs it."""

    def __init__(self, archive: Path, manifest: str | Exception, unreachable: str = "") -> None:
        self.archive, self.manifest, self.unreachable = archive, manifest, unreachable

    def fetch(self, release: RecordedRelease) -> Path:
        if self.unreachable:
            raise ChartUnreachableError(release.chart, release.reference, self.unreachable)
        return self.archive

    def render(self, release: RecordedRelease, archive: Path) -> str:
        assert (release.chart, archive) == ("toy", self.archive)
        if isinstance(self.manifest, Exception):
            raise self.manifest
        return self.manifest


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return packed(tmp_path, {"toy/Chart.yaml": CHART_YAML, "toy/templates/toy.yaml": TEMPLATE, "toy/values.yaml": ""})


def packed(folder: Path, files: Mapping[str, str]) -> Path:
    path = folder / "toy-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def test_a_release_that_renders(archive: Path) -> None:
    tool = Tool(archive, "---\napiVersion: v1\nkind: ConfigMap\n---\n# a comment\nkind: Secret\n---\n# nothing\n")
    check = check_release(release(), tool)
    assert (check.outcome, check.objects, check.passed) == (Outcome.RENDERED, 2, True)
    assert 0 < check.stored_bytes < 2000


def test_a_chart_out_of_reach_says_nothing(archive: Path) -> None:
    check = check_release(release(), Tool(archive, "", unreachable="Name or service not known"))
    assert (check.outcome, check.passed) == (Outcome.UNREACHABLE, True)
    assert "Name or service not known" in check.detail


def test_values_that_the_chart_refuses(archive: Path) -> None:
    check = check_release(release(), Tool(archive, HelmFailedError(what="template toy", message="size is needed")))
    assert (check.outcome, check.passed) == (Outcome.REFUSED, False)
    assert "size is needed" in check.detail


def test_a_chart_that_is_not_the_pinned_one(archive: Path) -> None:
    pinned = f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"
    assert check_release(release(), Tool(archive, "kind: Secret"), pinned).outcome is Outcome.RENDERED
    check = check_release(release(), Tool(archive, "kind: Secret"), "sha256:" + "0" * 64)
    assert (check.outcome, check.passed) == (Outcome.ALTERED, False)
    assert pinned in check.detail


def test_a_release_too_large_to_store(archive: Path) -> None:
    noise = random.Random(1).randbytes(LARGEST_RELEASE_BYTES).hex()  # noqa: S311 - incompressible, not secret
    check = check_release(release(), Tool(archive, f"kind: Secret\n# {noise}"))
    assert (check.outcome, check.passed, check.objects) == (Outcome.TOO_LARGE, False, 1)
    assert "1,048,576" in check.detail


def test_a_release_weighs_what_helm_stores_of_it(tmp_path: Path) -> None:
    """Own files in base64 in JSON, compressed, in base64; a subchart's files are not stored."""
    noise = random.Random(2).randbytes(50_000).hex()  # noqa: S311 - incompressible, not secret
    own = packed(tmp_path, {"toy/Chart.yaml": CHART_YAML, "toy/templates/crds.yaml": noise})
    weight = release_bytes(own, "", {})
    least = len(base64.b64encode(gzip.compress(base64.b64encode(noise.encode()))))
    assert least <= weight < least * 1.1
    (tmp_path / "sub").mkdir()
    below = packed(tmp_path / "sub", {"toy/Chart.yaml": CHART_YAML, "toy/charts/crds/crds/crds.yaml": noise})
    assert release_bytes(below, "", {}) < 1000


def test_a_folder_weighs_the_same_as_its_archive(tmp_path: Path, archive: Path) -> None:
    folder = tmp_path / "toy"
    (folder / "templates").mkdir(parents=True)
    (folder / "charts").mkdir()
    (folder / "Chart.yaml").write_text(CHART_YAML)
    (folder / "values.yaml").write_text("")
    (folder / "templates" / "toy.yaml").write_text(TEMPLATE)
    (folder / "charts" / "sub.yaml").write_text("x" * 10_000)
    assert abs(release_bytes(folder, "", {}) - release_bytes(archive, "", {})) < 50


@pytest.fixture
def helm() -> Path:
    """Helm, where an earlier run has obtained it; nothing is obtained here."""
    pin = tool_pin("helm")
    path = tool_path("helm", pin.version)
    if not path.is_file():
        pytest.skip(f"helm is not in the cache ({path}); `labctl tools` puts it there")
    return path


def test_helm_itself_renders_with_the_recorded_values(tmp_path: Path, archive: Path, helm: Path) -> None:
    tool = HelmCharts(helm=lambda: helm, project=tmp_path, work=tmp_path / "work", kubernetes="v1.36.3")
    asked = release({"size": 3, "token": Secret("canary"), "later": UNKNOWN}, reference=f"file://{archive}")
    manifest = tool.render(asked, tool.fetch(asked))
    for expected in ("name: ball", "namespace: play", 'size: "3"', "kubernetes: v1.36.3", "known-once-applied"):
        assert expected in manifest
    assert "canary" not in manifest
    assert check_release(asked, tool).objects == 2
    refused = check_release(release({"token": "x"}, reference=f"file://{archive}"), tool)
    assert refused.outcome is Outcome.REFUSED
    assert "size is needed" in refused.detail
    missing = check_release(release(reference=str(tmp_path / "gone.tgz")), tool)
    assert missing.outcome is Outcome.UNREACHABLE


def test_every_release_of_a_stack_is_checked(graph: Graph, archive: Path) -> None:
    class Any(Tool):
        def render(self, release: RecordedRelease, archive: Path) -> str:
            assert not is_placeholder(release.values)
            return "kind: ConfigMap"

    checks = check_charts(graph, Any(archive, ""), {})
    assert [check.release for check in checks] == [found.name for found in recorded_releases(graph)]
    assert all(check.passed for check in checks)
    altered = check_charts(graph, Any(archive, ""), {"metallb": "sha256:" + "0" * 64})
    assert [check.chart for check in altered if not check.passed] == ["metallb"]


def test_resources_of_the_core_are_not_custom(graph: Graph) -> None:
    groups = {resource.api_version.partition("/")[0] for resource in recorded_resources(graph)}
    assert "metallb.io" in groups
    assert not groups & {"apps", "v1", "storage.k8s.io", "apiextensions.k8s.io"}
