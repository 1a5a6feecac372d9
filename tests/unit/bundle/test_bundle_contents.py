"""The list: the same stack gives the same text, and every kind is in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from components.images import ImageReference
from components.pins import Architecture, ChartPin, HostFilePin, ImagePin, Pins
from labctl.bundle.contents import HostNeeds, contents_of, images_in, lock
from labctl.bundle.distributions import Distribution
from labctl.bundle.errors import MalformedSourceError
from labctl.graph.goal import Goal
from labctl.graph.record import Graph, record
from labctl.lab import open_lab
from labctl.verbs.bundle import sources_of
from stacks.pins import load_pins

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.graph.values import Inputs

DIGEST = f"sha256:{'a' * 64}"
NOTEBOOK = f"quay.io/jupyter/minimal:1@{DIGEST}"


def goal(kind: str, name: str, inputs: Inputs) -> Goal:
    return Goal(urn=f"urn:pulumi:test::lab::{kind}::{name}", type=kind, name=name, custom=True, inputs=inputs)


def graph() -> Graph:
    return Graph(
        project="lab",
        stack="test",
        goals=(
            goal(
                "kubernetes:helm.sh/v3:Release",
                "hub",
                {
                    "name": "hub",
                    "namespace": "hub",
                    "chart": "jupyterhub",
                    "version": "4.4.0",
                    "repositoryOpts": {"repo": "https://mirror.example.org"},
                    "values": {"singleuser": {"image": {"name": "quay.io/jupyter/minimal", "tag": f"1@{DIGEST}"}}},
                },
            ),
            goal(
                "kubernetes:apps/v1:Deployment",
                "web",
                {"apiVersion": "apps/v1", "spec": {"containers": [{"image": "docker.io/library/nginx:1.29"}]}},
            ),
        ),
    )


def pins() -> Pins:
    return Pins(
        kubernetes="v1.36.3",
        host_files={
            "kubelet": HostFilePin(
                version="v1.36.3",
                url="https://dl.k8s.io/{version}/{arch}/kubelet",
                sha256={Architecture.AMD64: "1" * 64, Architecture.ARM64: "2" * 64},
                source="test",
            ),
            "runc": HostFilePin(
                version="v1.4.3", url="https://host/runc.{arch}", sha256={Architecture.AMD64: "3" * 64}, source="test"
            ),
        },
        kubernetes_images={"pause": "registry.k8s.io/pause:3.10.2"},
        charts={
            "jupyterhub": ChartPin(
                chart="jupyterhub", version="4.4.0", repository="https://hub.jupyter.org/helm-chart/"
            ),
            "unused": ChartPin(chart="unused", version="1.0.0", repository="https://charts.example.org"),
        },
        images={
            "minimal-notebook": ImagePin(image=ImageReference.parse(NOTEBOOK), source="test"),
            "unused": ImagePin(
                image=ImageReference.parse(f"quay.io/jupyter/unused:1@sha256:{'b' * 64}"), source="test"
            ),
        },
    )


HOSTS = HostNeeds(
    packages=("curl", "chrony", "curl"),
    architectures=(Architecture.ARM64, Architecture.AMD64),
    distributions=(Distribution.NOBLE, Distribution.BOOKWORM),
    debian_packages=("zfs-dkms",),
)


def test_the_list_of_a_lab_whose_cluster_is_made_of_its_hosts() -> None:
    listed = contents_of(graph(), pins(), HOSTS, bootstrapped=True)
    assert [(file.name, file.architecture, file.url) for file in listed.files] == [
        ("kubelet", "amd64", "https://dl.k8s.io/v1.36.3/amd64/kubelet"),
        ("kubelet", "arm64", "https://dl.k8s.io/v1.36.3/arm64/kubelet"),
        ("runc", "amd64", "https://host/runc.amd64"),
    ]
    assert [(found.distribution, found.names) for found in listed.packages] == [
        ("bookworm", ("chrony", "curl", "zfs-dkms")),
        ("noble", ("chrony", "curl")),
    ]
    assert {image.reference: image.wanted_by for image in listed.images} == {
        "docker.io/library/nginx:1.29": ("object: web",),
        NOTEBOOK: ("image: minimal-notebook",),
        "registry.k8s.io/pause:3.10.2": ("kubernetes: pause",),
    }
    # From its publisher, though the stack takes it from a mirror.
    assert [(chart.chart, chart.repository) for chart in listed.charts] == [
        ("jupyterhub", "https://hub.jupyter.org/helm-chart/")
    ]


def test_a_lab_that_adopts_its_cluster_downloads_nothing_to_hosts() -> None:
    listed = contents_of(graph(), pins(), HOSTS, bootstrapped=False)
    assert (listed.files, listed.packages) == ((), ())
    assert "registry.k8s.io/pause:3.10.2" not in {image.reference for image in listed.images}
    assert listed.charts


def test_the_same_stack_gives_the_same_lock_file_whatever_the_order() -> None:
    turned = Graph(project="lab", stack="test", goals=tuple(reversed(graph().goals)))
    shuffled = pins().model_copy(update={"host_files": dict(reversed(pins().host_files.items()))})
    hosts = HostNeeds(
        packages=tuple(reversed(HOSTS.packages)),
        architectures=tuple(reversed(HOSTS.architectures)),
        distributions=tuple(reversed(HOSTS.distributions)),
        debian_packages=HOSTS.debian_packages,
    )
    one = lock(contents_of(graph(), pins(), HOSTS, bootstrapped=True))
    assert one == lock(contents_of(turned, shuffled, hosts, bootstrapped=True))
    assert json.loads(one)["format"] == 1
    assert one.endswith("}\n")


def test_more_images_join_those_that_are_there() -> None:
    listed = contents_of(graph(), pins(), HOSTS, bootstrapped=True)
    more = listed.with_images({"nginx:1.29": ["release: web"], "quay.io/jupyter/minimal:1": ["release: hub"]})
    assert {image.reference: image.wanted_by for image in more.images} == {
        "docker.io/library/nginx:1.29": ("object: web", "release: web"),
        NOTEBOOK: ("image: minimal-notebook", "release: hub"),  # the digest that was known stays
        "registry.k8s.io/pause:3.10.2": ("kubernetes: pause",),
    }


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"image": "quay.io/a/b:1"}, ["quay.io/a/b:1"]),
        ({"spec": [{"image": "busybox/busybox"}, {"image": "name-of-something"}]}, ["busybox/busybox"]),
        ({"image": {"repository": "quay.io/a/b", "image": "quay.io/c/d:2"}}, ["quay.io/c/d:2"]),
        ({"image": "not an image / at all"}, []),
        ({"description": "image: quay.io/a/b"}, []),
    ],
)
def test_images_of_plain_data(value: object, found: list[str]) -> None:
    assert list(images_in(value)) == found


@pytest.mark.filterwarnings("ignore:This resource is deprecated.*CopyToRemote:DeprecationWarning")  # the SDK itself
@pytest.mark.parametrize("stack", ["dev", "test", "next", "prod"])
def test_every_real_stack_has_a_list_with_its_charts_and_notebooks(stack: str, root: Path) -> None:
    lab = open_lab(stack, root)
    pinned = load_pins(lab.environment.name)
    listed = contents_of(record(lab.program()), pinned, HOSTS, bootstrapped=True)
    assert {chart.chart for chart in listed.charts} <= {pin.chart for pin in pinned.charts.values()}
    assert {file.name for file in listed.files} == set(pinned.host_files)
    notebooks = {image.reference for image in listed.images if image.parsed.digest}
    assert str(pinned.images["minimal-notebook"].image) in notebooks


def test_package_sources_by_distribution() -> None:
    lines = ["noble=deb [arch=amd64] http://one noble main", "noble=deb http://two noble main"]
    assert sources_of(lines) == {Distribution.NOBLE: (lines[0][6:], lines[1][6:])}
    for wrong in ("focal=deb http://x focal main", "noble", "noble=http://x"):
        with pytest.raises(MalformedSourceError, match="is not CODENAME=LINE"):
            sources_of([wrong])
