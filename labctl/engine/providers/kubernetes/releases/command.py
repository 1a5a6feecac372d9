"""Running helm: a private home, a kubeconfig that exists only while it runs, secrets by standard input."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import tempfile
import time
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from labctl.engine.providers.kubernetes.exceptions import KubernetesError
from labctl.graph.values import Inputs, Value, as_mapping

from .charts import ChartKind, ChartReference
from .exceptions import ChartUnreachableError, HelmFailedError, HelmUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from threading import Event

    from labctl.engine.providers.kubernetes.kubeconfig import Access

__all__ = ["Credentials", "HelmCommand"]

POLL_SECONDS: Final = 0.2
"""How soon a running helm notices that the person asked to stop."""
GRACE_SECONDS: Final = 20.0
"""Between the request to stop, on which helm marks the release as failed, and the end of its process."""
MESSAGE_LINES: Final = 12
"""Of helm's standard error, the last ones hold the reason."""

PASSED_ON: Final = (
    "PATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TMPDIR",
)
"""Environment that helm may see: how to reach the network, and nothing that names somebody's cluster."""


@dataclass(frozen=True)
class Credentials:
    """What a chart repository asks for."""

    username: str = ""
    password: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    @classmethod
    def of(cls, options: Mapping[str, Value]) -> Credentials:
        """Return the credentials in opened ``repositoryOpts``."""
        texts = {key: value for key, value in options.items() if isinstance(value, str)}
        return cls(
            texts.get("username", ""),
            texts.get("password", ""),
            texts.get("caFile", ""),
            texts.get("certFile", ""),
            texts.get("keyFile", ""),
        )

    def __repr__(self) -> str:
        return f"Credentials({self.username!r})"

    @property
    def flags(self) -> list[str]:
        """The flags that may be seen in a list of processes: files, no password."""
        files = {"--ca-file": self.ca_file, "--cert-file": self.cert_file, "--key-file": self.key_file}
        return [part for flag, path in files.items() if path for part in (flag, path)]


class HelmCommand:
    """One helm executable and one cluster; thread-safe.

    Parameters
    ----------
    helm
        Returns the executable; called when first needed.
    access
        Returns how to reach the cluster.
    work
        Folder for helm's home and for fetched charts.
    """

    def __init__(self, *, helm: Callable[[], Path], access: Callable[[], Access], work: Path) -> None:
        self._helm = helm
        self._access = access
        self._work = work

    def executable(self) -> Path:
        """Return helm. Raises `HelmUnavailableError`."""
        try:
            return self._helm()
        except KubernetesError:
            raise
        except Exception as error:
            raise HelmUnavailableError(str(error) or type(error).__name__) from error

    def fetch(self, reference: ChartReference, credentials: Credentials, project: Path) -> Path:
        """Return the chart as a local folder or archive; an archive fetched once is kept.

        Raises
        ------
        ChartUnreachableError, HelmUnavailableError
            It cannot be fetched; there is no helm to fetch it with.
        """
        if reference.kind is ChartKind.LOCAL:
            path = (project / reference.chart).resolve()
            if not path.exists():
                raise ChartUnreachableError(reference.name, str(path), "no such file or folder")
            return path
        identity = json.dumps([reference.repository, reference.chart, reference.version])
        kept = self._work / "charts" / hashlib.sha256(identity.encode()).hexdigest()[:16]
        found = next(kept.glob("*.tgz"), None)
        if found is not None:
            return found.resolve()
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._work, prefix="fetch-") as folder:
            try:
                self._pull(reference, credentials, Path(folder))
            except HelmFailedError as error:
                raise ChartUnreachableError(reference.name, reference.source, error.reason) from error
            archive = next(Path(folder).glob("*.tgz"), None)
            if archive is None:
                raise ChartUnreachableError(reference.name, reference.source, "helm fetched nothing")
            return archive.rename(kept / archive.name).resolve()

    def _pull(self, reference: ChartReference, credentials: Credentials, folder: Path) -> None:
        flags = ["--destination", str(folder), "--version", reference.version, *credentials.flags]
        home = {"HELM_REPOSITORY_CONFIG": str(folder / "repositories.yaml"), "HELM_CONFIG_HOME": str(folder / "config")}
        if credentials.password and reference.kind is ChartKind.OCI:
            host = urlsplit(reference.chart).netloc
            login = ["registry", "login", host, "--username", credentials.username, "--password-stdin"]
            self._run(login, environment=home, standard_input=credentials.password)
        if credentials.password and reference.kind is ChartKind.REPOSITORY:
            add = [
                "repo",
                "add",
                "source",
                reference.repository,
                "--username",
                credentials.username,
                "--password-stdin",
            ]
            self._run([*add, *credentials.flags], environment=home, standard_input=credentials.password)
            self._run(["pull", f"source/{reference.chart}", *flags], environment=home)
            return
        repository = ["--repo", reference.repository] if reference.repository else []
        self._run(["pull", reference.chart, *repository, *flags], environment=home)

    def on_cluster(
        self, arguments: Sequence[str], *, standard_input: str = "", cancelled: Event | None = None
    ) -> Inputs:
        """Run helm against the cluster and return the JSON object that it prints, an empty one if it prints none.

        When `cancelled` is set helm is asked to stop, which marks the release as failed.

        Raises
        ------
        HelmFailedError, HelmUnavailableError
            With the end of what helm said.
        """
        with self._kubeconfig() as path:
            printed = self._run(
                arguments, environment={"KUBECONFIG": str(path)}, standard_input=standard_input, cancelled=cancelled
            )
        try:
            return as_mapping(cast("Value", json.loads(printed)))
        except ValueError:
            return {}

    @contextlib.contextmanager
    def _kubeconfig(self) -> Generator[Path]:
        """Yield a kubeconfig with everything in it, readable by us only, that is gone afterwards."""
        self._work.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._work, prefix="kubeconfig-")
        path = Path(name).resolve()
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(_minimal_kubeconfig(self._access()), file)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _run(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        standard_input: str = "",
        cancelled: Event | None = None,
    ) -> str:
        executable = self.executable()
        self._work.mkdir(parents=True, exist_ok=True)
        work = self._work.resolve()
        home = {key: value for key, value in os.environ.items() if key in PASSED_ON} | {
            "HOME": str(work),
            "HELM_CACHE_HOME": str(work / "cache"),
            "HELM_CONFIG_HOME": str(work / "config"),
            "HELM_DATA_HOME": str(work / "data"),
        }
        process = subprocess.Popen(  # noqa: S603 - the pinned helm, its arguments given one by one
            [str(executable), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=home | dict(environment),
            start_new_session=True,
        )
        printed, said = _communicate(process, standard_input, cancelled)
        if process.returncode != 0:
            lines = [line for line in said.strip().splitlines() if not line.startswith("WARNING:")]
            message = " ".join(lines[-MESSAGE_LINES:]).removeprefix("Error: ")
            raise HelmFailedError(what=" ".join(arguments[:2]), message=message or f"exit code {process.returncode}")
        return printed


def _communicate(process: subprocess.Popen[str], standard_input: str, cancelled: Event | None) -> tuple[str, str]:
    """Return both outputs of `process`; end it gently once `cancelled` is set, and never leave it behind."""
    pending: str | None = standard_input
    stopped_at: float | None = None
    try:
        while True:
            try:
                return process.communicate(pending, timeout=POLL_SECONDS)
            except subprocess.TimeoutExpired:
                pending = None
            if cancelled is None or not cancelled.is_set():
                continue
            if stopped_at is None:
                stopped_at = time.monotonic()
                process.send_signal(signal.SIGTERM)
            elif time.monotonic() - stopped_at > GRACE_SECONDS:
                process.kill()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _minimal_kubeconfig(access: Access) -> Mapping[str, object]:
    """Return a kubeconfig of one cluster and one user, its credentials inline."""
    cluster: dict[str, object] = {"server": access.server}
    if access.certificate_authority:
        cluster["certificate-authority-data"] = b64encode(access.certificate_authority).decode()
    if access.tls_server_name:
        cluster["tls-server-name"] = access.tls_server_name
    if not access.verifies:
        cluster["insecure-skip-tls-verify"] = True
    user: dict[str, object] = {}
    if access.client_certificate and access.client_key:
        user["client-certificate-data"] = b64encode(access.client_certificate).decode()
        user["client-key-data"] = b64encode(access.client_key).decode()
    if access.token:
        user["token"] = access.token
    if access.token_file is not None:
        user["tokenFile"] = str(access.token_file.resolve())
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab", "namespace": access.namespace}}],
        "current-context": "lab",
    }
