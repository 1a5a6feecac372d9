"""What can go wrong with a command; no message shows a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labctl.engine.providers.base import ProviderError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["CommandFailedError", "NotBuiltError", "NotStartedError"]


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


class NotBuiltError(ProviderError):
    """A type of the command provider that only the official engine runs so far."""

    def __init__(self, type_token: str, supported: Collection[str]) -> None:
        super().__init__(
            f"{type_token} is not built yet in the embedded engine: it runs {', '.join(sorted(supported))} only; "
            "deploy a stack with hosts to reach over SSH by the official CLI"
        )
        self.type_token = type_token
