"""The control plane before anything runs: what it refuses, and what it leaves untouched."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from labctl.control_plane import ControlPlane, ControlPlaneError
from labctl.control_plane import cache as cache_module
from labctl.control_plane import errors as errors_module
from labctl.control_plane.errors import DamagedDataError, DiskSpaceError, InvalidNetworkError, UnsupportedPlatformError
from labctl.control_plane.plane import NEEDED_DATA_BYTES


def plane(directory: Path, *, pods: str = "10.244.0.0/16", services: str = "10.96.0.0/16") -> ControlPlane:
    return ControlPlane(
        directory, kubeconfig=directory.parent / "kubeconfig", pod_network=pods, service_network=services
    )


@pytest.mark.parametrize(("directory", "name"), [(".lab/dev/control-plane", "lab-dev"), ("somewhere/else", "lab-else")])
def test_the_name_is_the_stacks(tmp_path: Path, directory: str, name: str) -> None:
    assert plane(tmp_path / directory).name == name


@pytest.mark.parametrize(
    ("pods", "services", "message"),
    [
        ("10.244.0.0/16", "10.96.0.1/16", "service network '10.96.0.1/16'.*host bits"),
        ("fd00::/64", "10.96.0.0/16", "pod network 'fd00::/64'"),
        ("10.244.0.0/16", "10.96.0.0/25", "fewer than 256"),
        ("pods", "10.96.0.0/16", "pod network 'pods'"),
        ("fd00::/64,10.244.0.0/16", "10.96.0.0/16", "pod network 'fd00::/64,10.244.0.0/16'"),
        ("10.244.0.0/16", "10.96.0.0/16,fd00::/112,fd01::/112", "more than one of a family"),
    ],
)
def test_a_network_that_is_none_is_refused_at_once(tmp_path: Path, pods: str, services: str, message: str) -> None:
    with pytest.raises(InvalidNetworkError, match=message):
        plane(tmp_path / "p", pods=pods, services=services)


def test_never_started_it_is_not_running_and_stopping_or_wiping_is_nothing(tmp_path: Path) -> None:
    never = plane(tmp_path / "never")
    status = never.status()
    assert not status.running
    assert status.server is None
    assert [component.pid for component in status.components] == [None] * 5
    assert never.stop() == ()
    never.wipe()
    assert not (tmp_path / "never").exists()


def test_a_full_disk_is_told_with_both_figures_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path) -> SimpleNamespace:
        return SimpleNamespace(total=1 << 40, used=1 << 40, free=4096)

    monkeypatch.setattr(cache_module.shutil, "disk_usage", full)
    with pytest.raises(DiskSpaceError) as caught:
        plane(tmp_path / "p").start()
    assert (caught.value.needed_bytes, caught.value.available_bytes) == (NEEDED_DATA_BYTES, 4096)
    assert str(tmp_path / "p") in str(caught.value)
    assert list((tmp_path / "p").iterdir()) == []


def test_another_system_is_told_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module.sys, "platform", "darwin")
    with pytest.raises(UnsupportedPlatformError, match="Linux only"):
        plane(tmp_path / "p").start()
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("content", ["", "[]", '{"pods": "10.244.0.0/16"}', '{"pods": 1, "nodes": 2}'])
def test_damaged_data_is_named(tmp_path: Path, content: str) -> None:
    directory = tmp_path / "p"
    directory.mkdir()
    (directory / "networks.json").write_text(content)
    with pytest.raises(DamagedDataError, match=r"networks\.json"):
        plane(directory).start()


def test_wiping_a_directory_given_by_mistake_takes_nothing_of_it(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "thesis.tex").write_text("chapter one")
    plane(documents).wipe()
    assert (documents / "thesis.tex").read_text() == "chapter one"


def test_every_error_is_a_control_plane_error() -> None:
    classes = [getattr(errors_module, name) for name in errors_module.__all__]
    assert all(issubclass(cls, ControlPlaneError) for cls in classes)
    defined = {
        name for name, value in vars(errors_module).items() if isinstance(value, type) and name.endswith("Error")
    }
    assert defined == set(errors_module.__all__)
