"""One stack of the project, opened: its file, its program, its state, its providers."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from labctl.engine.registry import ProviderRegistry
from labctl.engine.state import FileBackend, SecretsManager, Stack, UpdateKind, known_passphrases, open_stack
from labctl.graph.program import Program, script
from stacks.environments import Environment, environment_of
from stacks.loading import StackFile, load_cluster, load_stack_file, stack_file_path
from stacks.project import PROJECT
from stacks.secrets import used_secrets

from .errors import NoProjectError, UnknownStackError
from .secrets import opened_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from stacks.config import ClusterConfig

    from .engine.providers.base import ProviderFactory
    from .engine.state import Passphrase, StackFiles

__all__ = ["Lab", "find_root", "open_lab"]

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

    def backend(self) -> FileBackend:
        """Return where the project's states are, by ``PULUMI_BACKEND_URL``."""
        return FileBackend(os.environ.get(BACKEND_VARIABLE) or DEFAULT_BACKEND, self.root)

    def files(self) -> StackFiles:
        """Return where this stack's state is."""
        return self.backend().files(PROJECT, self.stack)

    def passphrases(self) -> tuple[Passphrase, ...]:
        """Return the passphrases to try; a simulated lab has one of its own, made up once."""
        return known_passphrases(self.root / ".lab" / "passphrase" if self.simulated else None)

    def open(self, kind: UpdateKind, tell: Callable[[str], None] = _say_nothing) -> Stack:
        """Return its state, locked unless `kind` is a preview.

        A lock whose process has died on this very machine holds nothing any more: it is released, and `tell` told so.
        Anybody else's is released only by name (``labctl unlock``).
        """
        if kind is not UpdateKind.PREVIEW:
            self._release_dead(tell)
        return open_stack(self.files(), kind, passphrases=self.passphrases(), salt=self.file.encryption_salt)

    @contextmanager
    def locked(self, tell: Callable[[str], None] = _say_nothing) -> Generator[None]:
        """Hold the lock on its state without reading that; `StackLockedError` where another run has it."""
        self._release_dead(tell)
        lock = self.files().lock()
        lock.acquire()
        try:
            yield
        finally:
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
        known = sorted(found.name.split(".")[1] for found in folder.glob("Pulumi.*.yaml"))
        raise UnknownStackError(stack=stack, known=known)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    file = load_stack_file(path)
    cluster = load_cluster(file)
    return Lab(root=folder, stack=stack, file=file, cluster=cluster, environment=environment_of(stack))
