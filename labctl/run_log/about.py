"""What the history says of a run: its message, its origin, and the configuration it had."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from labctl.engine.state.about import UpdateAbout
from labctl.graph.values import REDACTED
from stacks.loading import PlainValue
from stacks.project import PROJECT
from stacks.secrets import used_secrets

from .current import current
from .origin import OriginInBackground

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from labctl.graph.values import Plain
    from stacks.config import ClusterConfig
    from stacks.loading import StackFile

__all__ = ["about_later", "history_config"]


def about_later(root: Path, file: StackFile, cluster: ClusterConfig, message: str) -> Callable[[], UpdateAbout]:
    """Return a question that is answered when the run ends; git is asked meanwhile.

    Without a `message` the revision's own title is it, as with the official CLI.
    """
    origin = OriginInBackground(root)
    secret_keys = {f"{PROJECT}:{reference.secret}" for reference in used_secrets(cluster)}

    def about() -> UpdateAbout:
        found = origin.get()
        current().git(found.environment)
        return UpdateAbout(
            message=message or found.title,
            environment=found.environment,
            config=history_config(file, secret_keys),
        )

    return about


def history_config(file: StackFile, secret_keys: Collection[str]) -> dict[str, Plain]:
    """Return a stack file's configuration as the history has it (Pulumi: ``config.Map``): sealed values stay sealed.

    `secret_keys` are those that the cluster uses as secrets: one that is not sealed in the file is not copied.
    """
    config: dict[str, Plain] = {}
    for key, value in file.config.items():
        if not isinstance(value, PlainValue):
            config[key] = {"secure": value.ciphertext}
        elif key in secret_keys:
            config[key] = REDACTED
        else:
            config[key] = _value(cast("Plain", value.value))
    return config


def _value(value: Plain) -> Plain:
    """Return a value as Go's ``config.Value`` reads it: structures as they are, everything else as text."""
    if isinstance(value, dict | list | str):
        return value
    return ("true" if value else "false") if isinstance(value, bool) else "" if value is None else str(value)
