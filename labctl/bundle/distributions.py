"""The distributions that hosts may run, and where each publishes its packages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ARCHIVES", "Archive", "Distribution", "Suite", "source_lines"]


class Distribution(StrEnum):
    """A release of a distribution, by the codename in its ``/etc/os-release``."""

    BOOKWORM = "bookworm"
    """Debian 12."""
    JAMMY = "jammy"
    """Ubuntu 22.04."""
    NOBLE = "noble"
    """Ubuntu 24.04."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite of a package archive."""

    address: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Where a distribution's packages are published, and who signs them."""

    title: str
    suites: Mapping[str, tuple[Suite, ...]]
    """By architecture."""
    components: tuple[str, ...]
    keyring: Path
    """Of the distribution's own package of keys."""
    keyring_package: str


_DEBIAN: Final = "http://deb.debian.org/debian"
"""Debian's archive (debian.org/mirror/list)."""
_UBUNTU: Final = "http://archive.ubuntu.com/ubuntu"
"""Ubuntu's archive for amd64 (ubuntu.com/server/docs, package management)."""
_UBUNTU_PORTS: Final = "http://ports.ubuntu.com/ubuntu-ports"
"""Ubuntu's archive for every other architecture (the same)."""


def _debian(codename: str) -> tuple[Suite, ...]:
    return (
        Suite(_DEBIAN, codename),
        Suite(_DEBIAN, f"{codename}-updates"),
        Suite(f"{_DEBIAN}-security", f"{codename}-security"),
    )


def _ubuntu(codename: str) -> Mapping[str, tuple[Suite, ...]]:
    return {
        architecture: tuple(Suite(address, f"{codename}{pocket}") for pocket in ("", "-updates", "-security"))
        for architecture, address in (("amd64", _UBUNTU), ("arm64", _UBUNTU_PORTS))
    }


_KEYRINGS: Final = Path("/usr/share/keyrings")
ARCHIVES: Final[Mapping[Distribution, Archive]] = {
    Distribution.BOOKWORM: Archive(
        title="Debian 12",
        suites={"amd64": _debian("bookworm"), "arm64": _debian("bookworm")},
        # ZFS lies in contrib.
        components=("main", "contrib"),
        keyring=_KEYRINGS / "debian-archive-keyring.gpg",
        keyring_package="debian-archive-keyring",
    ),
    Distribution.JAMMY: Archive(
        title="Ubuntu 22.04",
        suites=_ubuntu("jammy"),
        components=("main", "universe"),
        keyring=_KEYRINGS / "ubuntu-archive-keyring.gpg",
        keyring_package="ubuntu-keyring (on Debian: ubuntu-archive-keyring)",
    ),
    Distribution.NOBLE: Archive(
        title="Ubuntu 24.04",
        suites=_ubuntu("noble"),
        components=("main", "universe"),
        keyring=_KEYRINGS / "ubuntu-archive-keyring.gpg",
        keyring_package="ubuntu-keyring (on Debian: ubuntu-archive-keyring)",
    ),
}
"""The archives of every distribution that hosts may run."""


def source_lines(archive: Archive, architecture: str) -> tuple[str, ...]:
    """Return the archive's own sources in apt's one-line format (sources.list(5))."""
    components = " ".join(archive.components)
    return tuple(
        f"deb [signed-by={archive.keyring}] {suite.address} {suite.name} {components}"
        for suite in archive.suites[architecture]
    )
