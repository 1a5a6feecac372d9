"""Versions as programs print them, and whether one may stand in for another. Pure."""

import re

from .pins import VersionFit

__all__ = ["fits", "parse_go_version", "parse_version"]

Version = tuple[int, int, int]

_VERSION = re.compile(r"(?<![\w.])v?(\d+)\.(\d+)\.(\d+)(?P<suffix>[-.\w]*)")
_GO_VERSION = re.compile(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?(?P<suffix>[a-z]\w*)?")


def parse_version(output: str) -> Version | None:
    """Return the first complete release version in what a program printed.

    A version with a suffix (``v0.0.0-master``, ``1.36.0-rc.1``, a distributor's ``-dispatcher``) counts as none: nobody
    knows what it holds. Build metadata (``+g1234``) is ignored, as Semantic Versioning says.
    """
    match = _VERSION.search(output)
    if match is None or match["suffix"].strip("."):
        return None
    return int(match[1]), int(match[2]), int(match[3])


def parse_go_version(output: str) -> Version | None:
    """Return the version in what ``go version`` printed, e.g. ``go version go1.26.3 linux/amd64``; None for a beta."""
    match = _GO_VERSION.search(output)
    if match is None or match["suffix"]:
        return None
    return int(match[1]), int(match[2]), int(match[3] or 0)


def fits(found: Version | None, wanted: str, fit: VersionFit) -> bool:
    """Return whether a program of version `found` may stand in for the pinned `wanted` (``1.36.3``)."""
    pinned = parse_version(wanted)
    if found is None or pinned is None or fit is VersionFit.NONE:
        return False
    if fit is VersionFit.MINOR:
        return found[:2] == pinned[:2]
    return found[0] == pinned[0] and found[1:] >= pinned[1:]
