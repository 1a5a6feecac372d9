"""Access to S3 buckets, as a stack file names it."""

from __future__ import annotations

from pydantic import Field

from .model import Model
from .secrets import SecretRef

__all__ = ["S3Credentials"]


class S3Credentials(Model):
    """Access to an S3 bucket."""

    access_key_id: SecretRef = Field(title="Access key ID", description="Configuration key with the access key's ID.")
    secret_access_key: SecretRef = Field(description="Configuration key with the secret access key.")
