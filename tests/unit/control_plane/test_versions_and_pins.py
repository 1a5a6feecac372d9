"""Versions as programs print them, and the file of pins."""

import re
from pathlib import Path

import pytest

from labctl.control_plane.errors import UnknownToolError
from labctl.control_plane.pins import (
    CONTROL_PLANE_TOOLS,
    TOOLS_DIRECTORY,
    Purpose,
    VersionFit,
    go_pin,
    load_pins,
    tool_pin,
)
from labctl.control_plane.versions import fits, parse_go_version, parse_version


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("Kubernetes v1.36.3", (1, 36, 3)),
        ("etcd Version: 3.6.16\nGit SHA: GitNotFound\nGo Version: go1.26.3\nGo OS/Arch: linux/amd64", (3, 6, 16)),
        ("kwok version 0.8.0 go1.26.3 linux/amd64", (0, 8, 0)),
        ("kwok version v0.8.0 go1.26.8 (linux/amd64)", (0, 8, 0)),
        ("Client Version: v1.36.3\nKustomize Version: v5.8.1", (1, 36, 3)),
        ("v3.22.0+gc947f0b", (3, 22, 0)),
        ("v3.22.0", (3, 22, 0)),
        ("Kubernetes v0.0.0-master+$Format:%H$", None),
        ("Kubernetes v1.36.0-rc.1", None),
        ("Client Version: v1.32.4-dispatcher", None),
        ("v3.22", None),
        ("", None),
        ("permission denied", None),
    ],
)
def test_parse_version(output: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(output) == version


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("go version go1.26.3 linux/amd64", (1, 26, 3)),
        ("go version go1.27 linux/amd64", (1, 27, 0)),
        ("go version go1.27rc1 linux/amd64", None),
        ("go version devel go1.28-abcdef linux/amd64", (1, 28, 0)),
        ("", None),
    ],
)
def test_parse_go_version(output: str, version: tuple[int, int, int] | None) -> None:
    assert parse_go_version(output) == version


@pytest.mark.parametrize(
    ("found", "fit", "expected"),
    [
        ((1, 36, 3), VersionFit.MINOR, True),
        ((1, 36, 0), VersionFit.MINOR, True),
        ((1, 36, 9), VersionFit.MINOR, True),
        ((1, 35, 9), VersionFit.MINOR, False),
        ((1, 37, 0), VersionFit.MINOR, False),
        ((2, 36, 3), VersionFit.MINOR, False),
        (None, VersionFit.MINOR, False),
        ((1, 37, 0), VersionFit.MAJOR, True),
        ((1, 36, 2), VersionFit.MAJOR, False),
        ((1, 36, 3), VersionFit.MAJOR, True),
        ((2, 40, 0), VersionFit.MAJOR, False),
        ((1, 36, 3), VersionFit.NONE, False),
    ],
)
def test_fits(found: tuple[int, int, int] | None, fit: VersionFit, *, expected: bool) -> None:
    assert fits(found, "1.36.3", fit) is expected


def test_every_control_plane_tool_is_pinned() -> None:
    of_machines = {name for name, pin in load_pins()[1].items() if pin.purpose is Purpose.LAB}
    assert set(CONTROL_PLANE_TOOLS) | {"kubectl", "helm"} == of_machines


@pytest.mark.parametrize("name", sorted(name for name, pin in load_pins()[1].items() if pin.purpose is not Purpose.LAB))
def test_what_hosts_and_tests_run_is_the_pinned_build_and_nothing_else(name: str) -> None:
    pin = tool_pin(name)
    assert pin.fits is VersionFit.NONE
    assert not fits(parse_version(pin.version), pin.version, pin.fits)


@pytest.mark.parametrize("name", sorted(name for name, pin in load_pins()[1].items() if pin.kept is not None))
def test_what_is_kept_is_kept_of_a_module_that_is_named_and_built(name: str) -> None:
    pin = tool_pin(name)
    assert pin.source
    assert pin.release is None


def test_one_version_of_kubernetes() -> None:
    versions = {pin.version for pin in load_pins()[1].values() if pin.module == "kubernetes"}
    assert len(versions) == 1


@pytest.mark.parametrize("name", sorted(load_pins()[1]))
def test_the_go_module_pins_the_same_version(name: str) -> None:
    pin = tool_pin(name)
    module = TOOLS_DIRECTORY / pin.module
    required = dict(re.findall(r"^(?:require)?\s+(\S+) v(\S+)", (module / "go.mod").read_text(), flags=re.MULTILINE))
    (source,) = [path for path in required if path in {pin.source, pin.package} or pin.package.startswith(f"{path}/")]
    assert required[source] == pin.version
    if pin.is_our_own:
        assert list((module / pin.package).glob("*.go"))
        assert re.fullmatch(rf"{re.escape(pin.version)}-[0-9a-f]{{8}}", pin.edition)
    else:
        assert f'_ "{pin.package}"' in (module / "tools.go").read_text()
    assert f"{source} v{pin.version} h1:" in (module / "go.sum").read_text()


@pytest.mark.parametrize("module", sorted(TOOLS_DIRECTORY.glob("*/go.mod")), ids=lambda path: path.parent.name)
def test_the_pinned_go_is_new_enough_for_every_module(module: Path) -> None:
    needed = re.findall(r"^go (\d+)\.(\d+)\.(\d+)$", module.read_text(), flags=re.MULTILINE)
    purposes = {pin.purpose for pin in load_pins()[1].values() if pin.module == module.parent.name}
    pin = go_pin(Purpose.TESTS if purposes == {Purpose.TESTS} else Purpose.LAB)
    minimum = tuple(map(int, pin.minimum.split(".")))
    assert [tuple(map(int, version)) <= minimum for version in needed] == [True]
    assert tuple(map(int, pin.wheel.partition("==")[2].split("."))) >= minimum


@pytest.mark.parametrize("name", [name for name, pin in load_pins()[1].items() if pin.module == "kubernetes"])
def test_kubernetes_is_told_its_version(name: str) -> None:
    pin = tool_pin(name)
    major, minor, _ = pin.version.split(".")
    flags = pin.ldflags.format(version=pin.version)
    for field, value in (("gitVersion", f"v{pin.version}"), ("gitMajor", major), ("gitMinor", minor)):
        assert f"-X k8s.io/component-base/version.{field}={value}" in flags


def test_unknown_tool_names_the_known() -> None:
    with pytest.raises(UnknownToolError, match=r"'podman'.*kube-apiserver"):
        tool_pin("podman")
