"""How labctl ends; documented in docs/exit-codes.md, which a test compares with this."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """Exit status of every verb."""

    OK = 0
    """Done, or nothing to do."""
    FAILED = 1
    """An operation failed; what it did before is kept, and a second run goes on from there."""
    USAGE = 2
    """The command line is not understood."""
    INVALID = 3
    """The stack file is wrong, or lacks what an update needs; nothing was touched."""
    REFUSED = 4
    """The change would destroy what was not named, or what is protected; nothing was touched."""
    LOCKED = 5
    """Another process is changing the stack."""
    STATE = 6
    """The state cannot be used: no passphrase, a damaged file, a full disk."""
    CLUSTER = 7
    """The embedded control plane could not be had or started."""
    CHANGES = 8
    """``--expect-no-changes`` or ``diff --exit-code``, and there are some."""
    DRIFT = 9
    """A host is not what the stack file says: `drift` found differences, `hosts keys` another key."""
    UNANSWERED = 10
    """A host could not be asked, so nobody knows; in `drift` this counts more than what others differ in."""
    INCOMPLETE = 11
    """A bundle lacks something; what came is kept, and a second run goes on from there."""
    ABSENT = 12
    """There is no copy of what is to be restored; nothing was touched."""
    UNHEALTHY = 13
    """`doctor`, `hub check` or `backend check` found a problem; what came of each look was shown."""
    POLICY = 14
    """A mandatory rule of the policies is broken; nothing was touched."""
    INTERRUPTED = 130
    """Stopped on request; what was under way was finished, and a second run goes on from there."""
