"""A folder looked at, made and mended."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from labctl.engine.state.backend import META, META_KEY
from labctl.engine.state.bucket import make_private_folder
from labctl.engine.state.exceptions import StateWriteError

from .findings import Check, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from labctl.engine.state.backend import FileBackend

__all__ = ["FolderSetup"]

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
"""Permissions of everybody but the owner."""
SHOWN: Final = 3
"""Paths that a finding names; the number says how many more there are."""


class FolderSetup:
    """The folder of a backend."""

    def __init__(self, backend: FileBackend) -> None:
        self._bucket = backend.bucket
        self._root = backend.root

    def exists(self) -> bool:
        """Tell whether there is such a folder."""
        return self._root.is_dir()

    def create(self) -> None:
        """Make it, for its owner only."""
        try:
            make_private_folder(self._root)
        except OSError as error:
            raise StateWriteError(str(self._root), error.strerror or str(error)) from error

    def empty(self) -> bool:
        """Tell whether nothing is in it."""
        return not any(self._root.iterdir())

    def findings(self) -> tuple[Finding, ...]:
        """Return what differs from how it should be; nothing is written.

        Raises
        ------
        StateWriteError
            There is no such folder.
        """
        if not self.exists():
            raise StateWriteError(str(self._root), "there is no such folder; make it: labctl backend init URL")
        return (self._owner(), self._permissions(), self._layout())

    def mend(self, findings: Sequence[Finding], tell: Callable[[str], None]) -> None:
        """Put right what `findings` say differs; permissions are only ever taken away."""
        for finding in findings:
            if finding.verdict is not Verdict.DIFFERS:
                continue
            tell(f"{finding.check}: {finding.remedy}")
            if finding.check is Check.LAYOUT:
                self._bucket.write(META_KEY, META)
                continue
            for path, mode in self._open():
                try:
                    path.chmod(mode & ~OTHERS)
                except OSError as error:
                    raise StateWriteError(str(path), error.strerror or str(error)) from error

    def _parts(self) -> Iterator[Path]:
        """Yield the folder and what of the state is in it; what else lies there is not ours."""
        yield self._root
        state = self._root / ".pulumi"
        if state.is_dir():
            yield from (state, *sorted(state.rglob("*")))

    def _open(self) -> list[tuple[Path, int]]:
        modes = ((path, stat.S_IMODE(path.lstat().st_mode)) for path in self._parts() if not path.is_symlink())
        return [(path, mode) for path, mode in modes if mode & OTHERS]

    def _owner(self) -> Finding:
        foreign = [path for path in self._parts() if path.lstat().st_uid != os.geteuid()]
        if not foreign:
            return Finding(check=Check.OWNER, verdict=Verdict.GOOD, found="this account")
        remedy = "give it to the account that runs labctl (chown), or run as its owner"
        return Finding(check=Check.OWNER, verdict=Verdict.BY_HAND, found=f"another's: {_named(foreign)}", remedy=remedy)

    def _permissions(self) -> Finding:
        open_ = [path for path, _ in self._open()]
        if not open_:
            return Finding(check=Check.PERMISSIONS, verdict=Verdict.GOOD, found="for its owner only")
        remedy = "take the permissions of group and others away (0700, 0600)"
        found = f"open to others: {_named(open_)}"
        return Finding(check=Check.PERMISSIONS, verdict=Verdict.DIFFERS, found=found, remedy=remedy)

    def _layout(self) -> Finding:
        meta = self._bucket.read(META_KEY)
        if meta is None:
            remedy = "write .pulumi/meta.yaml"
            return Finding(check=Check.LAYOUT, verdict=Verdict.DIFFERS, found="no .pulumi/meta.yaml", remedy=remedy)
        if meta.strip() != META.strip():
            remedy = "only `version: 1` is known here; see which CLI writes there"
            return Finding(check=Check.LAYOUT, verdict=Verdict.BY_HAND, found="another version", remedy=remedy)
        return Finding(check=Check.LAYOUT, verdict=Verdict.GOOD, found="version 1, stacks by project")


def _named(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(map(str, paths[:SHOWN])) + more
