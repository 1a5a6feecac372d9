"""What can go wrong with a command; no message shows a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labctl.engine.providers.base import ProviderError, UnfinishedError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "CommandFailedError",
    "MalformedHostKeyInputError",
    "NotBuiltError",
    "NotStartedError",
    "UnknownOutcomeError",
    "UnpinnedHostError",
]


class CommandFailedError(ProviderError):
    """A command that ended with a failure, or was ended; the message is the official provider's."""

    def __init__(self, how: str, command: str, output: str) -> None:
        super().__init__(f"{how}: running {json.dumps(command, ensure_ascii=False)}:\n{output}".rstrip("\n"))
        self.how = how


class NotStartedError(ProviderError):
    """A command that could not be started."""

    def __init__(self, reason: str, command: str, hint: str = "") -> None:
        advice = f"; {hint}" if hint else ""
        super().__init__(f"{reason}: running {json.dumps(command, ensure_ascii=False)}{advice}")
        self.reason = reason


class UnknownOutcomeError(UnfinishedError):
    """A command that was started and whose end was not seen; the next run runs it again."""

    def __init__(self, reason: str, command: str) -> None:
        super().__init__(f"{reason}; the next run runs it again: running {json.dumps(command, ensure_ascii=False)}")
        self.reason = reason


class UnpinnedHostError(ProviderError):
    """A connection to a host that nobody could tell from an impostor."""

    def __init__(self, type_token: str, place: str, host: str) -> None:
        super().__init__(
            f"{type_token} needs {place}: without it {host} would not be authenticated. Set it to the line of "
            "/etc/ssh/ssh_host_ed25519_key.pub on that host (ssh-ed25519 AAAA...)"
        )
        self.place = place


class MalformedHostKeyInputError(ProviderError):
    """A host key that is none."""

    def __init__(self, type_token: str, place: str, reason: str) -> None:
        super().__init__(f"{type_token}: {place}: {reason}")
        self.place = place


class NotBuiltError(ProviderError):
    """A type of the command provider that only the official engine runs."""

    def __init__(self, type_token: str, supported: Collection[str]) -> None:
        super().__init__(
            f"{type_token} is not built in the embedded engine: it runs {', '.join(sorted(supported))} only; pass the "
            "file's content to a remote command in stdin, or deploy the stack by the official CLI"
        )
        self.type_token = type_token
