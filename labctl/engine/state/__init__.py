"""A stack's state: Pulumi's own files, kept safe against everything that can interrupt a run.

Open a stack with `open_stack`; `Stack` says how a run is told to it. `open_backend` finds its files, in a folder or a
bucket; `known_passphrases` and `SecretsManager` know how its secrets are sealed; `export_deployment` and
`import_deployment` move a state to the official CLI and back.
"""

from .backend import Backend, FileBackend, FileStackFiles, S3Backend, StackFiles, UpdateKind, open_backend
from .bucket import Bucket, FileBucket
from .bucket_exceptions import BucketError
from .exceptions import (
    BackendUrlError,
    CiphertextError,
    CompressedStateError,
    ForeignSecretsError,
    ForeignStackError,
    JournalFullError,
    JournalMismatchError,
    LockLeftError,
    MalformedStateError,
    OfficialJournalError,
    PassphraseMissingError,
    ReadOnlyStackError,
    SnapshotIntegrityError,
    StackLockedError,
    StateChangedError,
    StateDroppedError,
    StateError,
    StateWriteError,
    UnknownLockError,
    WrongPassphraseError,
)
from .holder import Fate, LockHolder, ProcessStamp
from .locks import StackLock
from .merge import merge
from .passphrase import Passphrase, SecretsManager, known_passphrases
from .resource import CustomTimeouts, PendingOperation, ResourceState
from .snapshot import Snapshot, verify
from .stack import Begun, Stack, open_stack
from .stack_file import read_salt, write_salt
from .transfer import SIMULATED_KEY, Export, Given, check_given, export_deployment, import_deployment, reveal
from .wire import Codec

__all__ = [
    "SIMULATED_KEY",
    "Backend",
    "BackendUrlError",
    "Begun",
    "Bucket",
    "BucketError",
    "CiphertextError",
    "Codec",
    "CompressedStateError",
    "CustomTimeouts",
    "Export",
    "Fate",
    "FileBackend",
    "FileBucket",
    "FileStackFiles",
    "ForeignSecretsError",
    "ForeignStackError",
    "Given",
    "JournalFullError",
    "JournalMismatchError",
    "LockHolder",
    "LockLeftError",
    "MalformedStateError",
    "OfficialJournalError",
    "Passphrase",
    "PassphraseMissingError",
    "PendingOperation",
    "ProcessStamp",
    "ReadOnlyStackError",
    "ResourceState",
    "S3Backend",
    "SecretsManager",
    "Snapshot",
    "SnapshotIntegrityError",
    "Stack",
    "StackFiles",
    "StackLock",
    "StackLockedError",
    "StateChangedError",
    "StateDroppedError",
    "StateError",
    "StateWriteError",
    "UnknownLockError",
    "UpdateKind",
    "WrongPassphraseError",
    "check_given",
    "export_deployment",
    "import_deployment",
    "known_passphrases",
    "merge",
    "open_backend",
    "open_stack",
    "read_salt",
    "reveal",
    "verify",
    "write_salt",
]
