"""One way to look at and to prepare a backend, whatever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.engine.state.backend import FileBackend, S3Backend
from labctl.engine.state.exceptions import BackendUrlError

from .findings import Check, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.engine.state.backend import Backend

    from .bucket import BucketSetup
    from .findings import Finding
    from .folder import FolderSetup

__all__ = ["Prepared", "check_backend", "init_backend"]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """How a backend is after `init_backend`."""

    created: bool
    findings: tuple[Finding, ...]


def _setup(backend: Backend) -> BucketSetup | FolderSetup:
    if isinstance(backend, S3Backend):
        from .bucket import BucketSetup  # noqa: PLC0415 - only who has a bucket pays for it

        return BucketSetup(backend)
    if isinstance(backend, FileBackend):
        from .folder import FolderSetup  # noqa: PLC0415 - and for this

        return FolderSetup(backend)
    raise BackendUrlError(backend.url)


def check_backend(backend: Backend) -> tuple[Finding, ...]:
    """Return how the backend is, setting by setting; nothing is written.

    Raises
    ------
    StateError
        It does not exist, or cannot be looked at.
    """
    return _setup(backend).findings()


def init_backend(backend: Backend, *, fix: bool, tell: Callable[[str], None]) -> Prepared:
    """Make the backend if there is none, and return how it is then.

    One that is there is mended only with `fix`, and one in which nothing was ever put as if it were new: a run that was
    cut off is ended by the next. Nothing is loosened, and nothing of anybody's is replaced.

    Raises
    ------
    StateError
        It cannot be made, looked at or changed.
    """
    setup = _setup(backend)
    created = not setup.exists()
    if created:
        tell("it does not exist yet: making it")
        setup.create()
    findings = setup.findings()
    if created or fix or setup.empty():
        setup.mend(findings, tell)
        findings = setup.findings()
    layout = next(finding for finding in findings if finding.check is Check.LAYOUT)
    if isinstance(backend, S3Backend) and layout.verdict is Verdict.GOOD:
        from .bucket import BucketSetup  # noqa: PLC0415 - only who has a bucket pays for it

        findings = (*findings, BucketSetup(backend).conditional_writes())
    return Prepared(created=created, findings=findings)
