"""Secrets at rest: Pulumi's passphrase provider (``pkg/secrets/passphrase``, ``config.NewSymmetricCrypter``).

A passphrase and an 8-byte salt give a key (PBKDF2); a value is sealed by AES-256-GCM under that key. Deriving the key
takes about a third of a second on purpose, so it happens when the first value is sealed or opened, and once per
process and salt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .exceptions import CiphertextError, PassphraseMissingError, WrongPassphraseError

__all__ = ["PASSPHRASE_FILE_VARIABLE", "PASSPHRASE_VARIABLE", "Passphrase", "SecretsManager", "known_passphrases"]

PASSPHRASE_VARIABLE: Final = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 - a variable's name, not a secret
"""Environment variable with the passphrase itself; set but empty is the empty passphrase (as Pulumi has it)."""
PASSPHRASE_FILE_VARIABLE: Final = "PULUMI_CONFIG_PASSPHRASE_FILE"  # noqa: S105 - a variable's name, not a secret
"""Environment variable with the path of a file that holds the passphrase."""
DERIVATION_ROUNDS: Final = 1_000_000
"""PBKDF2 rounds (``config.NewSymmetricCrypterFromPassphrase``)."""
KEY_BYTES: Final = 32
"""AES-256."""
SALT_BYTES: Final = 8
"""``passphrase.NewPassphraseSecretsManager``."""
NONCE_BYTES: Final = 12
"""AES-GCM's own nonce size."""
PROOF: Final = "pulumi"
"""Sealed into the salt string, so that a wrong passphrase is known before anything is opened with it."""
DEFAULT_PASSPHRASE_BYTES: Final = 32
"""Entropy of a generated passphrase: as much as the key has."""
OPENING: Final = "open the stack's secrets"
SEALING: Final = "seal the stack's secrets"
ENCODED_PARTS: Final = 3
"""``v1:<nonce>:<ciphertext>``."""


@dataclass(frozen=True)
class Passphrase:
    """A passphrase and where it came from."""

    source: str
    """For messages: a variable's name or a path."""
    text: str

    def __repr__(self) -> str:
        return f"Passphrase(source={self.source!r})"


def known_passphrases(default_file: Path | None = None, *, create_default: bool = True) -> tuple[Passphrase, ...]:
    """Return the passphrases to try, the one for sealing first; empty when none is known.

    The environment's comes first, as the official CLI reads it. `default_file` is for a stack on a simulated cluster,
    which nobody should need a passphrase for: a random one is generated there once (mode 0600) when the environment
    has none, and a state sealed with it stays readable after the environment gets one.

    Raises
    ------
    PassphraseMissingError
        The file that ``PULUMI_CONFIG_PASSPHRASE_FILE`` names cannot be read.
    """
    known: list[Passphrase] = []
    given = os.environ.get(PASSPHRASE_VARIABLE)
    path = os.environ.get(PASSPHRASE_FILE_VARIABLE)
    if given is not None:
        known.append(Passphrase(PASSPHRASE_VARIABLE, given))
    elif path:
        try:
            known.append(Passphrase(path, Path(path).read_text(encoding="utf-8").strip()))
        except OSError as error:
            raise PassphraseMissingError(OPENING, path) from error
    if default_file is not None and (default_file.exists() or (create_default and not known)):
        known.append(Passphrase(str(default_file), _default_passphrase(default_file)))
    return tuple(known)


def _default_passphrase(path: Path) -> str:
    """Return the text of `path`, made up once; the first of two racing processes wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        written = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(written, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(DEFAULT_PASSPHRASE_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
        descriptor = os.open(path, os.O_RDONLY)
    with os.fdopen(descriptor, encoding="utf-8") as file:
        return file.read().strip()


_keys: dict[tuple[str, bytes], AESGCM] = {}
_keys_guard = Lock()


def _cipher(passphrase: str, salt: bytes) -> AESGCM:
    """Return the cipher of `passphrase` and `salt`, derived once per process."""
    with _keys_guard:
        cipher = _keys.get((passphrase, salt))
        if cipher is None:
            key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, DERIVATION_ROUNDS, KEY_BYTES)
            cipher = _keys[passphrase, salt] = AESGCM(key)
        return cipher


class SecretsManager:
    """Seals and opens the values of one stack: of its state, or ``secure:`` ones in ``Pulumi.<stack>.yaml``.

    Parameters
    ----------
    salt
        What ``encryptionsalt:`` or ``secrets_providers.state.salt`` says; None: a new one is made when the first value
        is sealed, and is then in `salt`.
    passphrases
        Those to try, see `known_passphrases`; the first one seals when the salt is new.
    """

    def __init__(self, salt: str | None, passphrases: tuple[Passphrase, ...]) -> None:
        self._salt = salt
        self._passphrases = passphrases
        self._unlocked: AESGCM | None = None
        self._source: Passphrase | None = None
        self._guard = Lock()

    @property
    def salt(self) -> str | None:
        """``v1:<salt>:v1:<nonce>:<sealed proof>``; None as long as nothing was sealed."""
        return self._salt

    @property
    def superseded(self) -> bool:
        """Tell whether it was opened by another passphrase than the one for sealing (see `known_passphrases`)."""
        return self._source is not None and self._source != self._passphrases[0]

    @property
    def source(self) -> str:
        """Where the passphrase in use came from; empty before anything was sealed or opened."""
        return self._source.source if self._source else ""

    def encrypt(self, plaintext: str) -> str:
        """Return `plaintext` sealed under a fresh nonce: ``v1:<nonce>:<ciphertext and tag>``.

        Raises
        ------
        PassphraseMissingError
            No passphrase is known.
        WrongPassphraseError
            None of them is the stack's.
        """
        return _seal(self._unlock(SEALING), plaintext)

    def decrypt(self, ciphertext: str) -> str:
        """Return what `ciphertext` seals.

        Raises
        ------
        PassphraseMissingError
            No passphrase is known.
        WrongPassphraseError
            None of them is the stack's.
        CiphertextError
            The value is malformed, damaged, or sealed for another stack.
        """
        return _open(self._unlock(OPENING), ciphertext)

    def prefetch(self) -> None:
        """Derive the key in the background, so that the first value need not wait; failures show at that value."""
        if self._salt is not None and self._passphrases and self._unlocked is None:
            Thread(target=self._try_unlock, name="passphrase", daemon=True).start()

    def _try_unlock(self) -> None:
        try:
            self._unlock(OPENING)
        except (PassphraseMissingError, WrongPassphraseError, CiphertextError):
            return

    def _unlock(self, purpose: str) -> AESGCM:
        with self._guard:
            if self._unlocked is None:
                if not self._passphrases:
                    raise PassphraseMissingError(purpose)
                self._unlocked = self._new_key() if self._salt is None else self._known_key(self._salt)
            return self._unlocked

    def _new_key(self) -> AESGCM:
        salt = secrets.token_bytes(SALT_BYTES)
        cipher = _cipher(self._passphrases[0].text, salt)
        self._source = self._passphrases[0]
        self._salt = f"v1:{base64.b64encode(salt).decode()}:{_seal(cipher, PROOF)}"
        return cipher

    def _known_key(self, state: str) -> AESGCM:
        version, _, rest = state.partition(":")
        encoded, _, proof = rest.partition(":")
        if version != "v1":
            message = f"its salt starts with {version!r}, not v1"
            raise CiphertextError(message)
        salt = _decode(encoded)
        for passphrase in self._passphrases:
            cipher = _cipher(passphrase.text, salt)
            try:
                if _open(cipher, proof) == PROOF:
                    self._source = passphrase
                    return cipher
            except CiphertextError:
                continue
        raise WrongPassphraseError([passphrase.source for passphrase in self._passphrases])


def _seal(cipher: AESGCM, plaintext: str) -> str:
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = cipher.encrypt(nonce, plaintext.encode(), None)
    return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"


def _open(cipher: AESGCM, ciphertext: str) -> str:
    parts = ciphertext.split(":")
    if len(parts) != ENCODED_PARTS or parts[0] != "v1":
        message = "it is not of the form v1:<nonce>:<ciphertext>"
        raise CiphertextError(message)
    nonce = _decode(parts[1])
    if len(nonce) != NONCE_BYTES:
        message = f"its nonce has {len(nonce)} bytes, not {NONCE_BYTES}"
        raise CiphertextError(message)
    try:
        return cipher.decrypt(nonce, _decode(parts[2]), None).decode()
    except InvalidTag as error:
        message = "it is damaged, or was sealed with another key"
        raise CiphertextError(message) from error


def _decode(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        message = "it is not base64"
        raise CiphertextError(message) from error
