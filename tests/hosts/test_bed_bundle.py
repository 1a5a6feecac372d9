"""What hosts are brought up from: the right programs in the right places, images as the specification has them."""

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from bed_bundle import BUSYBOX, PROBE, Bundle
from bed_errors import ImageIncompleteError
from bed_images import Image, write_layout
from bed_programs import kubernetes_version, next_kubernetes_version

from components.pins import Architecture, HostFilePin
from labctl.bundle.layout import ImageLayout
from labctl.control_plane.cache import platform_names
from stacks.environments import EnvironmentName
from stacks.pins import load_pins

ARCHITECTURE = Architecture(platform_names()[1])

VERSIONS = [f"v{kubernetes_version()}", f"v{next_kubernetes_version()}"]


def place(bundle: Bundle, pin: HostFilePin) -> Path:
    """Return where the bundle has what the pin names."""
    return bundle.folder / "files" / pin.address(ARCHITECTURE).partition("://")[2]


def said(program: Path, *arguments: str) -> str:
    """Return what a program of the bundle prints."""
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_every_file_is_there_and_is_what_its_checksum_says(bundle: Bundle, version: str) -> None:
    assert set(bundle.files[version]) == {
        "kubelet", "kubeadm", "kubectl", "containerd", "runc", "cni-plugins", "etcd",
    }  # fmt: skip
    for pin in bundle.files[version].values():
        with place(bundle, pin).open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == pin.sha256[ARCHITECTURE]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_calls_itself_by_its_version(bundle: Bundle, version: str) -> None:
    files = bundle.files[version]
    assert said(place(bundle, files["kubelet"]), "--version") == f"Kubernetes {version}\n"
    assert said(place(bundle, files["kubeadm"]), "version", "-o", "short") == f"{version}\n"
    assert f"Client Version: {version}\n" in said(place(bundle, files["kubectl"]), "version", "--client")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_images_are_those_kubeadm_asks_for(bundle: Bundle, version: str) -> None:
    kubeadm = place(bundle, bundle.files[version]["kubeadm"])
    asked = said(kubeadm, "config", "images", "list", "--kubernetes-version", version).split()
    assert sorted(asked) == sorted(bundle.images(version).values())
    assert set(asked) | {BUSYBOX, PROBE} <= set(bundle.digests)


def test_archives_are_laid_out_as_their_publishers(bundle: Bundle) -> None:
    files = bundle.files[VERSIONS[0]]
    top = f"etcd-{files['etcd'].version}-linux-{ARCHITECTURE.value}"
    expected = {
        "containerd": {"bin/containerd", "bin/containerd-shim-runc-v2", "bin/ctr"},
        "cni-plugins": {"bridge", "host-local", "loopback", "portmap"},
        "etcd": {f"{top}/etcd", f"{top}/etcdctl", f"{top}/etcdutl"},
    }
    for name, members in expected.items():
        with tarfile.open(place(bundle, files[name])) as archive:
            found = archive.getmembers()
        assert {member.name for member in found} == members
        assert {member.mode for member in found} == {0o755}


def test_runc_filters_system_calls(bundle: Bundle) -> None:
    # Without it, a container with a seccomp profile (every pod's first) does not start.
    assert "libseccomp: " in said(place(bundle, bundle.files[VERSIONS[0]]["runc"]), "--version")


def test_every_image_is_whole(bundle: Bundle) -> None:
    layout = ImageLayout(bundle.folder / "images")
    images = layout.images()
    assert {reference: found.digest for reference, found in images.items()} == bundle.digests
    for found in images.values():
        manifest = json.loads((layout.blob(found.digest) or Path()).read_bytes())
        for part in [manifest["config"], *manifest["layers"]]:
            assert (layout.blob(part["digest"]) or Path()).stat().st_size == part["size"]
        configuration = json.loads((layout.blob(manifest["config"]["digest"]) or Path()).read_bytes())
        assert configuration["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
        assert configuration["architecture"] == ARCHITECTURE


def test_the_proxys_image_has_what_the_proxy_calls(bundle: Bundle, tmp_path: Path) -> None:
    layout = ImageLayout(bundle.folder / "images")
    digest = bundle.digests[bundle.images(VERSIONS[0])["kube-proxy"]]
    (layer,) = json.loads((layout.blob(digest) or Path()).read_bytes())["layers"]
    with tarfile.open(layout.blob(layer["digest"]) or Path()) as archive:
        archive.extractall(tmp_path, filter="tar")
    for program in ("nft --version", "iptables-save --version", "conntrack --version", "kube-proxy --version"):
        subprocess.run(["/usr/sbin/chroot", str(tmp_path), *program.split()], check=True, capture_output=True)


def test_pins_of_a_lab_name_the_bundle(bundle: Bundle) -> None:
    pins = bundle.put_into(load_pins(EnvironmentName.DEV), VERSIONS[1])
    assert pins.kubernetes == pins.host_file("kubelet").version == VERSIONS[1]
    assert pins.kubernetes_images["kube-apiserver"].endswith(f":{VERSIONS[1]}")
    assert pins.charts == load_pins(EnvironmentName.DEV).charts


def test_a_copy_takes_no_room_and_more_can_be_added(bundle: Bundle, tmp_path: Path) -> None:
    copy = bundle.copy_to(tmp_path / "copy")
    (copy / "apt").mkdir()
    assert not (bundle.folder / "apt").exists()
    assert (copy / "images/index.json").read_bytes() == (bundle.folder / "images/index.json").read_bytes()


def test_the_same_programs_give_the_same_digests(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    image = Image(reference="example.org/one:1.0", files={"/opt/one": program}, links={"/bin/one": "/opt/one"})
    first = write_layout(tmp_path / "first", [image])
    program.touch()
    assert write_layout(tmp_path / "second", [image]) == first
    program.write_bytes(b"\x7fELF2")
    assert write_layout(tmp_path / "third", [image]) != first


def test_an_image_without_its_program_is_refused(tmp_path: Path) -> None:
    image = Image(reference="example.org/one:1.0", files={"/one": tmp_path / "absent"})
    with pytest.raises(ImageIncompleteError, match=r"example\.org/one:1\.0.*absent is missing"):
        write_layout(tmp_path / "layout", [image])
