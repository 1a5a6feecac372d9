"""The secrets of a stack file, opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl import run_log
from labctl.engine.state import SecretsManager
from stacks.errors import MissingSecretsError
from stacks.loading import PlainValue, SealedValue
from stacks.project import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.secrets import SecretRef
    from labctl.engine.state import Passphrase
    from stacks.loading import StackFile

__all__ = ["opened_secrets"]


def opened_secrets(
    file: StackFile, stack: str, references: Iterable[SecretRef], passphrases: tuple[Passphrase, ...]
) -> dict[str, str]:
    """Return the secrets a stack file holds for `references`, by configuration key.

    Raises
    ------
    MissingSecretsError
        With all that are not there.
    StateError
        The passphrase is missing or wrong.
    """
    values = {reference.secret: file.config.get(f"{PROJECT}:{reference.secret}") for reference in references}
    missing = sorted(key for key, value in values.items() if value is None)
    if missing:
        raise MissingSecretsError(stack=stack, keys=missing)
    manager = SecretsManager(file.encryption_salt, passphrases)
    opened: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, SealedValue):
            opened[key] = manager.decrypt(value.ciphertext)
        elif isinstance(value, PlainValue):
            opened[key] = str(value.value)
    run_log.current().hide(opened.values())
    return opened
