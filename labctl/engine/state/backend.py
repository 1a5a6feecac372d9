"""A state backend in a folder: the layout of Pulumi's DIY backend (``pkg/backend/diy``), readable by the official CLI.

```
.pulumi/meta.yaml                                                    version: 1
.pulumi/stacks/<project>/<stack>.json                                the checkpoint; .json.bak is the one before
.pulumi/stacks/<project>/<stack>.journal.jsonl                       only while a run is under way, or after a cut-off
.pulumi/history/<project>/<stack>/<stack>-<ns>.{history,checkpoint}.json
.pulumi/locks/organization/<project>/<stack>/<uuid>.json
```
"""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote

from .bucket import FileBucket
from .exceptions import BackendUrlError, MalformedStateError
from .locks import StackLock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.values import Plain

    from .bucket import Bucket
    from .wire import PlainObject

__all__ = ["FileBackend", "StackFiles", "UpdateKind"]

STATE_VERSION: Final = 3
"""Of checkpoints and deployments; version 4 adds features this program's resources never use."""
META_KEY: Final = ".pulumi/meta.yaml"
META: Final = b"version: 1\n"
"""Stacks are kept by project (``pkg/backend/diy/meta.go``)."""
ORGANIZATION: Final = "organization"
"""What stands for an organization in a backend that has none."""


class UpdateKind(StrEnum):
    """What a stack is opened for (Pulumi: ``apitype.UpdateKind``)."""

    PREVIEW = "preview"
    UPDATE = "update"
    REFRESH = "refresh"
    DESTROY = "destroy"
    IMPORT = "import"


class StackFiles:
    """The files of one stack in a bucket, by what they are."""

    def __init__(self, bucket: Bucket, project: str, stack: str, journal: Path) -> None:
        self.bucket = bucket
        self.project = project
        self.stack = stack
        self.journal_path = journal
        self.qualified_name = f"{ORGANIZATION}/{project}/{stack}"
        self.checkpoint_key = f".pulumi/stacks/{project}/{stack}.json"

    def lock(self) -> StackLock:
        """Return a lock on the stack, not taken yet."""
        return StackLock(self.bucket, self.qualified_name)

    def read_checkpoint(self) -> bytes | None:
        """Return the checkpoint's bytes, or None for a stack that has none."""
        return self.bucket.read(self.checkpoint_key)

    def parse_checkpoint(self, content: bytes | None) -> PlainObject | None:
        """Return the ``DeploymentV3`` in a checkpoint, None when there is none.

        Raises
        ------
        MalformedStateError
            It is not a checkpoint of version 3.
        """
        if content is None:
            return None
        try:
            stored = json.loads(content)
        except ValueError as error:
            raise MalformedStateError(self.checkpoint_key, f"not JSON ({error})") from error
        if not isinstance(stored, dict):
            raise MalformedStateError(self.checkpoint_key, "not a checkpoint")
        versioned = cast("PlainObject", stored)
        if versioned.get("version") != STATE_VERSION:
            problem = f"checkpoint version {versioned.get('version')}, only {STATE_VERSION} is known"
            raise MalformedStateError(self.checkpoint_key, problem)
        checkpoint = versioned.get("checkpoint")
        latest = checkpoint.get("latest") if isinstance(checkpoint, dict) else None
        return latest if isinstance(latest, dict) else None

    def checkpoint(self, deployment: PlainObject) -> bytes:
        """Return the bytes of a checkpoint of `deployment`, as the official CLI lays them out."""
        latest: PlainObject = {"stack": self.qualified_name, "latest": deployment}
        versioned: PlainObject = {"version": STATE_VERSION, "checkpoint": latest}
        return json.dumps(versioned, separators=(",", ":"), ensure_ascii=False).encode()

    def write_checkpoint(self, content: bytes) -> None:
        """Replace the checkpoint; the one before is then in ``.json.bak``."""
        if self.bucket.read(META_KEY) is None:
            self.bucket.write(META_KEY, META)
        before = self.read_checkpoint()
        if before is not None:
            self.bucket.write(f"{self.checkpoint_key}.bak", before)
        self.bucket.write(self.checkpoint_key, content)

    def write_history(
        self, kind: UpdateKind, *, start: float, succeeded: bool, changes: Mapping[str, int], config: PlainObject
    ) -> None:
        """Add one entry to the stack's history, with a copy of its checkpoint; what ``pulumi stack history`` lists.

        `start` is in seconds since the epoch; `changes` counts steps by the official operation's name.
        """
        counted: dict[str, Plain] = dict(sorted(changes.items()))
        entry: PlainObject = {
            "kind": kind.value,
            "startTime": int(start),
            "message": "",
            "environment": {},
            "config": config,
            "version": 0,
            "result": "succeeded" if succeeded else "failed",
            "endTime": int(time.time()),
            "resourceChanges": counted,
        }
        prefix = f".pulumi/history/{self.project}/{self.stack}/{self.stack}-{time.time_ns()}"
        self.bucket.write(f"{prefix}.history.json", json.dumps(entry, separators=(",", ":")).encode())
        checkpoint = self.read_checkpoint()
        if checkpoint is not None:
            self.bucket.write(f"{prefix}.checkpoint.json", checkpoint)

    def history(self) -> list[PlainObject]:
        """Return the history's entries, the latest first."""
        keys = self.bucket.list(f".pulumi/history/{self.project}/{self.stack}")
        chosen = sorted((key for key in keys if key.endswith(".history.json")), reverse=True)
        return [cast("PlainObject", json.loads(self.bucket.read(key) or b"{}")) for key in chosen]

    def __repr__(self) -> str:
        return f"StackFiles({self.qualified_name})"


def salt_of(deployment: PlainObject, place: str) -> str | None:
    """Return the passphrase provider's salt of a deployment, None when nothing in it is sealed.

    Raises
    ------
    MalformedStateError
        Its secrets are sealed by another provider than a passphrase.
    """
    provider = deployment.get("secrets_providers")
    if not isinstance(provider, dict) or not provider.get("type"):
        return None
    state = provider.get("state")
    salt = state.get("salt") if isinstance(state, dict) else None
    if provider["type"] != "passphrase" or not isinstance(salt, str):
        problem = f"secrets provider {provider['type']!r}; only passphrase is known"
        raise MalformedStateError(place, problem)
    return salt


class FileBackend:
    """A folder that holds the state of stacks.

    Parameters
    ----------
    url
        ``file:///srv/pulumi`` or ``file://~/state``; ``file://./state`` and ``file://.`` count from `base`.
    base
        The project's folder.

    Raises
    ------
    BackendUrlError
        Another kind of URL.
    """

    def __init__(self, url: str, base: Path = Path()) -> None:
        if not url.startswith("file://") or not url.removeprefix("file://"):
            raise BackendUrlError(url)
        self.url = url
        self.root = (base / Path(unquote(url.removeprefix("file://"))).expanduser()).resolve()
        self.bucket = FileBucket(self.root)

    def files(self, project: str, stack: str) -> StackFiles:
        """Return the files of a stack, which need not exist."""
        journal = self.root / ".pulumi" / "stacks" / project / f"{stack}.journal.jsonl"
        return StackFiles(self.bucket, project, stack, journal)

    def stacks(self, project: str) -> list[str]:
        """Return the names of the project's stacks that have a state, sorted."""
        names = (key.rpartition("/")[2] for key in self.bucket.list(f".pulumi/stacks/{project}"))
        return [name.removesuffix(".json") for name in names if name.endswith(".json")]

    def remove_stack(self, project: str, stack: str) -> None:
        """Remove a stack's checkpoint, backup, journal and history."""
        files = self.files(project, stack)
        for key in (files.checkpoint_key, f"{files.checkpoint_key}.bak"):
            self.bucket.delete(key)
        for key in self.bucket.list(f".pulumi/history/{project}/{stack}"):
            self.bucket.delete(key)
        files.journal_path.unlink(missing_ok=True)
