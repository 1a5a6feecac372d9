"""Image references as people and charts write them, made complete."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .errors import MalformedReferenceError

__all__ = ["Reference", "parse_reference"]

DOCKER_HUB: Final = "docker.io"
"""The registry of a reference that names none (github.com/distribution/reference, normalize.go)."""
_OFFICIAL: Final = "library"
"""Docker Hub's folder of an image that names none (the same)."""
_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:(?:[._]|__|[-]+|/)[a-z0-9]+)*\Z")
_TAG: Final = re.compile(r"\w[\w.-]{0,127}\Z", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """One image of one registry."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def key(self) -> str:
        """Name and tag; name and digest where there is no tag. What a layout's index knows the image by."""
        return f"{self.name}:{self.tag}" if self.tag else f"{self.name}@{self.digest}"

    @property
    def wanted(self) -> str:
        """What a registry is asked for: the digest where it is known, else the tag."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        return f"{self.key}@{self.digest}" if self.tag and self.digest else self.key


def parse_reference(text: str) -> Reference:
    """Return the image that `text` names, with the defaults that every container runtime fills in.

    Examples
    --------
    >>> str(parse_reference("busybox"))
    'docker.io/library/busybox:latest'

    Raises
    ------
    MalformedReferenceError
        If it is no image reference.
    """
    rest, _, digest = text.partition("@")
    first, slash, remainder = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, remainder
    else:
        registry, path = DOCKER_HUB, rest
    repository, _, tag = path.partition(":")
    if registry in {DOCKER_HUB, "index.docker.io"}:
        registry = DOCKER_HUB
        repository = repository if "/" in repository else f"{_OFFICIAL}/{repository}"
    if (
        not _REPOSITORY.match(repository)
        or (tag and not _TAG.match(tag))
        or ("@" in text and not _DIGEST.match(digest))
        or (":" in path and not tag)
    ):
        raise MalformedReferenceError(text)
    return Reference(registry, repository, tag or (None if digest else "latest"), digest or None)
