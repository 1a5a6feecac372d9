"""A state backend in a folder or a bucket: the layout of Pulumi's DIY backend (``pkg/backend/diy``), for either CLI.

```
.pulumi/meta.yaml                                                    version: 1
.pulumi/stacks/<project>/<stack>.json                                the checkpoint; .json.bak is the one before
.pulumi/stacks/<project>/<stack>.journal.jsonl                       only while a run is under way, or after a cut-off
.pulumi/stacks/<project>/<stack>.journal/<lock>/<n>.jsonl            the same in a bucket, see `journal_bucket`
.pulumi/history/<project>/<stack>/<stack>-<ns>.{history,checkpoint}.json
.pulumi/locks/organization/<project>/<stack>/<uuid>.json
```
"""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast
from urllib.parse import unquote

from .bucket import FileBucket
from .exceptions import (
    BackendUrlError,
    CompressedStateError,
    ForeignSecretsError,
    MalformedStateError,
    OfficialJournalError,
    StateChangedError,
)
from .journal_file import FileJournalStore
from .locks import StackLock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.values import Plain

    from .about import UpdateAbout
    from .bucket import Bucket
    from .journal import JournalStore
    from .s3_bucket import S3Bucket
    from .s3_url import S3Location
    from .wire import PlainObject

__all__ = [
    "META",
    "META_KEY",
    "Backend",
    "FileBackend",
    "FileStackFiles",
    "S3Backend",
    "StackFiles",
    "UpdateKind",
    "open_backend",
]

STATE_VERSION: Final = 3
"""Of checkpoints and deployments; version 4 adds features this program's resources never use."""
META_KEY: Final = ".pulumi/meta.yaml"
META: Final = b"version: 1\n"
"""Stacks are kept by project (``pkg/backend/diy/meta.go``)."""
ORGANIZATION: Final = "organization"
"""What stands for an organization in a backend that has none."""
COMPRESSIONS: Final = (".gz", ".zst")
"""Endings of a checkpoint that the official CLI was told to compress (``sdk/go/common/encoding``)."""


class UpdateKind(StrEnum):
    """What a stack is opened for (Pulumi: ``apitype.UpdateKind``)."""

    PREVIEW = "preview"
    UPDATE = "update"
    REFRESH = "refresh"
    DESTROY = "destroy"
    IMPORT = "import"


class StackFiles:
    """The files of one stack in a bucket, by what they are."""

    def __init__(self, bucket: Bucket, project: str, stack: str, journal: JournalStore) -> None:
        self.bucket = bucket
        self.project = project
        self.stack = stack
        self.journal = journal
        self.qualified_name = f"{ORGANIZATION}/{project}/{stack}"
        self.checkpoint_key = f".pulumi/stacks/{project}/{stack}.json"

    def lock(self) -> StackLock:
        """Return a lock on the stack, not taken yet."""
        return StackLock(self.bucket, self.qualified_name)

    def read_checkpoint(self) -> bytes | None:
        """Return the checkpoint's bytes, or None for a stack that has none.

        Raises
        ------
        CompressedStateError
            There is a compressed one, which must not be taken for none.
        """
        content = self.bucket.read(self.checkpoint_key)
        if content is None:
            folder = self.checkpoint_key.rpartition("/")[0]
            for compressed in {f"{self.checkpoint_key}{ending}" for ending in COMPRESSIONS} & {
                *self.bucket.list(folder)
            }:
                raise CompressedStateError(compressed)
        return content

    def refuse_official_journal(self) -> None:
        """Return if the official CLI has left no journal of its own here.

        Raises
        ------
        OfficialJournalError
            It was cut off; what it had done is known to it alone.
        """
        folder = f".pulumi/journal/{self.project}/{self.stack}"
        if self.bucket.tree(folder):
            raise OfficialJournalError(self.stack, folder)

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

    def write_checkpoint(self, content: bytes, before: bytes | None) -> None:
        """Replace the checkpoint `before`, which is then in ``.json.bak``.

        Raises
        ------
        StateChangedError
            Another one is there than `before`, and stays.
        """
        if self.bucket.read(META_KEY) is None:
            self.bucket.write(META_KEY, META)
        if self.read_checkpoint() != before:
            raise StateChangedError(self.checkpoint_key)
        if before is not None:
            self.bucket.write(f"{self.checkpoint_key}.bak", before)
        self.bucket.swap(self.checkpoint_key, content, before)

    def write_history(
        self,
        kind: UpdateKind,
        *,
        start: float,
        succeeded: bool,
        changes: Mapping[str, int],
        about: UpdateAbout,
    ) -> None:
        """Add one entry to the stack's history, with a copy of its checkpoint; what ``pulumi stack history`` lists.

        `start` is in seconds since the epoch; `changes` counts steps by the official operation's name.
        """
        counted: dict[str, Plain] = dict(sorted(changes.items()))
        entry: PlainObject = {
            "kind": kind.value,
            "startTime": int(start),
            "message": about.message,
            "environment": dict(about.environment),
            "config": about.config,
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


class FileStackFiles(StackFiles):
    """The files of one stack in a folder."""

    def __init__(self, bucket: FileBucket, project: str, stack: str) -> None:
        self.journal_path = bucket.root / ".pulumi" / "stacks" / project / f"{stack}.journal.jsonl"
        super().__init__(bucket, project, stack, FileJournalStore(self.journal_path))


def salt_of(deployment: PlainObject, place: str) -> str | None:
    """Return the passphrase provider's salt of a deployment, None when nothing in it is sealed.

    Raises
    ------
    ForeignSecretsError
        Its secrets are sealed by another provider than a passphrase.
    """
    provider = deployment.get("secrets_providers")
    if not isinstance(provider, dict) or not provider.get("type"):
        return None
    state = provider.get("state")
    salt = state.get("salt") if isinstance(state, dict) else None
    if provider["type"] != "passphrase" or not isinstance(salt, str):
        raise ForeignSecretsError(place, str(provider["type"]))
    return salt


class Backend(Protocol):
    """Where the states of stacks are kept."""

    @property
    def url(self) -> str:
        """What it was opened by."""
        ...

    @property
    def bucket(self) -> Bucket:
        """The store of its files."""
        ...

    def files(self, project: str, stack: str) -> StackFiles:
        """Return the files of a stack, which need not exist."""
        ...

    def stacks(self, project: str) -> list[str]:
        """Return the names of the project's stacks that have a state, sorted."""
        ...

    def remove_stack(self, project: str, stack: str) -> None:
        """Remove a stack's checkpoint, backup, journal and history."""
        ...


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

    def files(self, project: str, stack: str) -> FileStackFiles:
        """Return the files of a stack, which need not exist."""
        return FileStackFiles(self.bucket, project, stack)

    def stacks(self, project: str) -> list[str]:
        """Return the names of the project's stacks that have a state, sorted."""
        return _stacks(self.bucket, project)

    def remove_stack(self, project: str, stack: str) -> None:
        """Remove a stack's checkpoint, backup, journal and history."""
        files = self.files(project, stack)
        _remove(files)
        files.journal.remove()


class S3Backend:
    """A bucket that holds the state of stacks; nothing is asked of it before its first use.

    Parameters
    ----------
    url
        ``s3://bucket/prefix?region=...``, see `parse_s3_url`.

    Raises
    ------
    BackendUrlError
        It names no bucket, or has an unknown parameter.
    """

    def __init__(self, url: str) -> None:
        from .s3_bucket import S3Bucket  # noqa: PLC0415 - only who has a bucket pays for it
        from .s3_url import parse_s3_url  # noqa: PLC0415 - the same

        self.url = url
        self.location: S3Location = parse_s3_url(url)
        self.bucket: S3Bucket = S3Bucket(self.location)

    def files(self, project: str, stack: str) -> StackFiles:
        """Return the files of a stack, which need not exist."""
        from .journal_bucket import BucketJournalStore  # noqa: PLC0415 - only who has a bucket pays for it

        journal = BucketJournalStore(self.bucket, f".pulumi/stacks/{project}/{stack}.journal")
        return StackFiles(self.bucket, project, stack, journal)

    def stacks(self, project: str) -> list[str]:
        """Return the names of the project's stacks that have a state, sorted."""
        return _stacks(self.bucket, project)

    def remove_stack(self, project: str, stack: str) -> None:
        """Remove a stack's checkpoint, backup, journals and history; a versioned bucket keeps copies."""
        _remove(self.files(project, stack))
        self.bucket.delete_many(self.bucket.tree(f".pulumi/stacks/{project}/{stack}.journal"))


def open_backend(url: str, base: Path = Path()) -> Backend:
    """Return the backend that `url` names; ``file://./...`` counts from `base`.

    Raises
    ------
    BackendUrlError
        It is neither a folder nor a bucket.
    """
    return S3Backend(url) if url.startswith("s3://") else FileBackend(url, base)


def _stacks(bucket: Bucket, project: str) -> list[str]:
    names = (key.rpartition("/")[2] for key in bucket.list(f".pulumi/stacks/{project}"))
    return [name.removesuffix(".json") for name in names if name.endswith(".json")]


def _remove(files: StackFiles) -> None:
    for key in (files.checkpoint_key, f"{files.checkpoint_key}.bak"):
        files.bucket.delete(key)
    for key in files.bucket.list(f".pulumi/history/{files.project}/{files.stack}"):
        files.bucket.delete(key)
