"""What was looked at, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.graph.values import Plain

__all__ = ["Finding", "Look", "Report", "State"]


class Look(StrEnum):
    """One thing that is looked at, in this order; most need the one before."""

    PROXY = "proxy"
    """Something answers at the hub's address."""
    HUB = "hub"
    """The hub answers behind it, and says its version."""
    DATABASE = "database"
    """It finds the token that asks, which is in its database."""
    START = "start"
    """The test user's server starts."""
    SERVER = "server"
    """It answers through the proxy, and has asked the hub who is asking."""
    STOP = "stop"
    """It is gone again."""


class State(StrEnum):
    """What came of a look."""

    WELL = "well"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not looked at: it was not asked for, or what it needs has failed."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What came of one look."""

    look: Look
    state: State
    said: str = ""
    """A version, or why it failed or was left out."""
    seconds: float = 0.0
    """How long it took."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Every look at one hub."""

    stack: str
    url: str
    findings: tuple[Finding, ...]
    is_interrupted: bool = False

    @property
    def healthy(self) -> bool:
        """Whether nothing failed and nothing was cut short."""
        return not self.is_interrupted and all(found.state is not State.FAILED for found in self.findings)

    def document(self) -> dict[str, Plain]:
        """Return it as JSON (docs/hub-operation.md)."""
        return {
            "stack": self.stack,
            "url": self.url,
            "healthy": self.healthy,
            "interrupted": self.is_interrupted,
            "looks": [
                {
                    "look": found.look.value,
                    "state": found.state.value,
                    "said": found.said,
                    "seconds": round(found.seconds, 3),
                }
                for found in self.findings
            ],
        }
