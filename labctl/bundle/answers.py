"""What the mirror answers, as a pure function of a request and the folder: no sockets here."""

from __future__ import annotations

import email.utils
import json
import mimetypes
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote, urlsplit

from .ranges import Part, part_of
from .references import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .layout import Descriptor, ImageLayout

__all__ = ["Answer", "FilePart", "Request", "answer"]

SERVED: Final = ("files", "apt", "charts", "bundle.lock.json")
"""What of the folder is served as files. Images are served as a registry; the key that signs packages never is."""
API_VERSION: Final = ("Docker-Distribution-Api-Version", "registry/2.0")
"""Header by which older clients know a registry (Docker Registry HTTP API V2)."""
_REGISTRY: Final = re.compile(r"/v2/(?P<name>[^?]+?)/(?P<what>manifests|blobs|tags)/(?P<reference>[^/]+)\Z")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as far as it matters."""

    method: str
    target: str
    """Path and query, as they came."""
    headers: Mapping[str, str]
    """Names in lower case."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes of a file that are the body."""

    path: Path
    part: Part


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (without Content-Length, which `length` says) and body. A HEAD has the same, body unsent."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]
    body: bytes | FilePart

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.part.length


def answer(request: Request, folder: Path, layout: ImageLayout) -> Answer:
    """Return what the mirror of `folder` says to `request`; `layout` is its folder of images."""
    parts = urlsplit(request.target)
    path = unquote(parts.path)
    if request.method not in {"GET", "HEAD"}:
        return _error(
            HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", "this registry is read-only", ("Allow", "GET, HEAD")
        )
    if path in {"/v2", "/v2/"}:
        return _json(HTTPStatus.OK, {}, API_VERSION)
    if path.startswith("/v2/"):
        namespace = parse_qs(parts.query).get("ns", [None])[0]
        return _registry(request, path, namespace, layout)
    return _static(request, path, folder)


def _registry(request: Request, path: str, namespace: str | None, layout: ImageLayout) -> Answer:
    images = layout.images()
    if path == "/v2/_catalog":
        return _json(HTTPStatus.OK, {"repositories": sorted({_repository(key) for key in images})}, API_VERSION)
    found = _REGISTRY.match(path)
    if found is None:
        return _error(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", f"no repository at {path}")
    name, what, reference = found["name"], found["what"], found["reference"]
    repositories = _candidates(name, namespace, images)
    if what == "tags":
        tags = sorted(
            key.removeprefix(f"{repository}:")
            for repository in repositories
            for key in images
            if key.startswith(f"{repository}:")
        )
        if not tags:
            return _error(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", f"no repository {name} in this bundle")
        return _json(HTTPStatus.OK, {"name": name, "tags": tags}, API_VERSION)
    if what == "blobs":
        return _blob(request, reference, layout)
    return _manifest(request, reference, repositories, layout)


def _manifest(request: Request, reference: str, repositories: tuple[str, ...], layout: ImageLayout) -> Answer:
    images = layout.images()
    tagged = next((images[key] for name in repositories if (key := f"{name}:{reference}") in images), None)
    digest = tagged.digest if tagged is not None else reference
    media_type = tagged.media_type if tagged is not None else layout.media_type(reference)
    path = layout.blob(digest)
    if media_type is None or path is None or not path.is_file():
        return _error(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", f"no manifest {reference} of it in this bundle")
    return _file(request, path, media_type, (API_VERSION, ("Docker-Content-Digest", digest), ("ETag", f'"{digest}"')))


def _blob(request: Request, digest: str, layout: ImageLayout) -> Answer:
    path = layout.blob(digest)
    if path is None:
        return _error(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", f"{digest} is no sha256 digest")
    if not path.is_file():
        return _error(HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN", f"no blob {digest} in this bundle")
    return _file(
        request,
        path,
        "application/octet-stream",
        (API_VERSION, ("Docker-Content-Digest", digest), ("ETag", f'"{digest}"')),
    )


def _candidates(name: str, namespace: str | None, images: Mapping[str, Descriptor]) -> tuple[str, ...]:
    """Return the full repositories that `name` may mean, the likeliest first.

    A container runtime names the registry it wanted in ``?ns=``; a person puts it into the path, or leaves it out
    where it is clear.
    """
    if namespace is not None:
        registry = DOCKER_HUB if namespace in {"registry-1.docker.io", "index.docker.io"} else namespace
        return (f"{registry}/{name}",)
    known = {_repository(key) for key in images}
    if name in known:
        return (name,)
    meant = [repository for repository in known if repository.partition("/")[2] == name]
    return tuple(meant) if len(meant) == 1 else ()


def _repository(key: str) -> str:
    """Return registry and repository of a full reference."""
    path = key.partition("@")[0]
    head, colon, tail = path.rpartition(":")
    return head if colon and "/" not in tail else path


def _static(request: Request, path: str, folder: Path) -> Answer:
    # apt asks for /apt/bookworm/./InRelease: the dot of its source's own line.
    steps = [step for step in path.strip("/").split("/") if step != "."]
    if not steps or steps[0] not in SERVED or any(step.startswith(".") or not step for step in steps):
        return _error(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"{path} is not served")
    file = folder.joinpath(*steps)
    if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
        return _error(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"{path} is not in this bundle")
    kind, _ = mimetypes.guess_type(file.name)
    return _file(request, file, kind or "application/octet-stream", ())


def _file(request: Request, path: Path, media_type: str, extra: tuple[tuple[str, str], ...]) -> Answer:
    status = path.stat()
    modified = email.utils.formatdate(int(status.st_mtime), usegmt=True)
    headers = (("Content-Type", media_type), ("Accept-Ranges", "bytes"), ("Last-Modified", modified), *extra)
    whole = FilePart(path, Part(0, status.st_size))
    marks = {modified, *(value for name, value in extra if name == "ETag")}
    if request.headers.get("if-modified-since") == modified:
        return Answer(HTTPStatus.NOT_MODIFIED, headers, b"")
    condition = request.headers.get("if-range")
    if condition is not None and condition not in marks:  # it is another file by now: all of it
        return Answer(HTTPStatus.OK, headers, whole)
    try:
        part = part_of(request.headers.get("range"), status.st_size)
    except ValueError:
        return Answer(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, (("Content-Range", f"bytes */{status.st_size}"),), b""
        )
    if part is None:
        return Answer(HTTPStatus.OK, headers, whole)
    return Answer(
        HTTPStatus.PARTIAL_CONTENT,
        (*headers, ("Content-Range", part.content_range(status.st_size))),
        FilePart(path, part),
    )


def _json(status: HTTPStatus, document: object, *headers: tuple[str, str]) -> Answer:
    return Answer(status, (("Content-Type", "application/json"), *headers), json.dumps(document).encode())


def _error(status: HTTPStatus, code: str, message: str, *headers: tuple[str, str]) -> Answer:
    """Return an error in the shape of the OCI distribution specification."""
    return _json(status, {"errors": [{"code": code, "message": message, "detail": None}]}, API_VERSION, *headers)
