"""What the process of the pod runner is told: one file, read at its start."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["AccountToken", "RunnerSettings"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountToken(_Settings):
    """A token of a service account that is kept fresh in a file, as a kubelet does it for its pods."""

    namespace: str = Field(description="The account's namespace.")
    account: str = Field(description="The account's name.")
    path: Path = Field(description="The file.")


class RunnerSettings(_Settings):
    """Where pods are run, and on what."""

    directory: Path = Field(description="Volumes, logs and records of pods.")
    server: str = Field(description="Address of the API server.")
    authority: Path = Field(description="Certificate of its authority.")
    certificate: Path = Field(description="Client certificate that may do what a kubelet may.")
    key: Path = Field(description="Its key.")
    programs: tuple[Path, ...] = Field(description="Folders of programs that come before the system's on PATH.")
    visible: tuple[Path, ...] = Field(description="Folders of the machine those programs need to see.")
    default_command: tuple[str, ...] = Field(description="In place of an image's command.")
    namespace: str = Field(
        default="",
        description="Namespace of the pods, since another stack's hub on the same API server has its own; empty means "
        "every namespace.",
    )
    tokens: tuple[AccountToken, ...] = Field(default=(), description="Tokens to keep fresh.")
