"""One stack of the project, opened: its file, its program, its state, its providers."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from labctl.engine.registry import ProviderRegistry
from labctl.engine.state import SecretsManager, Stack, UpdateKind, known_passphrases, open_backend, open_stack
from labctl.graph.program import Program, script
from stacks.environments import Environment, environment_of
from stacks.loading import StackFile, load_cluster, load_stack_file, require_fits_owner, stack_file_path, stack_names
from stacks.project import PROJECT
from stacks.reading import read_yaml
from stacks.secrets import used_secrets

from . import run_log
from .errors import NoProjectError, ProjectFileError, UnknownStackError
from .secrets import opened_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from stacks.config import ClusterConfig

    from .engine.providers.base import ProviderFactory
    from .engine.state import Backend, Passphrase, StackFiles

__all__ = ["Lab", "backend_url", "find_root", "open_lab"]

BACKEND_VARIABLE: Final = "PULUMI_BACKEND_URL"
"""Where the official CLI looks for its state, too."""
DEFAULT_BACKEND: Final = "file://./.lab/state"
"""State of a project whose owner has not said where it belongs."""


def _say_nothing(message: str) -> None:
    del message


@dataclass(frozen=True, kw_only=True)
class Lab:
    """One environment of the project."""

    root: Path
    stack: str
    file: StackFile
    cluster: ClusterConfig
    environment: Environment

    @property
    def folder(self) -> Path:
        """Where this stack keeps what is made on this machine: ``.lab/<stack>``."""
        return self.root / ".lab" / self.stack

    @property
    def simulated(self) -> bool:
        """Whether its nodes are simulated, on the embedded control plane."""
        return self.cluster.nodes.simulated

    @cached_property
    def _backend(self) -> Backend:
        return open_backend(backend_url(self.root), self.root)

    def backend(self) -> Backend:
        """Return where the project's states are, see `backend_url`; one client of a bucket serves all of a run."""
        return self._backend

    def files(self) -> StackFiles:
        """Return where this stack's state is."""
        return self.backend().files(PROJECT, self.stack)

    @property
    def default_passphrase(self) -> Path:
        """The file with the passphrase that a simulated lab makes up for itself."""
        return self.root / ".lab" / "passphrase"

    def passphrases(self) -> tuple[Passphrase, ...]:
        """Return the passphrases to try; a simulated lab has one of its own, made up once."""
        known = known_passphrases(self.default_passphrase if self.simulated else None)
        run_log.current().hide(passphrase.text for passphrase in known)
        return known

    def open(self, kind: UpdateKind, tell: Callable[[str], None] = _say_nothing, *, message: str = "") -> Stack:
        """Return its state, locked unless `kind` is a preview; `message` is what the history says of the run.

        A lock whose process has died on this very machine holds nothing any more: it is released, and `tell` told so.
        Anybody else's is released only by name (``labctl unlock``).
        """
        if kind is not UpdateKind.PREVIEW:
            self._release_dead(tell)
        opened = open_stack(self.files(), kind, passphrases=self.passphrases(), salt=self.file.encryption_salt)
        states = opened.snapshot.resources
        run_log.current().hide_later(lambda: ({"in": state.inputs, "out": state.outputs} for state in states))
        if kind is not UpdateKind.PREVIEW:
            from .run_log.about import about_later  # noqa: PLC0415 - a preview has no entry in the history

            opened.about = about_later(self.root, self.file, self.cluster, message)
        return opened

    @contextmanager
    def locked(self, tell: Callable[[str], None] = _say_nothing) -> Generator[None]:
        """Hold the lock on its state without reading that; `StackLockedError` where another run has it."""
        self._release_dead(tell)
        lock = self.files().lock()
        lock.acquire()
        try:
            yield
        except BaseException:
            lock.release_if_possible()
            raise
        lock.release()

    def _release_dead(self, tell: Callable[[str], None]) -> None:
        lock = self.files().lock()
        for holder in lock.others():
            if holder.dead:
                lock.release_other(holder.id)
                tell(f"released the lock of a process that is no more: {holder.describe()}")

    def program(self) -> Program:
        """Return the project's program with this stack's configuration; sealed values need the passphrase."""
        passphrases = self.passphrases()
        manager = SecretsManager(self.file.encryption_salt, passphrases) if passphrases else None
        config, secret_keys = self.file.program_config(manager.decrypt if manager else None)
        run_log.current().hide(config[key] for key in secret_keys)
        return Program(
            project=PROJECT,
            stack=self.stack,
            entry=script(self.root / "__main__.py"),
            config=config,
            secret_keys=tuple(secret_keys),
            root=self.root,
        )

    def require_deployable(self) -> None:
        """Return if nothing is missing that only an update needs, so that one that cannot succeed touches nothing.

        Raises
        ------
        MissingSecretsError, PassphraseMissingError
            A secret that the cluster names is not in the file, or cannot be opened.
        """
        opened_secrets(self.file, self.stack, used_secrets(self.cluster), self.passphrases())

    def providers(self) -> ProviderRegistry:
        """Return the provider packages that the embedded engine has."""
        from .engine.providers import command, kubernetes, random  # noqa: PLC0415 - each verb pays for what it uses

        factories: dict[str, ProviderFactory] = {
            "command": command.CommandFactory(project=self.root),
            "kubernetes": kubernetes.KubernetesFactory(
                simulated=self.simulated, project=self.root, work=self.root / ".lab" / "helm"
            ),
            "random": random.FACTORY,
        }
        return ProviderRegistry(factories)


def backend_url(root: Path) -> str:
    """Return where the project's states are, in the order of the official CLI.

    ``PULUMI_BACKEND_URL``, else ``backend: {url: ...}`` in Pulumi.yaml, else a folder of the project's own.

    Raises
    ------
    ProjectFileError
        Pulumi.yaml cannot be read, or its backend has no URL.
    """
    if given := os.environ.get(BACKEND_VARIABLE):
        return given
    path = root / "Pulumi.yaml"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if "backend" not in text:
        return DEFAULT_BACKEND
    document = read_yaml(text)
    if document.problems or not isinstance(document.value, dict):
        raise ProjectFileError(path, "; ".join(map(str, document.problems)) or "it is no YAML mapping")
    backend = document.value.get("backend")
    if backend is None:
        return DEFAULT_BACKEND
    url = backend.get("url") if isinstance(backend, dict) else None
    if not isinstance(url, str) or not url:
        raise ProjectFileError(path, "backend: give it a url, as in {url: 's3://lab-state?region=eu-north-1'}")
    return url


def find_root(start: Path | None = None) -> Path:
    """Return the project's folder: the nearest one at or above `start` that has a Pulumi.yaml."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "Pulumi.yaml").is_file():
            return folder
    raise NoProjectError(here)


def open_lab(stack: str, root: Path | None = None) -> Lab:
    """Return the stack `stack` of the project, its file read and validated.

    Raises
    ------
    NoProjectError, UnknownStackError
        There is no such thing here.
    StackFileError
        The file is wrong; every problem with its place and what would be right.
    """
    folder = find_root() if root is None else root
    path = stack_file_path(stack, folder)
    if not path.is_file():
        raise UnknownStackError(stack=stack, known=stack_names(folder))
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    file = load_stack_file(path)
    cluster = load_cluster(file)
    require_fits_owner(file, stack, cluster)
    return Lab(root=folder, stack=stack, file=file, cluster=cluster, environment=environment_of(stack))
