"""A kubeconfig's active context as what a client needs; the rest of the file is not looked at."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from labctl.graph.values import as_mapping, as_text

from .documents import MalformedDocumentError, parsed
from .exceptions import KubeconfigError, NoKubeconfigError, UnsupportedAuthenticationError

if TYPE_CHECKING:
    from labctl.graph.values import Inputs

__all__ = ["Access", "Kubeconfig", "Overrides"]

LONGEST_PATH: Final = 4096
"""Characters (Linux ``PATH_MAX``): a longer text is contents, not a path."""

REFUSED_USER_FIELDS: Final = ("exec", "auth-provider", "username", "as")
"""Ways to authenticate that need a helper program or that Kubernetes dropped."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where an API server is and how to speak to it."""

    server: str
    """URL, for example ``https://127.0.0.1:6443``."""
    certificate_authority: bytes | None = None
    """PEM; None: the system's authorities."""
    client_certificate: bytes | None = None
    client_key: bytes | None = None
    token: str = ""
    token_file: Path | None = None
    tls_server_name: str = ""
    verifies: bool = True
    """False only where the kubeconfig itself says ``insecure-skip-tls-verify``."""
    namespace: str = "default"

    def __repr__(self) -> str:
        return f"Access(server={self.server!r})"


@dataclass(frozen=True)
class Overrides:
    """What the Provider resource chooses within the kubeconfig."""

    context: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class Kubeconfig:
    """A parsed kubeconfig."""

    content: Inputs
    text: str
    folder: Path
    """Relative paths in the file start here."""

    @classmethod
    def load(cls, text_or_path: str, project: Path) -> Kubeconfig:
        """Return the kubeconfig given by its contents or by its path; a relative path starts at `project`.

        Raises
        ------
        NoKubeconfigError, KubeconfigError
            Empty; unreadable; not a kubeconfig.
        """
        if not text_or_path.strip():
            raise NoKubeconfigError
        text, folder = text_or_path, project
        if "\n" not in text_or_path and len(text_or_path) < LONGEST_PATH and not text_or_path.startswith("{"):
            path = project / Path(text_or_path).expanduser()
            try:
                text, folder = path.read_text(encoding="utf-8"), path.parent
            except OSError as error:
                reason = error.strerror or "unreadable"
                raise KubeconfigError(
                    what=f"{path}: {reason}", remedy="start the cluster, or correct the path"
                ) from error
        return cls(cls._parsed(text), text, folder)

    @staticmethod
    def _parsed(text: str) -> Inputs:
        try:
            loaded = parsed(text)
        except MalformedDocumentError as error:
            raise KubeconfigError(what=str(error), remedy="give the whole text of a kubeconfig") from error
        if not isinstance(loaded, dict) or not isinstance(loaded.get("clusters"), list):
            raise KubeconfigError(what="it has no list of clusters", remedy="give the whole text of a kubeconfig")
        return loaded

    def _named(self, collection: str, name: str) -> Inputs | None:
        entries = self.content.get(collection)
        for entry in entries if isinstance(entries, list) else []:
            fields = as_mapping(entry)
            if fields.get("name") == name:
                return as_mapping(fields.get(collection.removesuffix("s")))
        return None

    def _context(self, overrides: Overrides) -> Inputs | None:
        return self._named("contexts", overrides.context or as_text(self.content.get("current-context")))

    def active_cluster(self, overrides: Overrides) -> Inputs | None:
        """Return the cluster entry in use, or None when there is none (official: ``getActiveClusterFromConfig``)."""
        context = self._context(overrides)
        if context is None:
            return None
        return self._named("clusters", overrides.cluster or as_text(context.get("cluster")))

    def access(self, overrides: Overrides) -> Access:
        """Return how to reach the active cluster.

        Raises
        ------
        KubeconfigError, UnsupportedAuthenticationError
            No such context, cluster or user; a file that is not there; an unsupported way to authenticate.
        """
        context, cluster = self._context(overrides), self.active_cluster(overrides)
        if context is None or cluster is None or not as_text(cluster.get("server")):
            name = overrides.context or as_text(self.content.get("current-context"), "(none)")
            raise KubeconfigError(
                what=f"context {name!r} leads to no cluster", remedy="correct current-context or its cluster"
            )
        user = self._named("users", as_text(context.get("user"))) or {}
        for field in REFUSED_USER_FIELDS:
            if user.get(field):
                raise UnsupportedAuthenticationError(field=f"users[].user.{field}")
        if cluster.get("proxy-url"):
            raise UnsupportedAuthenticationError(field="clusters[].cluster.proxy-url")
        token_file = as_text(user.get("tokenFile"))
        return Access(
            server=as_text(cluster["server"]).rstrip("/"),
            certificate_authority=self._bytes(cluster, "certificate-authority"),
            client_certificate=self._bytes(user, "client-certificate"),
            client_key=self._bytes(user, "client-key"),
            token=as_text(user.get("token")),
            token_file=self.folder / token_file if token_file else None,
            tls_server_name=as_text(cluster.get("tls-server-name")),
            verifies=cluster.get("insecure-skip-tls-verify") is not True,
            namespace=as_text(context.get("namespace")) or "default",
        )

    def _bytes(self, fields: Inputs, key: str) -> bytes | None:
        """Return a credential given inline (``<key>-data``, base64) or by path (``<key>``)."""
        inline, path = as_text(fields.get(f"{key}-data")), as_text(fields.get(key))
        if inline:
            try:
                return base64.b64decode(inline, validate=True)
            except binascii.Error as error:
                raise KubeconfigError(what=f"{key}-data is not base64", remedy="write the kubeconfig anew") from error
        if not path:
            return None
        try:
            return (self.folder / path).read_bytes()
        except OSError as error:
            raise KubeconfigError(what=f"{key} {path}: {error.strerror}", remedy="correct the path") from error
