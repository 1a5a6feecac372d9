"""What a look at a hub may fail on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "HubAnswerError",
    "LookError",
    "NoAddressError",
    "NoHubError",
    "NoTestUserError",
    "NoTokenError",
    "NotAskedError",
    "StartFailedError",
    "TooSlowError",
    "UnhealthyError",
    "UnreachableError",
]


class NoHubError(LabError):
    """The stack has no hub."""

    exit_code = ExitCode.USAGE

    def __init__(self, stack: str) -> None:
        super().__init__(f"stack {stack} has no hub")


class NoAddressError(LabError):
    """Nobody knows where the hub answers."""

    exit_code = ExitCode.USAGE

    def __init__(self, stack: str, *, is_local: bool = False) -> None:
        super().__init__(
            f"the hub of stack {stack} runs on this machine once `up` has started it; or say --url"
            if is_local
            else f"the hub of stack {stack} has no host name (network.hostnames.hub); say --url"
        )


class NoTestUserError(LabError):
    """A server is to be started, and nobody may start it."""

    exit_code = ExitCode.INVALID

    def __init__(self, stack: str) -> None:
        super().__init__(f"the hub of stack {stack} has no test user: add hub.healthCheck to Pulumi.{stack}.yaml")


class NoTokenError(LabError):
    """The token of the health service is not to be had."""

    exit_code = ExitCode.STATE

    def __init__(self, stack: str, file: Path | None) -> None:
        super().__init__(
            f"{file} holds no token"
            if file is not None
            else f"the state of stack {stack} has no token of the health service: run up first, or say --token-file"
        )


class UnhealthyError(LabError):
    """A look failed; what came of each was shown."""

    exit_code = ExitCode.UNHEALTHY


class LookError(Exception):
    """A look that failed."""


class UnreachableError(LookError):
    """Nothing answers at the hub's address."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"nothing answers at {url}: {why}")


class HubAnswerError(LookError):
    """The hub answers with a refusal or an error."""

    def __init__(self, what: str, status: int, said: str) -> None:
        super().__init__(f"{what} was answered by {status}" + (f": {said}" if said else ""))
        self.status = status


class StartFailedError(LookError):
    """The hub gave the server up."""

    def __init__(self, why: str) -> None:
        super().__init__(why or "the server is gone before it was ready; the hub's log says why")


class TooSlowError(LookError):
    """What was waited for did not come."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"{what} after {seconds:.0f} s")


class NotAskedError(Exception):
    """A look that cannot be had, which is no failure."""
