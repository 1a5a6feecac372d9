"""A stack's state: Pulumi's own files, kept safe against everything that can interrupt a run.

Open a stack with `open_stack`; `Stack` says how a run is told to it. `FileBackend` knows where its files are,
`known_passphrases` and `SecretsManager` how its secrets are sealed, `export_deployment` and `import_deployment` move a
state to the official CLI and back.
"""

from .backend import FileBackend, StackFiles, UpdateKind
from .bucket import Bucket, FileBucket
from .exceptions import (
    BackendUrlError,
    CiphertextError,
    ForeignStackError,
    JournalFullError,
    JournalMismatchError,
    MalformedStateError,
    PassphraseMissingError,
    ReadOnlyStackError,
    SnapshotIntegrityError,
    StackLockedError,
    StateError,
    StateWriteError,
    UnknownLockError,
    WrongPassphraseError,
)
from .holder import LockHolder
from .locks import StackLock
from .merge import merge
from .passphrase import Passphrase, SecretsManager, known_passphrases
from .resource import CustomTimeouts, PendingOperation, ResourceState
from .snapshot import Snapshot, verify
from .stack import Begun, Stack, open_stack
from .stack_file import read_salt, write_salt
from .transfer import SIMULATED_KEY, Export, export_deployment, import_deployment
from .wire import Codec

__all__ = [
    "SIMULATED_KEY",
    "BackendUrlError",
    "Begun",
    "Bucket",
    "CiphertextError",
    "Codec",
    "CustomTimeouts",
    "Export",
    "FileBackend",
    "FileBucket",
    "ForeignStackError",
    "JournalFullError",
    "JournalMismatchError",
    "LockHolder",
    "MalformedStateError",
    "Passphrase",
    "PassphraseMissingError",
    "PendingOperation",
    "ReadOnlyStackError",
    "ResourceState",
    "SecretsManager",
    "Snapshot",
    "SnapshotIntegrityError",
    "Stack",
    "StackFiles",
    "StackLock",
    "StackLockedError",
    "StateError",
    "StateWriteError",
    "UnknownLockError",
    "UpdateKind",
    "WrongPassphraseError",
    "export_deployment",
    "import_deployment",
    "known_passphrases",
    "merge",
    "open_stack",
    "read_salt",
    "verify",
    "write_salt",
]
