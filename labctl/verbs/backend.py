"""``labctl backend``: where the state is, as it should be."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.table import Table

from labctl.engine.state import S3Backend, open_backend
from labctl.engine.state.setup import check_backend, init_backend
from labctl.errors import LabError
from labctl.exit_codes import ExitCode
from labctl.lab import backend_url, find_root

from .session import error_console, output_console, print_json, teller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.engine.state import Backend
    from labctl.engine.state.setup import Finding
    from labctl.graph.values import Plain

__all__ = ["UnhealthyBackendError", "backend_check", "backend_init"]


class UnhealthyBackendError(LabError):
    """A backend is not as it should be; every finding was shown."""

    exit_code = ExitCode.UNHEALTHY

    def __init__(self, *, place: str, count: int, remedy: str | None) -> None:
        way = f"; `{remedy}` puts right what is marked `differs`" if remedy else ""
        many = "one thing is not as it should be" if count == 1 else f"{count} things are not as they should be"
        super().__init__(f"{place}: {many}{way}")


def backend_init(url: str | None, *, fix: bool, as_json: bool) -> None:
    """Make the backend `url` if there is none, mend it with `fix`, and print how it is then.

    Raises
    ------
    UnhealthyBackendError
        Something is still not as it should be.
    """
    backend = _opened(url)
    prepared = init_backend(backend, fix=fix, tell=teller(error_console()))
    _show(backend, prepared.findings, url, as_json=as_json, created=prepared.created)


def backend_check(url: str | None, *, as_json: bool) -> None:
    """Print how the backend `url` is, the project's own without one; nothing is written.

    Raises
    ------
    UnhealthyBackendError
        Something is not as it should be.
    """
    backend = _opened(url)
    _show(backend, check_backend(backend), url, as_json=as_json, created=False)


def _opened(url: str | None) -> Backend:
    """Return the backend of an argument, or the project's; a folder's path counts from the project."""
    root = find_root()
    return open_backend(url or backend_url(root), root)


def _place(backend: Backend) -> str:
    """Return what the backend is called: what follows a question mark is about how to reach it."""
    return backend.location.place if isinstance(backend, S3Backend) else backend.url


def _show(backend: Backend, findings: Sequence[Finding], url: str | None, *, as_json: bool, created: bool) -> None:
    place = _place(backend)
    wrong = [finding for finding in findings if finding.wrong]
    if as_json:
        shapes: list[Plain] = [
            {
                "check": finding.check.value,
                "verdict": finding.verdict.value,
                "found": finding.found,
                "remedy": finding.remedy,
            }
            for finding in findings
        ]
        print_json({"backend": place, "created": created, "healthy": not wrong, "findings": shapes})
    else:
        table = Table("setting", "verdict", "found", "what would be right", title=place)
        for finding in findings:
            table.add_row(finding.check.value, finding.verdict.value, finding.found, finding.remedy)
        output_console().print(table)
    if wrong:
        mendable = any(finding.verdict.value == "differs" for finding in wrong)
        mend = f"labctl backend init --fix{'' if url is None else f' {shlex.quote(url)}'}"
        raise UnhealthyBackendError(place=place, count=len(wrong), remedy=mend if mendable else None)
