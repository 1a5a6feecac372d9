"""Images of a registry: manifests, and what to send to be given their blobs.

Protocol: OCI distribution specification 1.1; tokens as Docker's registry documentation has them ("Token authentication
specification").
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlencode

from .errors import ChecksumError, FetchError, RegistryRefusedError
from .layout import INDEX_TYPES, LARGEST_MANIFEST_BYTES, MANIFEST_TYPES, Descriptor
from .references import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .downloads import Client
    from .references import Reference

__all__ = ["Credentials", "Registry", "StoredManifest", "docker_credentials"]

DOCKER_HUB_HOST: Final = "registry-1.docker.io"
"""Where Docker Hub's registry answers (docs.docker.com, registry API)."""
DOCKER_HUB_LOGIN: Final = "https://index.docker.io/v1/"
"""Under this name `docker login` keeps Docker Hub's credentials."""
TOKEN_SECONDS: Final = 60
"""How long a token lasts that does not say so (token authentication specification)."""
TOKEN_MARGIN_SECONDS: Final = 10
"""A token is renewed so long before its end, for requests that are under way."""
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
_LOOPBACK: Final = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?\Z")
"""Registries of this machine itself speak plain HTTP, as for every container runtime."""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Login of one registry."""

    user: str
    password: str

    @property
    def header(self) -> str:
        """Value of an ``Authorization`` header."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest or an index, byte by byte."""

    descriptor: Descriptor
    content: bytes

    @property
    def document(self) -> Mapping[str, object]:
        """What it says."""
        return cast("Mapping[str, object]", json.loads(self.content))


@dataclass(frozen=True, slots=True)
class _Token:
    header: str
    ends: float


def docker_credentials(folder: Path | None = None) -> Mapping[str, Credentials]:
    """Return the logins that `docker login` or `skopeo login` wrote down, by registry; helpers are not asked.

    Parameters
    ----------
    folder
        Holds ``config.json``; ``$DOCKER_CONFIG`` or ``~/.docker`` if none is given.
    """
    place = folder or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        document = cast(
            "Mapping[str, Mapping[str, Mapping[str, str]]]", json.loads((place / "config.json").read_bytes())
        )
        entries = document.get("auths", {})
        found: dict[str, Credentials] = {}
        for name, entry in entries.items():
            user, colon, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
            if colon:
                registry = DOCKER_HUB if name == DOCKER_HUB_LOGIN else name.removeprefix("https://").partition("/")[0]
                found[registry] = Credentials(user, password)
    except (OSError, ValueError, AttributeError):  # none, or none of ours to read
        return {}
    return found


class Registry:
    """All registries, by one client; tokens are kept while they last.

    Parameters
    ----------
    client
        HTTP.
    credentials
        Logins by registry, where one is needed.
    """

    def __init__(self, client: Client, credentials: Mapping[str, Credentials] | None = None) -> None:
        self._client = client
        self._credentials = credentials or {}
        self._tokens: dict[str, _Token] = {}
        self._challenges: dict[str, str] = {}
        self._lock = threading.Lock()

    def manifest(self, reference: Reference, wanted: str) -> StoredManifest:
        """Return the manifest or index `wanted` (a tag or a digest) of the reference's repository.

        Raises
        ------
        RegistryRefusedError
            The registry has none, or gives none to us.
        ChecksumError
            What it gives is not what its digest says.
        FetchError
            It cannot be reached.
        """
        url = f"{_base(reference)}/manifests/{wanted}"
        accept = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
        response = self._client.get(url, {"Accept": accept, **self.headers(reference)})
        if response.status == 401:  # noqa: PLR2004 - it wants to know who asks
            with self._lock:
                self._challenges[reference.name] = response.headers.get("WWW-Authenticate", "")
            response = self._client.get(url, {"Accept": accept, **self.headers(reference)})
        if response.status != 200:  # noqa: PLR2004 - here it is
            raise RegistryRefusedError(str(reference), _refusal(response.status, response.data))
        content = response.data
        actual = hashlib.sha256(content).hexdigest()
        promised = wanted if wanted.startswith("sha256:") else response.headers.get("Docker-Content-Digest")
        if promised is not None and promised != f"sha256:{actual}":
            raise ChecksumError(url, expected=promised.removeprefix("sha256:"), actual=actual)
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        if media_type not in (*INDEX_TYPES, *MANIFEST_TYPES) or len(content) > LARGEST_MANIFEST_BYTES:
            raise RegistryRefusedError(str(reference), f"answers with {media_type or 'something unnamed'}: no image")
        return StoredManifest(Descriptor(media_type, f"sha256:{actual}", len(content)), content)

    def blob_url(self, reference: Reference, digest: str) -> str:
        """Return where a blob of the reference's repository is."""
        return f"{_base(reference)}/blobs/{digest}"

    def headers(self, reference: Reference) -> Mapping[str, str]:
        """Return what to send to read the reference's repository; nothing until its registry asked for something.

        Raises
        ------
        RegistryRefusedError, FetchError
            There is no token to be had.
        """
        with self._lock:
            challenge = self._challenges.get(reference.name)
            if challenge is None:
                return {}
            token = self._tokens.get(reference.name)
            if token is None or token.ends < time.monotonic():
                token = self._authenticate(reference, challenge)
                self._tokens[reference.name] = token
            return {"Authorization": token.header}

    def _authenticate(self, reference: Reference, challenge: str) -> _Token:
        known = self._credentials.get(reference.registry)
        scheme = challenge.partition(" ")[0].lower()
        if scheme == "basic" and known is not None:
            return _Token(known.header, float("inf"))
        asked = dict(_CHALLENGE.findall(challenge))
        if scheme != "bearer" or "realm" not in asked:
            raise RegistryRefusedError(str(reference), "wants a login; log in with `docker login` first")
        query = {"service": asked.get("service", ""), "scope": f"repository:{reference.repository}:pull"}
        url = f"{asked['realm']}?{urlencode(query)}"
        response = self._client.get(url, {} if known is None else {"Authorization": known.header})
        if response.status != 200:  # noqa: PLR2004 - here it is
            raise RegistryRefusedError(str(reference), f"gives no token (HTTP {response.status}); is it private?")
        try:
            document = cast("Mapping[str, object]", json.loads(response.data))
            token = str(document.get("token") or document["access_token"])
            seconds = int(str(document.get("expires_in") or TOKEN_SECONDS))
        except (ValueError, KeyError, AttributeError) as error:
            raise FetchError(url, f"no token in its answer ({type(error).__name__})") from error
        return _Token(f"Bearer {token}", time.monotonic() + max(seconds - TOKEN_MARGIN_SECONDS, 1))


def _base(reference: Reference) -> str:
    host = DOCKER_HUB_HOST if reference.registry == DOCKER_HUB else reference.registry
    return f"{'http' if _LOOPBACK.match(host) else 'https'}://{host}/v2/{reference.repository}"


def _refusal(status: int, body: bytes) -> str:
    """Return why a registry gives nothing, in its own words where it has some."""
    try:
        errors = cast("Mapping[str, list[Mapping[str, object]]]", json.loads(body))["errors"]
        said = "; ".join(f"{error.get('code')}: {error.get('message')}" for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        said = ""
    return f"HTTP {status}{f', {said}' if said else ''}"
