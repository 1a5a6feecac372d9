"""Repositories that backups go to (restic): where one is, and what opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from .model import Model
from .problems import Path, Problem
from .secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RepositoryConfig", "S3Credentials", "check_repository"]

_BUCKET = "s3:"


class S3Credentials(Model):
    """Access to an S3 bucket."""

    access_key_id: SecretRef = Field(title="Access key ID", description="Configuration key with the access key's ID.")
    secret_access_key: SecretRef = Field(description="Configuration key with the secret access key.")


class RepositoryConfig(Model):
    """A restic repository, which encrypts all that is in it."""

    repository: str = Field(
        pattern=r"^(/\S+|s3:https?://\S+)$",
        description="restic repository: a directory of another machine that the hosts mount, or s3:https://SERVER/BUCKET.",
    )
    password: SecretRef = Field(
        description="Configuration key with the repository's password. Keep a copy elsewhere: no backup opens without."
    )
    s3: S3Credentials | None = Field(default=None, title="S3", description="Needed with an s3: repository.")

    @property
    def is_bucket(self) -> bool:
        """Whether it lies in a bucket and not in a directory."""
        return self.repository.startswith(_BUCKET)

    @property
    def secrets(self) -> tuple[SecretRef, ...]:
        """Every secret it takes to open it."""
        return (
            self.password,
            *(() if self.s3 is None else (self.s3.access_key_id, self.s3.secret_access_key)),
        )


def check_repository(config: RepositoryConfig, path: Path) -> Iterator[Problem]:
    """Yield what is wrong with a repository's credentials; `path` is the place of its section."""
    if config.is_bucket and config.s3 is None:
        yield Problem(
            path=(*path, "s3"),
            what="the repository is a bucket, but no credentials are named",
            remedy="add s3: {accessKeyId: {secret: ...}, secretAccessKey: {secret: ...}}",
        )
    if not config.is_bucket and config.s3 is not None:
        yield Problem(
            path=(*path, "s3"),
            what=f"the repository {config.repository} is a directory, which needs no credentials",
            remedy="leave s3 out, or write the repository as s3:https://SERVER/BUCKET",
        )
