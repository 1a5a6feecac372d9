"""A flat apt repository: packages beside their index, signed with a key made for this bundle.

Format: Debian wiki, "DebianRepository/Format" (flat repository format); sources.list(5).
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .errors import ProgramMissingError, SigningFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .packages import Package

__all__ = ["KEY_FILE", "Signer", "release_text", "write_repository"]

KEY_FILE: Final = "key.asc"
"""The public key, beside the repositories of all distributions."""
OWNER: Final = "research-compute bundle"
"""User id of the key; it has no address because nobody writes to it."""
GPG_SECONDS: Final = 120
"""A key is made and a text signed in under a second; this only ends a gpg that hangs."""


class Signer:
    """A key of its own for one bundle, made when it is first needed and kept with it, so that hosts go on trusting it.

    Parameters
    ----------
    folder
        Holds the private key, for its owner alone; never served.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def public_key(self) -> str:
        """Return the public key, ASCII-armoured."""
        return self._with_key("--armor", "--export", f"={OWNER}", given="")

    def sign(self, text: str) -> str:
        """Return `text` with its signature around it: an InRelease file."""
        return self._with_key("--clearsign", "--digest-algo", "SHA512", "--local-user", f"={OWNER}", given=text)

    def _with_key(self, *arguments: str, given: str) -> str:
        if shutil.which("gpg") is None:
            raise ProgramMissingError(program="gpg", remedy="install its package: it signs the bundle")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # gpg's agent listens on a socket in this folder, whose path may have 107 bytes at most.
        with tempfile.TemporaryDirectory(prefix="bundle-gpg-") as home:
            private = self._folder / "private.asc"
            try:
                if private.is_file():
                    _gpg(home, "--import", str(private))
                else:
                    _gpg(home, "--passphrase", "", "--quick-generate-key", OWNER, "ed25519", "sign", "never")
                    secret = _gpg(home, "--passphrase", "", "--armor", "--export-secret-keys", f"={OWNER}")
                    draft = self._folder / ".private.asc.new"
                    draft.touch(mode=0o600)
                    draft.write_text(secret, encoding="ascii")
                    draft.replace(private)
                return _gpg(home, *arguments, given=given)
            finally:
                subprocess.run(  # noqa: S603 - the agent that gpg itself started for this folder
                    ["gpgconf", "--homedir", home, "--kill", "all"],  # noqa: S607 - beside gpg, wherever that is
                    check=False,
                    capture_output=True,
                    timeout=GPG_SECONDS,
                )


def _gpg(home: str, *arguments: str, given: str = "") -> str:
    finished = subprocess.run(  # noqa: S603 - arguments given one by one
        ["gpg", "--homedir", home, "--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback", *arguments],  # noqa: S607
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        timeout=GPG_SECONDS,
    )
    if finished.returncode != 0:
        raise SigningFailedError(finished.stderr)
    return finished.stdout


def write_repository(
    folder: Path, packages: Iterable[Package], *, codename: str, dates: Iterable[str], signer: Signer
) -> None:
    """Write index, Release and signature of the packages whose files are in `folder`, and their key one above it.

    The same packages give the same index, byte by byte; other package files of an earlier run are deleted.

    Parameters
    ----------
    folder
        Holds the package files by their names.
    packages
        What the index is to have: all of the repository.
    codename
        The distribution's.
    dates
        Dates of the archive's own indices; the repository is as old as the newest of them.
    signer
        The bundle's key.
    """
    ordered = sorted(packages, key=lambda package: package.file_name)
    kept = {package.file_name for package in ordered}
    for path in folder.glob("*.deb"):
        if path.name not in kept:
            path.unlink()
    index = "\n".join(str(package.stanza.with_field("Filename", f"./{package.file_name}")) for package in ordered)
    files = {"Packages": index.encode(), "Packages.gz": gzip.compress(index.encode(), mtime=0)}
    architectures = sorted({package.stanza["Architecture"] for package in ordered} - {"all"})
    release = release_text(codename=codename, architectures=architectures, date=_newest(dates), files=files)
    signed = signer.sign(release)
    for name, content in {**files, "Release": release.encode(), "InRelease": signed.encode()}.items():
        _write(folder / name, content)
    _write(folder.parent / KEY_FILE, signer.public_key().encode())


def release_text(*, codename: str, architectures: Iterable[str], date: str, files: dict[str, bytes]) -> str:
    """Return a Release file of the index files `files`. Pure."""
    lines = [
        "Origin: research-compute",
        "Label: research-compute bundle",
        f"Suite: {codename}",
        f"Codename: {codename}",
        f"Date: {date}",
        f"Architectures: {' '.join(architectures)}",
        "SHA256:",
        *(f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}" for name, content in sorted(files.items())),
    ]
    return "\n".join(lines) + "\n"


def _newest(dates: Iterable[str]) -> str:
    return format_datetime(max(parsedate_to_datetime(date) for date in dates), usegmt=True)


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.write_bytes(content)
    Path(draft).replace(path)
