"""Packages: apt itself says what is needed, and apt itself installs from what was made of it.

The archive is one of ours, of packages made here: the repository writer makes both, apt verifies both.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from labctl.bundle.control_files import Stanza, parse_stanzas
from labctl.bundle.distributions import ARCHIVES, Distribution, source_lines
from labctl.bundle.downloads import Client, Download
from labctl.bundle.errors import AptFailedError, KeyringMissingError, ProgramMissingError
from labctl.bundle.mirror import Mirror
from labctl.bundle.packages import Package, PackageRequest, resolve
from labctl.bundle.repository import KEY_FILE, Signer, release_text, write_repository

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

DATE = "Sat, 21 Nov 2026 02:10:46 UTC"
PROGRAMS = ("apt-get", "gpg", "dpkg-deb")
ABSENT = [program for program in PROGRAMS if shutil.which(program) is None]
needs_apt = pytest.mark.skipif(bool(ABSENT), reason=f"there is no {', '.join(ABSENT)}: packages need Debian or Ubuntu")


def make_package(folder: Path, name: str, version: str, *, depends: str = "", priority: str = "optional") -> Package:
    """Build a package without files into `folder`, named as in an archive's pool."""
    tree = folder / ".tree" / name
    (tree / "DEBIAN").mkdir(parents=True)
    control = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Maintainer": "lab",
        "Priority": priority,
        "Depends": depends,
        "Description": "made for a test\n with a second line",
    }
    stanza = Stanza({key: value for key, value in control.items() if value})
    (tree / "DEBIAN" / "control").write_text(str(stanza))
    path = folder / f"{name}_{version.rpartition(':')[2]}_amd64.deb"
    build = [str(shutil.which("dpkg-deb")), "--root-owner-group", "--build", str(tree), str(path)]
    subprocess.run(build, check=True, capture_output=True)
    shutil.rmtree(folder / ".tree")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    size = path.stat().st_size
    stanza = stanza.with_field("Filename", f"pool/{path.name}").with_field("Size", str(size))
    return Package(url="", size=size, sha256=sha256, stanza=stanza.with_field("SHA256", sha256))


@pytest.fixture
def archive(tmp_path: Path) -> Generator[Mirror]:
    """Serve a distribution's archive of four packages."""
    folder = tmp_path / "archive" / "apt" / "bookworm"
    folder.mkdir(parents=True)
    packages = [
        make_package(folder, "base-files", "12", priority="required"),
        make_package(folder, "libnet", "1:2.0+b1~rc1"),
        make_package(folder, "curl", "7.88", depends="libnet (>= 1:2.0~), base-files"),
        make_package(folder, "unwanted", "1"),
    ]
    signer = Signer(tmp_path / "archive-key")
    write_repository(folder, packages, codename="bookworm", dates=[DATE], signer=signer)
    with Mirror(tmp_path / "archive") as running:
        yield running


def request(mirror: Mirror, *names: str) -> PackageRequest:
    key = mirror.folder / "apt" / KEY_FILE
    line = f"deb [signed-by={key}] {mirror.url}/apt/bookworm ./"
    return PackageRequest(distribution=Distribution.BOOKWORM, architecture="amd64", names=names, sources=(line,))


@pytest.fixture
def _base(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the base of a host be what the small archive has of it."""
    monkeypatch.setattr("labctl.bundle.packages.BASE", ("?priority(required)",))


@needs_apt
@pytest.mark.usefixtures("_base")
def test_a_closure_is_what_apt_would_install_and_can_be_installed_from(archive: Mirror, tmp_path: Path) -> None:
    closure = resolve(request(archive, "curl"), tmp_path / "work")
    found = {package.stanza["Package"]: package.stanza["Version"] for package in closure.packages}
    assert found == {"base-files": "12", "curl": "7.88", "libnet": "1:2.0+b1~rc1"}
    assert closure.unknown == ()

    made = tmp_path / "made" / "apt" / "bookworm"
    client = Client()
    for package in closure.packages:
        path = made / package.file_name
        client.fetch(Download(url=package.url, path=path, sha256=package.sha256, size=package.size))
    client.close()
    signer = Signer(tmp_path / "made-key")
    write_repository(made, closure.packages, codename="bookworm", dates=closure.dates, signer=signer)
    with Mirror(tmp_path / "made") as second:
        again = resolve(request(second, "curl"), tmp_path / "work2")
    assert [package.sha256 for package in again.packages] == [package.sha256 for package in closure.packages]
    assert (made / "libnet_2.0+b1~rc1_amd64.deb").is_file()


@needs_apt
@pytest.mark.usefixtures("_base")
def test_a_name_that_is_no_package_is_named_and_keeps_nothing_else_back(archive: Mirror, tmp_path: Path) -> None:
    closure = resolve(request(archive, "curl", "nonsense"), tmp_path / "work")
    assert closure.unknown == ("nonsense",)
    assert {package.stanza["Package"] for package in closure.packages} == {"base-files", "curl", "libnet"}


@needs_apt
@pytest.mark.usefixtures("_base")
def test_an_index_that_somebody_changed_is_refused(archive: Mirror, tmp_path: Path) -> None:
    folder = archive.folder / "apt" / "bookworm"
    signed = folder / "InRelease"
    signed.write_text(signed.read_text().replace("Suite: bookworm", "Suite: bookworn"))
    (folder / "Release").unlink()
    with pytest.raises(AptFailedError, match=r"apt, asked about bookworm: .*sign"):
        resolve(request(archive, "curl"), tmp_path / "work")


@needs_apt
@pytest.mark.usefixtures("_base")
def test_an_archive_that_does_not_answer_is_named(archive: Mirror, tmp_path: Path) -> None:
    archive.stop()
    with pytest.raises(AptFailedError, match="asked about bookworm"):
        resolve(request(archive, "curl"), tmp_path / "work")


@needs_apt
def test_the_same_packages_make_the_same_index_and_the_key_stays(tmp_path: Path) -> None:
    indices: list[dict[str, bytes]] = []
    signer = Signer(tmp_path / "key")
    for run in ("one", "two"):
        folder = tmp_path / run / "apt" / "bookworm"
        folder.mkdir(parents=True)
        packages = [make_package(folder, name, "1") for name in ("b", "a")]
        (folder / "gone_1_amd64.deb").write_text("of an earlier run")
        if run == "two":
            packages.reverse()
        # What dpkg-deb packs bears the time; the index of one and the same file is what is compared.
        fixed = [
            Package(url="", size=1, sha256="0" * 64, stanza=package.stanza.with_field("SHA256", "0" * 64))
            for package in packages
        ]
        write_repository(
            folder, fixed, codename="bookworm", dates=[DATE, "Sun, 01 Feb 2026 00:00:00 GMT"], signer=signer
        )
        assert not (folder / "gone_1_amd64.deb").exists()
        indices.append({name: (folder / name).read_bytes() for name in ("Packages", "Packages.gz", "Release")})
        indices[-1]["key"] = (folder.parent / KEY_FILE).read_bytes()
    assert indices[0] == indices[1]
    assert gzip.decompress(indices[0]["Packages.gz"]) == indices[0]["Packages"]
    names = [stanza["Filename"] for stanza in parse_stanzas(indices[0]["Packages"].decode())]
    assert names == ["./a_1_amd64.deb", "./b_1_amd64.deb"]
    assert b"Date: Sat, 21 Nov 2026 02:10:46 GMT\n" in indices[0]["Release"]
    private = tmp_path / "key" / "private.asc"
    assert (private.stat().st_mode & 0o777, private.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_release_names_its_files_by_checksum() -> None:
    text = release_text(codename="noble", architectures=["amd64", "arm64"], date="now", files={"Packages": b"x"})
    assert text.splitlines()[5:] == [
        "Architectures: amd64 arm64",
        "SHA256:",
        f" {hashlib.sha256(b'x').hexdigest()} 1 Packages",
    ]


@needs_apt
def test_without_the_keys_of_an_archive_nothing_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unsigned = replace(ARCHIVES[Distribution.NOBLE], keyring=tmp_path / "absent.gpg")
    monkeypatch.setattr("labctl.bundle.packages.ARCHIVES", {Distribution.NOBLE: unsigned})
    wanted = PackageRequest(distribution=Distribution.NOBLE, architecture="amd64", names=("curl",))
    with pytest.raises(KeyringMissingError, match=r"absent\.gpg.*ubuntu-keyring"):
        resolve(wanted, tmp_path)


def test_a_machine_without_apt_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = PackageRequest(distribution=Distribution.NOBLE, architecture="amd64", names=("curl",))
    with pytest.raises(ProgramMissingError, match="there is no apt-get on this machine; make the bundle on a Debian"):
        resolve(wanted, tmp_path)


@pytest.mark.parametrize("distribution", Distribution)
def test_every_distribution_has_sources_for_both_architectures(distribution: Distribution) -> None:
    archive = ARCHIVES[distribution]
    for architecture in ("amd64", "arm64"):
        lines = source_lines(archive, architecture)
        assert any(line.split()[3] == f"{distribution}-security" for line in lines)
        assert all(line.startswith(f"deb [signed-by={archive.keyring}] http") for line in lines)
    assert os.path.isabs(archive.keyring)  # noqa: PTH117 - what sources.list takes
