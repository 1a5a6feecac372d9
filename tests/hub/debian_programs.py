"""Programs of Debian's packages that tests of the hub run: a browser, a directory, a database, a time series database.

A test module that needs one says ``pytestmark = needs(SLAPD)``. It runs with ``LAB_TESTS=all`` alone, and there a
program that is missing is a failure, not a reason to skip: ``hub_prepare.py`` installs them all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

__all__ = [
    "CHROMIUM",
    "EVERY",
    "LDAP_TOOLS",
    "POSTGRES",
    "PROMETHEUS",
    "SLAPD",
    "MissingProgramError",
    "Program",
    "needs",
    "path_of",
]

PREPARE: Final = "python tests/hub/hub_prepare.py"


@dataclass(frozen=True)
class Program:
    """A program, and the package that has it."""

    package: str
    places: tuple[str, ...]
    """Where it may be, as patterns from the root; of several, the last is taken."""


CHROMIUM = Program("chromium", ("usr/bin/chromium",))
SLAPD = Program("slapd", ("usr/sbin/slapd",))
LDAP_TOOLS = Program("ldap-utils", ("usr/bin/ldapsearch",))
PROMETHEUS = Program("prometheus", ("usr/bin/prometheus",))
POSTGRES = Program("postgresql", ("usr/lib/postgresql/*/bin/postgres",))
"""Its folder has ``initdb``, ``pg_ctl``, ``pg_dump`` and ``pg_restore``, too."""
EVERY: Final = (CHROMIUM, SLAPD, LDAP_TOOLS, PROMETHEUS, POSTGRES)


class MissingProgramError(AssertionError):
    """A program that every complete run has is not there."""

    def __init__(self, program: Program) -> None:
        super().__init__(f"no {program.places[-1]}: run {PREPARE}, which installs {program.package}")


def path_of(program: Program) -> Path:
    """Return where a program is."""
    found = [path for place in program.places for path in sorted(Path("/").glob(place))]
    if not found:
        raise MissingProgramError(program)
    return found[-1]


def needs(*programs: Program) -> pytest.MarkDecorator:
    """Return the mark of tests that run these programs."""
    names = ", ".join(program.package for program in programs)
    return pytest.mark.skipif(os.environ.get("LAB_TESTS") != "all", reason=f"runs {names}: needs LAB_TESTS=all")
