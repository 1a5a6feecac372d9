"""Failures of making and serving a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "AptFailedError",
    "BundleError",
    "ChartFetchError",
    "ChecksumError",
    "DiskFullError",
    "FetchError",
    "FolderBusyError",
    "IncompleteError",
    "KeyringMissingError",
    "ListenError",
    "MalformedLayoutError",
    "MalformedReferenceError",
    "MalformedSourceError",
    "NoBundleError",
    "ProgramMissingError",
    "RegistryRefusedError",
    "SigningFailedError",
]


class BundleError(LabError):
    """Something that keeps a bundle from being made or served."""


class MalformedReferenceError(BundleError):
    """A text that should name an image and does not."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no image reference; one is like registry.k8s.io/pause:3.10")


class MalformedLayoutError(BundleError):
    """A folder that should be an OCI image layout and is not."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}; delete the folder of images and fetch them again")


class NoBundleError(BundleError):
    """There is no folder to serve."""

    exit_code = ExitCode.USAGE

    def __init__(self, folder: Path) -> None:
        super().__init__(f"there is no folder {folder}; make it with: labctl bundle --stack STACK --into {folder}")


class ListenError(BundleError):
    """An address that cannot be listened on."""

    exit_code = ExitCode.USAGE

    def __init__(self, listen: str, reason: str) -> None:
        super().__init__(f"cannot listen on {listen}: {reason}; give HOST:PORT of this machine, such as 127.0.0.1:8080")


class FetchError(BundleError):
    """Something that cannot be had from where it is published."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.reason = reason


class ChartFetchError(BundleError):
    """A chart that cannot be had from where it is published."""

    def __init__(self, repository: str, *, reason: str) -> None:
        super().__init__(f"{repository}: {reason}")


class ChecksumError(BundleError):
    """Something that came, and is not what was wanted."""

    def __init__(self, url: str, *, expected: str, actual: str) -> None:
        super().__init__(f"{url} is not what is pinned: expected sha256 {expected}, got {actual}; it was not kept")


class DiskFullError(BundleError):
    """No room for a file."""

    def __init__(self, path: Path, free_bytes: int) -> None:
        super().__init__(
            f"no room for {path}: {free_bytes / 1024**2:.0f} MiB are free; make room and run this again, it goes on "
            "from here"
        )


class RegistryRefusedError(BundleError):
    """A registry that does not give an image."""

    def __init__(self, reference: str, reason: str) -> None:
        super().__init__(f"{reference}: {reason}")


class ProgramMissingError(BundleError):
    """A program of this machine that is needed and absent."""

    def __init__(self, *, program: str, remedy: str) -> None:
        super().__init__(f"there is no {program} on this machine; {remedy}")


class KeyringMissingError(BundleError):
    """The keys of a distribution's archive are not on this machine."""

    def __init__(self, keyring: Path, package: str) -> None:
        super().__init__(
            f"there is no {keyring}, so its packages could not be verified; install the package {package}, or name "
            "other sources with --apt-source, with signed-by and keys of theirs"
        )


class AptFailedError(BundleError):
    """Apt does not say what a distribution's hosts need."""

    def __init__(self, distribution: str, said: str) -> None:
        lines = [line for line in said.splitlines() if line.startswith(("E:", "W:"))] or said.splitlines()
        super().__init__(f"apt, asked about {distribution}: {'; '.join(lines[-6:]) or 'no reason given'}")


class SigningFailedError(BundleError):
    """Gpg does not make the key, or does not sign."""

    def __init__(self, said: str) -> None:
        super().__init__(f"gpg: {said.strip() or 'no reason given'}")


class FolderBusyError(BundleError):
    """Another process is filling the folder."""

    exit_code = ExitCode.LOCKED

    def __init__(self, folder: Path) -> None:
        super().__init__(f"another process is filling {folder}; wait for it, or stop it")


class IncompleteError(BundleError):
    """A bundle that lacks something; what it lacks was shown already."""

    exit_code = ExitCode.INCOMPLETE

    def __init__(self, *, missing: int, folder: Path) -> None:
        super().__init__(
            f"{missing} of the bundle's parts are missing from {folder}; run the same command again, it goes on from "
            "here, on another machine too if the folder is carried there"
        )


class MalformedSourceError(BundleError):
    """A package source that is not understood."""

    exit_code = ExitCode.USAGE

    def __init__(self, text: str, known: tuple[str, ...]) -> None:
        super().__init__(
            f"--apt-source {text!r} is not CODENAME=LINE, with a codename of {', '.join(known)} and a line of "
            "sources.list: bookworm='deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
            "http://mirror.lab.example.org/debian bookworm main'"
        )
