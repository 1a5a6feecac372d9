"""A whole bundle made from a mirror of this machine, which stands for every public place."""

from __future__ import annotations

import fcntl
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from bundle_samples import PAUSE, SmallBundle

from labctl.bundle.assembly import LOCK_FILE, Assembly, Options, file_path, recorded_charts
from labctl.bundle.charts import ChartFolder
from labctl.bundle.contents import Contents, ListedChart, ListedFile, ListedImage
from labctl.bundle.downloads import Client
from labctl.bundle.errors import FolderBusyError
from labctl.bundle.layout import ImageLayout
from labctl.bundle.mirror import Fault, Mirror
from labctl.charts.graphs import RecordedRelease
from labctl.engine.providers.kubernetes.releases.exceptions import ChartUnreachableError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

FILES = {"kubelet": b"kubelet" * 50_000, "runc": b"runc" * 50_000, "containerd.tar.gz": b"containerd" * 50_000}


@dataclass
class Heard:
    """A listener that keeps what it is told."""

    parts: int = 0
    received: int = 0
    finished: list[str] = field(default_factory=list[str])
    failures: dict[str, str] = field(default_factory=dict[str, str])

    def expect(self, parts: int) -> None:
        self.parts += parts

    def advance(self, count: int) -> None:
        self.received += count

    def done(self, what: str) -> None:
        self.finished.append(what)

    def failed(self, what: str, reason: str) -> None:
        self.failures[what] = reason


class Helm:
    """Charts of a folder, rendered to one pod each; stands for helm, which needs a network and a build."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetched: list[str] = []

    def fetch(self, release: RecordedRelease) -> Path:
        self.fetched.append(release.chart)
        path = self.folder / release.chart
        if not path.is_file():
            raise ChartUnreachableError(release.chart, str(release.repository), "no answer")
        return path

    def render(self, release: RecordedRelease, archive: Path) -> str:
        return f"kind: Pod\nspec:\n  containers:\n  - image: {archive.read_text()}\n---\nkind: CRD\nvalue: =\n"


def release(chart: str) -> RecordedRelease:
    return RecordedRelease(
        urn=f"urn:{chart}",
        name=chart,
        namespace="default",
        chart=chart,
        reference=chart,
        version="1.0.0",
        repository="https://charts.mirror.example.org",
        values={},
    )


@dataclass
class Site:
    """Public places, and the folder that is filled from them."""

    mirror: Mirror
    public: Path
    folder: Path
    helm: Helm
    client: Client
    contents: Contents
    bundle: SmallBundle

    def fill(self, contents: Contents | None = None) -> tuple[dict[str, str], Heard]:
        heard = Heard()
        charts = ChartFolder(
            self.folder / "charts",
            releases=(release("operator"), release("absent")),
            tool=self.helm,
            recorded=recorded_charts(self.folder),
        )
        options = Options(work=self.folder.parent / "work", parallel=4)
        assembly = Assembly(self.folder, listener=heard, client=self.client, charts=charts, options=options)
        missing = {part.what: part.reason for part in assembly.fill(contents or self.contents)}
        return missing, heard


@pytest.fixture
def site(small_bundle: SmallBundle, tmp_path: Path) -> Generator[Site]:
    public = small_bundle.folder
    for name, content in FILES.items():
        (public / "files" / name).write_bytes(content)
    (tmp_path / "helm").mkdir()
    with Mirror(public) as mirror:
        host = f"{mirror.host}:{mirror.port}"
        (tmp_path / "helm" / "operator").write_text(f"{host}/docker.io/library/busybox:1.37")
        contents = Contents(
            stack="test",
            kubernetes="v1.36.3",
            architectures=("amd64",),
            files=tuple(
                ListedFile(
                    name=name,
                    version="1",
                    architecture="amd64",
                    url=f"{mirror.url}/files/{name}",
                    sha256=hashlib.sha256(content).hexdigest(),
                )
                for name, content in FILES.items()
            ),
            packages=(),
            images=(ListedImage(reference=f"{host}/{PAUSE}", wanted_by=("kubernetes: pause",)),),
            charts=(
                ListedChart(chart="operator", version="1.0.0", repository="https://charts.example.org", digest=None),
            ),
        )
        client = Client(pause=lambda _seconds: None)
        yield Site(mirror, public, tmp_path / "made", Helm(tmp_path / "helm"), client, contents, small_bundle)
        client.close()


def test_everything_is_there_and_verified_the_images_of_charts_too(site: Site) -> None:
    missing, heard = site.fill()
    assert missing == {}
    assert heard.parts == len(heard.finished) == len(set(heard.finished))
    host = f"{site.mirror.host}:{site.mirror.port}"
    for name, content in FILES.items():
        assert (site.folder / "files" / host / "files" / name).read_bytes() == content
    images = ImageLayout(site.folder / "images").images()
    assert {key: found.digest for key, found in images.items()} == {
        f"{host}/{PAUSE}": site.bundle.pause.index,
        f"{host}/docker.io/library/busybox:1.37": site.bundle.busybox.index,
    }
    blobs = {path.name for path in (site.folder / "images" / "blobs" / "sha256").iterdir()}
    for image in (site.bundle.pause, site.bundle.busybox):
        for digest in (
            image.index,
            image.manifest,
            image.config,
            image.layer,
            image.other_manifest,
            image.other_config,
        ):
            assert digest.removeprefix("sha256:") in blobs
        assert image.other_layer.removeprefix("sha256:") not in blobs  # nobody here has such a machine
    document = json.loads((site.folder / LOCK_FILE).read_text())
    assert document["images"][0] == {
        "reference": f"{host}/docker.io/library/busybox:1.37",
        "wanted_by": ["release: operator"],
    }
    assert document["fetched"]["images"][f"{host}/{PAUSE}"] == site.bundle.pause.index


def test_what_was_made_can_be_served_in_its_turn(site: Site, tmp_path: Path) -> None:
    site.fill()
    with Mirror(site.folder) as second:
        host = f"{site.mirror.host}:{site.mirror.port}"
        client = site.client
        found = client.get(f"{second.url}/v2/registry.k8s.io/pause/manifests/3.10?ns={host}")
        assert (found.status, found.headers["Docker-Content-Digest"]) == (200, site.bundle.pause.index)
        assert client.get(f"{second.url}/files/{host}/files/kubelet").data == FILES["kubelet"]


def test_a_second_run_asks_for_nothing_and_says_the_same(site: Site) -> None:
    site.fill()
    first = (site.folder / LOCK_FILE).read_bytes()
    asked: list[str] = []

    def fault(_method: str, target: str) -> Fault:
        asked.append(target)
        return Fault(status=500)

    site.mirror.fault = fault
    missing, heard = site.fill()
    assert (missing, asked, heard.received, site.helm.fetched) == ({}, [], 0, ["operator"])
    assert (site.folder / LOCK_FILE).read_bytes() == first


def test_one_failure_stops_nothing_else_and_the_next_run_goes_on(site: Site) -> None:
    layer = site.bundle.pause.layer
    site.mirror.fault = lambda _method, target: (
        Fault(status=500)
        if target.endswith(("/runc", layer))
        else Fault(cut_after_bytes=1000)
        if "kubelet" in target
        else None
    )
    missing, heard = site.fill()
    host = f"{site.mirror.host}:{site.mirror.port}"
    assert missing.keys() == {
        "runc 1 (amd64)",
        "kubelet 1 (amd64)",
        f"{host}/{PAUSE}: {layer[:19]}",
        f"{host}/{PAUSE}",
    }
    assert "HTTP 500" in missing["runc 1 (amd64)"]
    assert missing[f"{host}/{PAUSE}"] == "1 of its 3 blobs are missing"
    assert heard.failures == missing
    assert f"{host}/{PAUSE}" not in ImageLayout(site.folder / "images").images()
    assert (site.folder / "files" / host / "files" / "containerd.tar.gz").is_file()
    site.mirror.fault = lambda _method, _target: None
    missing, heard = site.fill()
    assert missing == {}
    assert 0 < heard.received < len(FILES["kubelet"]) + len(FILES["runc"]) + 10_000  # the kubelet's beginning was there


def test_a_file_that_was_damaged_since_is_had_again(site: Site) -> None:
    site.fill()
    host = f"{site.mirror.host}:{site.mirror.port}"
    damaged = site.folder / "files" / host / "files" / "runc"
    damaged.write_bytes(FILES["runc"][:-1] + b"X")
    layer = ImageLayout(site.folder / "images").blob(site.bundle.pause.layer)
    assert layer is not None
    layer.write_bytes(b"short")
    missing, _ = site.fill()
    assert missing == {}
    assert damaged.read_bytes() == FILES["runc"]
    assert layer.read_bytes() == site.bundle.pause.layer_bytes


def test_what_was_damaged_and_cannot_be_had_again_counts_no_more(site: Site) -> None:
    site.fill()
    host = f"{site.mirror.host}:{site.mirror.port}"
    layout = ImageLayout(site.folder / "images")
    layer = layout.blob(site.bundle.pause.layer)
    assert layer is not None
    layer.write_bytes(b"short")
    site.mirror.fault = lambda _method, _target: Fault(status=404)
    missing, _ = site.fill()
    assert f"{host}/{PAUSE}" in missing
    assert list(layout.images()) == [f"{host}/docker.io/library/busybox:1.37"]
    assert not layer.exists()


def test_a_pin_that_does_not_match_leaves_nothing_behind(site: Site) -> None:
    (site.public / "files" / "runc").write_bytes(b"something else")
    missing, _ = site.fill()
    assert list(missing) == ["runc 1 (amd64)"]
    assert "is not what is pinned" in missing["runc 1 (amd64)"]
    assert not list(site.folder.rglob("*runc*"))


def test_a_chart_that_cannot_be_had_or_is_another_is_named(site: Site) -> None:
    absent = ListedChart(chart="absent", version="1.0.0", repository="https://charts.example.org", digest=None)
    wrong = ListedChart(
        chart="operator", version="1.0.0", repository="https://charts.example.org", digest=f"sha256:{'0' * 64}"
    )
    contents = replace(site.contents, charts=(absent, wrong))
    missing, _ = site.fill(contents)
    assert missing["chart absent 1.0.0"] == "https://charts.example.org: no answer"
    assert "is not what is pinned" in missing["chart operator 1.0.0"]
    assert not list((site.folder).rglob("*.tgz"))


def test_two_runs_on_one_folder_at_once_are_refused(site: Site) -> None:
    site.folder.mkdir()
    with (site.folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(FolderBusyError, match="another process is filling"):
            site.fill()


def test_where_hosts_look_for_a_file(tmp_path: Path) -> None:
    url = "https://dl.k8s.io:8443/v1.36.3/bin/linux/amd64/kubelet%2B1"
    assert file_path(tmp_path, url) == tmp_path / "files/dl.k8s.io:8443/v1.36.3/bin/linux/amd64/kubelet+1"
    assert file_path(tmp_path, "https://host/a/../../etc/x").is_relative_to(tmp_path / "files" / "host")
