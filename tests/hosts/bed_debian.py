"""Programs of Debian's that go into images: unpacked from its packages, with the libraries they load."""

import shutil
from pathlib import Path

from bed_commands import call

from labctl.control_plane.progress import Progress

__all__ = ["busybox", "packet_filter", "unpack_packages"]

PACKAGES = ("busybox-static", "conntrack", "iptables", "nftables")
"""What kube-proxy calls, and a small shell."""

PROXY_PROGRAMS = ("nft", "conntrack", "xtables-nft-multi")

PROXY_LINKS = (
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
)
"""Names under which xtables-nft-multi is called."""

APPLETS = (
    "cat echo grep head hostname httpd id ip ls mkdir mount nc nslookup ping printf ps rm sh sleep sync touch wget"
)
"""Of busybox, linked by name in its image."""


def unpack_packages(tree: Path, progress: Progress) -> None:
    """Leave `PACKAGES` and all they depend on unpacked in `tree`; nothing of them is installed anywhere.

    Raises
    ------
    CommandFailedError
        The archive that this machine's apt reads does not have them.
    """
    progress(f"fetching {', '.join(PACKAGES)} from Debian")
    scratch = tree.with_name(f"{tree.name}-packages")
    status = scratch / "status"
    (scratch / "archives/partial").mkdir(parents=True)
    # A machine with nothing installed: every dependency is downloaded, so that all of them fit each other.
    status.write_text("")
    own = ["-o", f"Dir::State::status={status}", "-o", f"Dir::Cache::archives={scratch}/archives"]
    own += ["-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1"]
    call("apt-get", "update", seconds=300)
    call("apt-get", *own, "install", "--yes", "--download-only", "--no-install-recommends", *PACKAGES, seconds=300)
    tree.mkdir()
    for package in sorted((scratch / "archives").glob("*.deb")):
        call("dpkg-deb", "--extract", str(package), str(tree))
    shutil.rmtree(scratch)


def packet_filter(tree: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the files and links of nft, iptables and conntrack with their libraries, as they belong into an image."""
    programs = [_find(tree, f"*bin/{name}") for name in PROXY_PROGRAMS]
    plugins = sorted(path for path in tree.rglob("xtables/*.so") if not path.is_symlink())
    files = {f"/usr/sbin/{path.name}": path for path in programs}
    files |= {f"/{path.relative_to(tree)}": path for path in plugins}
    for binary in [*programs, *plugins]:
        files |= _libraries(tree, binary)
    links = {f"/usr/sbin/{name}": "xtables-nft-multi" for name in PROXY_LINKS}
    links |= {f"/{p.relative_to(tree)}": str(p.readlink()) for p in tree.rglob("xtables/*.so") if p.is_symlink()}
    return files, links


def busybox(tree: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the file and the links of busybox."""
    return {"/bin/busybox": _find(tree, "bin/busybox")}, {f"/bin/{name}": "busybox" for name in APPLETS.split()}


def _find(tree: Path, pattern: str) -> Path:
    return next(path for path in sorted(tree.rglob(pattern)) if path.is_file() and not path.is_symlink())


def _libraries(tree: Path, binary: Path) -> dict[str, Path]:
    """Return the dynamic libraries that `binary` loads, and the loader, by their places in the image."""
    loader = next(path for path in sorted(tree.rglob("ld-linux-*.so.*")) if path.is_file()).resolve()
    folders = sorted({str(path.parent) for path in tree.rglob("lib*.so.*")})
    listed = call(str(loader), "--library-path", ":".join(folders), "--list", str(binary))
    found = {f"/{_loader_place(tree)}": loader}
    for line in listed.splitlines():
        _, arrow, rest = line.partition(" => ")
        if arrow:
            library = Path(rest.split(" (")[0])
            found[f"/lib/{library.parent.name}/{library.name}"] = library.resolve()
    return found


def _loader_place(tree: Path) -> Path:
    """Return where programs look for the loader: the one name of it in /lib64 (amd64) or /lib (arm64)."""
    links = sorted(path for path in tree.rglob("ld-linux-*.so.*") if path.is_symlink())
    return (links or sorted(tree.rglob("ld-linux-*.so.*")))[-1].relative_to(tree)
