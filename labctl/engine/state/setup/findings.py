"""What a look at a backend says, setting by setting."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Check", "Finding", "Verdict"]


class Check(StrEnum):
    """What is looked at."""

    VERSIONING = "versioning"
    ENCRYPTION = "encryption"
    PUBLIC_ACCESS = "public-access"
    OWNERSHIP = "ownership"
    TLS_ONLY = "tls-only"
    STATEMENTS = "policy-statements"
    OLD_VERSIONS = "old-versions"
    INCOMPLETE_UPLOADS = "incomplete-uploads"
    EXPIRATION = "expiration"
    LAYOUT = "layout"
    CONDITIONAL_WRITES = "conditional-writes"
    PERMISSIONS = "permissions"
    OWNER = "owner"


class Verdict(StrEnum):
    """What came of it."""

    GOOD = "good"
    DIFFERS = "differs"
    """Not as it should be, and `init --fix` puts it right."""
    BY_HAND = "by-hand"
    """Not as it should be, and only a person can say what else it is for."""
    UNSUPPORTED = "unsupported"
    """The service has no such setting."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One setting."""

    check: Check
    verdict: Verdict
    found: str
    remedy: str = ""
    """What would be right; empty when it is."""

    @property
    def wrong(self) -> bool:
        """Tell whether something is to be done."""
        return self.verdict in {Verdict.DIFFERS, Verdict.BY_HAND}
