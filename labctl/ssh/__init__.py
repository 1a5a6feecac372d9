"""Commands on other machines over SSH: one connection per host, its key pinned, usable from any thread.

Nothing of the SSH library is loaded before the first connection.
"""

from .connector import Connector
from .errors import (
    AgentError,
    AuthenticationError,
    CommandRefusedError,
    ConnectionLostError,
    HostKeyMismatchError,
    MalformedHostKeyError,
    MissingHostKeyError,
    NotSshError,
    PrivateKeyError,
    SshError,
    StoppedError,
    UnreachableError,
    VariableRefusedError,
)
from .outcome import Ending, Finished, Stream, Transcript
from .target import Target, fingerprint

__all__ = [
    "AgentError",
    "AuthenticationError",
    "CommandRefusedError",
    "ConnectionLostError",
    "Connector",
    "Ending",
    "Finished",
    "HostKeyMismatchError",
    "MalformedHostKeyError",
    "MissingHostKeyError",
    "NotSshError",
    "PrivateKeyError",
    "SshError",
    "StoppedError",
    "Stream",
    "Target",
    "Transcript",
    "UnreachableError",
    "VariableRefusedError",
    "fingerprint",
]
