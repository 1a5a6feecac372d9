"""What a lab without internet carries in: every file and image of the bed's hosts, laid out as `labctl bundle` does.

    files/<host>/<path>     as their publishers have them: files/dl.k8s.io/v1.36.3/bin/linux/amd64/kubelet
    images/                 one OCI image layout, images by their full reference

The content is the programs of `bed_programs`, so its checksums are its own: `Bundle.put_into` has a lab's pins say so.
"""

import gzip
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bed_debian import busybox, packet_filter, unpack_packages
from bed_images import Image, write_layout
from bed_programs import Programs, kubernetes_version, next_kubernetes_version, obtain_programs

from components.pins import Architecture, HostFilePin, Pins
from labctl.control_plane.cache import cache_directory, exclusive_lock, platform_names
from labctl.control_plane.progress import Progress, silent

__all__ = ["BUSYBOX", "PROBE", "Bundle", "link_or_copy", "make_bundle"]

BUSYBOX = "docker.io/library/busybox:1.35.0"
"""A shell for pods: Debian's static build of it."""

PROBE = "docker.io/research-compute/probe:1.0.0"
"""The web server and client of `programs/probe`."""

PAUSE = "registry.k8s.io/pause:3.10.2"
ETCD = "registry.k8s.io/etcd:3.6.8-0"
COREDNS = "registry.k8s.io/coredns/coredns"
"""As the pinned kubeadm names them (`kubeadm config images list`; a test compares)."""

CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")

GITHUB = "https://github.com"


@dataclass(frozen=True)
class Bundle:
    """A finished bundle."""

    folder: Path
    digests: Mapping[str, str]
    """Manifest digests of the images by full reference."""
    files: Mapping[str, Mapping[str, HostFilePin]]
    """By version of Kubernetes (with v), then by name: what the bundle has and its checksums."""

    def images(self, kubernetes: str) -> dict[str, str]:
        """Return the images kubeadm of this version (with v) runs, by name."""
        own = {name: f"registry.k8s.io/{name}:{kubernetes}" for name in (*CONTROL_PLANE, "kube-proxy")}
        coredns = next(reference for reference in self.digests if reference.startswith(COREDNS))
        return {**own, "coredns": coredns, "pause": PAUSE, "etcd": ETCD}

    def put_into(self, pins: Pins, kubernetes: str | None = None) -> Pins:
        """Return the pins with this bundle's host files and images in place of theirs.

        Parameters
        ----------
        pins
            A lab's.
        kubernetes
            One of the two versions in the bundle, with v; default: the pinned one.
        """
        version = kubernetes or f"v{kubernetes_version()}"
        changes = {
            "kubernetes": version,
            "host_files": {**pins.host_files, **self.files[version]},
            "kubernetes_images": self.images(version),
        }
        return pins.model_copy(update=changes)

    def copy_to(self, folder: Path) -> Path:
        """Return `folder`, made a copy of the bundle to which more can be added; files are shared, not to be edited."""
        shutil.copytree(self.folder, folder, copy_function=link_or_copy)
        return folder


def make_bundle(progress: Progress = silent) -> Bundle:
    """Return the bundle; made from the programs (themselves obtained first) if it is not in the cache.

    Raises
    ------
    ToolUnavailableError
        A program could be neither downloaded nor built.
    CommandFailedError
        Debian's archive could not be read.
    """
    programs = obtain_programs(progress)
    place = cache_directory() / "hosts" / f"bundle-{_key(programs)}"
    with exclusive_lock(place.with_name(f"{place.name}.lock"), progress=progress, waiting_for="making the bundle"):
        if not place.exists():
            progress("making the bundle of host files and images")
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent, prefix=".bundle-") as scratch:
                made = Path(scratch) / "bundle"
                _make(made, Path(scratch) / "debian", programs, progress)
                made.rename(place)
    facts: Mapping[str, dict[str, str]] = json.loads((place / "made.json").read_text())
    current, following = f"v{kubernetes_version()}", f"v{next_kubernetes_version()}"
    described = {version: _pins(programs.versions, version, facts["files"]) for version in (current, following)}
    return Bundle(folder=place, digests=facts["images"], files=described)


def _key(programs: Programs) -> str:
    """Return a name for all that the bundle is made from: programs by path (which has the version) and our recipes."""
    digest = hashlib.sha256()
    for path in sorted([*programs.current.values(), *programs.following.values()]):
        digest.update(f"{path}:{path.stat().st_size}:{path.stat().st_mtime_ns}\n".encode())
    for module in ("bed_bundle.py", "bed_debian.py", "bed_images.py"):
        digest.update((Path(__file__).parent / module).read_bytes())
    return digest.hexdigest()[:16]


def _make(folder: Path, debian: Path, programs: Programs, progress: Progress) -> None:
    versions = (kubernetes_version(), next_kubernetes_version())
    # Without checksums: what is being made has them only once it is there.
    for version in versions:
        for name, pin in _pins(programs.versions, f"v{version}", {}).items():
            address = urlsplit(pin.address(Architecture(platform_names()[1])))
            target = folder / "files" / address.netloc / address.path.lstrip("/")
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _fill(name, target, programs, version)
    unpack_packages(debian, progress)
    digests = write_layout(folder / "images", _images(programs, debian, versions))
    paths = sorted(path for path in (folder / "files").rglob("*") if path.is_file())
    sums = {f"https://{path.relative_to(folder / 'files')}": _sha256(path) for path in paths}
    (folder / "made.json").write_text(json.dumps({"files": sums, "images": digests}, indent=1))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pins(versions: Mapping[str, str], kubernetes: str, sums: Mapping[str, str]) -> dict[str, HostFilePin]:
    """Return the host files of a bundle, with the checksums in `sums` (by URL), or zeros."""
    github = {
        "containerd": f"{GITHUB}/containerd/containerd/releases/download/v{{version}}/"
        "containerd-{version}-linux-{arch}.tar.gz",
        "runc": f"{GITHUB}/opencontainers/runc/releases/download/{{version}}/runc.{{arch}}",
        "cni-plugins": f"{GITHUB}/containernetworking/plugins/releases/download/{{version}}/"
        "cni-plugins-linux-{arch}-{version}.tgz",
        "etcd": f"{GITHUB}/etcd-io/etcd/releases/download/{{version}}/etcd-{{version}}-linux-{{arch}}.tar.gz",
    }
    numbers = {
        "containerd": versions["containerd"],
        "runc": f"v{versions['runc']}",
        "cni-plugins": f"v{versions['bridge']}",
        "etcd": f"v{versions['etcd']}",
    }
    programs = ("kubelet", "kubeadm", "kubectl")
    urls = {**{name: f"https://dl.k8s.io/{{version}}/bin/linux/{{arch}}/{name}" for name in programs}, **github}
    numbers |= dict.fromkeys(programs, kubernetes)
    architecture = Architecture(platform_names()[1])
    made: dict[str, HostFilePin] = {}
    for name, url in urls.items():
        address = url.format(version=numbers[name], arch=architecture.value)
        sha256 = {architecture: sums.get(address, "0" * 64)}
        made[name] = HostFilePin(version=numbers[name], url=url, sha256=sha256, source="computed from the file")
    return made


def _fill(name: str, target: Path, programs: Programs, kubernetes: str) -> None:
    """Leave the host file `name` at `target`, laid out inside as its publisher's."""
    current = programs.current
    members: dict[str, Path]
    match name:
        case "containerd":
            members = {f"bin/{part}": current[part] for part in ("containerd", "containerd-shim-runc-v2", "ctr")}
        case "cni-plugins":
            members = {part: current[part] for part in ("bridge", "host-local", "loopback", "portmap")}
        case "etcd":
            top = target.name.removesuffix(".tar.gz")
            members = {f"{top}/{part}": current[part] for part in ("etcd", "etcdctl", "etcdutl")}
        case "runc":
            link_or_copy(current["runc"], target)
            return
        case _:
            link_or_copy(programs.kubernetes(kubernetes)[name], target)
            return
    # Level 1: the time matters here, the size does not. No time stamp: the same content, the same checksum.
    with gzip.GzipFile(target, "wb", compresslevel=1, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for place, path in members.items():
            entry = tarfile.TarInfo(place)
            entry.mode, entry.size = 0o755, path.stat().st_size
            with path.open("rb") as file:
                tar.addfile(entry, file)


def link_or_copy(source: Path | str, target: Path | str) -> None:
    """Leave the same file at `target`: a second name where the file systems allow, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _images(programs: Programs, debian: Path, versions: tuple[str, str]) -> list[Image]:
    current = programs.current
    shell, applets = busybox(debian)
    images = [
        Image(reference=PAUSE, files={"/pause": current["pause"]}, entrypoint=("/pause",)),
        Image(
            reference=ETCD, files={f"/usr/local/bin/{name}": current[name] for name in ("etcd", "etcdctl", "etcdutl")}
        ),
        Image(
            reference=f"{COREDNS}:v{programs.versions['coredns']}",
            files={"/coredns": current["coredns"]},
            entrypoint=("/coredns",),
        ),
        Image(reference=BUSYBOX, files=shell, links=applets),
        Image(reference=PROBE, files={"/probe": current["probe"]}, entrypoint=("/probe",)),
    ]
    filters, links = packet_filter(debian)
    for version in versions:
        own = programs.kubernetes(version)
        images += [
            Image(reference=f"registry.k8s.io/{name}:v{version}", files={f"/usr/local/bin/{name}": own[name]})
            for name in CONTROL_PLANE
        ]
        proxy = {"/usr/local/bin/kube-proxy": own["kube-proxy"], **filters}
        images.append(Image(reference=f"registry.k8s.io/kube-proxy:v{version}", files=proxy, links=links))
    return images
