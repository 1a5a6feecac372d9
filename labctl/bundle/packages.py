"""What apt needs to install packages on a bare host: asked of apt itself, in a root of its own.

Nothing of this machine's own apt is read or changed: configuration, sources, keys, lists and the record of what is
installed are those of a private folder. apt verifies the archive's signature; with it every checksum it tells.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from .control_files import Stanza, parse_stanzas
from .distributions import ARCHIVES, Distribution, source_lines
from .errors import AptFailedError, KeyringMissingError, ProgramMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Closure", "Package", "PackageRequest", "resolve"]

APT_SECONDS: Final = 600
"""Indices of a whole distribution come within this on any line that the packages come over."""
BASE: Final = ("?priority(required)", "?priority(important)", "openssh-server", "systemd-sysv")
"""What every host has already. Packages are bound to each other by exact versions, so a host of an earlier point
release may need newer ones of these, too (apt-patterns(7))."""
_URI: Final = re.compile(r"'(?P<url>[^']+)' (?P<file>\S+) (?P<size>\d+)(?: \S*)?\Z")
_MISSING: Final = re.compile(r"Unable to locate package (\S+)|Package '?(\S+?)'? has no installation candidate")


@dataclass(frozen=True, kw_only=True)
class PackageRequest:
    """Packages wanted on hosts of one distribution and architecture."""

    distribution: Distribution
    architecture: str
    names: tuple[str, ...]
    sources: tuple[str, ...] = ()
    """Lines of sources.list(5); the distribution's own archive if none is given."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """One package of a closure."""

    url: str
    size: int
    """Bytes."""
    sha256: str
    stanza: Stanza
    """As the archive's index has it."""

    @property
    def file_name(self) -> str:
        """Name of its file, as in the archive's own folders: without an epoch, whose colon every client quotes anew."""
        return self.stanza["Filename"].rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Closure:
    """Everything apt would install for a request."""

    request: PackageRequest
    packages: tuple[Package, ...]
    unknown: tuple[str, ...]
    """Names the distribution has no package of."""
    dates: tuple[str, ...]
    """``Date`` of each index that it was made from."""


def resolve(request: PackageRequest, work: Path) -> Closure:
    """Return what apt would install for `request` on a host where nothing is installed yet.

    Parameters
    ----------
    request
        Packages, distribution, sources.
    work
        A folder for apt's private root; lists kept there are only brought up to date next time.

    Raises
    ------
    ProgramMissingError
        This machine has no apt.
    KeyringMissingError
        The archive's keys are not here.
    AptFailedError
        An index cannot be had or is not properly signed, or the packages exclude each other.
    """
    if shutil.which("apt-get") is None:
        raise ProgramMissingError(program="apt-get", remedy="make the bundle on a Debian or Ubuntu machine")
    apt = _PrivateApt(request, work)
    apt.run("apt-get", "--quiet", "update", "-o", "APT::Update::Error-Mode=any")
    names, unknown = list(request.names), list[str]()
    while True:
        finished = apt.ask("apt-get", "install", "--print-uris", "-qq", "--yes", *BASE, *names)
        if finished.returncode == 0:
            break
        gone = {first or second for first, second in _MISSING.findall(finished.stderr)} & set(names)
        if not gone:
            raise AptFailedError(request.distribution, finished.stderr)
        unknown += gone
        names = [name for name in names if name not in gone]
    return Closure(
        request=request,
        packages=apt.packages(finished.stdout),
        unknown=tuple(sorted(unknown)),
        dates=tuple(sorted(apt.dates())),
    )


class _PrivateApt:
    def __init__(self, request: PackageRequest, work: Path) -> None:
        self._request = request
        self._root = work / f"{request.distribution}-{request.architecture}"
        archive = ARCHIVES[request.distribution]
        lines = request.sources or source_lines(archive, request.architecture)
        if not request.sources and not archive.keyring.is_file():
            raise KeyringMissingError(archive.keyring, archive.keyring_package)
        for folder in ("lists/partial", "cache/archives/partial", "etc"):
            (self._root / folder).mkdir(parents=True, exist_ok=True)
        (self._root / "status").touch()
        (self._root / "etc" / "sources.list").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self._configuration = self._root / "apt.conf"
        self._configuration.write_text(_configuration(self._root, request.architecture), encoding="utf-8")

    def ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Return what a program of apt answers."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
        }
        return subprocess.run(  # noqa: S603 - apt's own programs, arguments given one by one
            list(command),
            capture_output=True,
            text=True,
            check=False,
            timeout=APT_SECONDS,
            env={**environment, "LC_ALL": "C.UTF-8", "APT_CONFIG": str(self._configuration)},
        )

    def run(self, *command: str) -> str:
        """Return what a program of apt prints when it succeeds."""
        finished = self.ask(*command)
        if finished.returncode != 0:
            raise AptFailedError(self._request.distribution, finished.stderr)
        return finished.stdout

    def packages(self, uris: str) -> tuple[Package, ...]:
        """Return the packages that ``--print-uris`` names, each with its stanza of the signed index."""
        found: list[re.Match[str]] = []
        for line in uris.splitlines():
            match = _URI.match(line.strip())
            if match is not None:
                found.append(match)
            elif line.startswith("'"):  # a package that would be missing without a word
                raise AptFailedError(self._request.distribution, f"says what is not understood: {line}")
        files = {_identity(match["file"]): match for match in found}
        shown = self.run("apt-cache", "show", *(f"{name}={version}" for name, version, _ in files))
        packages: dict[tuple[str, str, str], Package] = {}
        for stanza in parse_stanzas(shown):
            identity = (stanza["Package"], stanza["Version"], stanza["Architecture"])
            if identity in files:
                packages[identity] = Package(
                    url=files[identity]["url"], size=int(stanza["Size"]), sha256=stanza["SHA256"], stanza=stanza
                )
        if missing := files.keys() - packages.keys():
            raise AptFailedError(self._request.distribution, f"no record of {min(missing)}")
        return tuple(package for _, package in sorted(packages.items()))

    def dates(self) -> list[str]:
        """Return the date of every signed index."""
        return [
            line.removeprefix("Date:").strip()
            for path in (self._root / "lists").glob("*Release")
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.startswith("Date:")
        ]


def _identity(file_name: str) -> tuple[str, str, str]:
    """Return name, version and architecture of a package's file as apt names it in its cache."""
    name, version, architecture = file_name.removesuffix(".deb").split("_")
    return name, unquote(version), architecture


def _configuration(root: Path, architecture: str) -> str:
    settings: Sequence[tuple[str, str]] = (
        ("Dir", str(root)),
        ("Dir::State", str(root)),
        ("Dir::State::lists", str(root / "lists")),
        ("Dir::State::status", str(root / "status")),
        ("Dir::Cache", str(root / "cache")),
        ("Dir::Etc", str(root / "etc")),
        *((f"Dir::Etc::{what}", "/dev/null") for what in ("sourceparts", "main", "parts", "preferences")),
        *((f"Dir::Etc::{what}", "/dev/null") for what in ("preferencesparts", "trusted", "trustedparts")),
        ("APT::Architecture", architecture),
        ("APT::Install-Recommends", "false"),
        ("APT::Sandbox::User", "root"),
        ("Acquire::Languages", "none"),
        ("Acquire::Retries", "3"),
    )
    lines = [f'{name} "{value}";' for name, value in settings]
    return "\n".join(
        ["#clear APT::Update;", "#clear DPkg;", *lines, f'APT::Architectures {{ "{architecture}"; }};', ""]
    )
