"""Secrets at rest, and where the passphrase comes from."""

from __future__ import annotations

import hashlib
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from labctl.engine.state import (
    CiphertextError,
    Passphrase,
    PassphraseMissingError,
    SecretsManager,
    WrongPassphraseError,
    known_passphrases,
    read_salt,
    write_salt,
)

if TYPE_CHECKING:
    from pathlib import Path

SALT = "v1:ovWLodfxFXk=:v1:uRGUK4NRpug4xvkg:D4y6+w36AEP1fjM6i46DoZ9KQpzRDA=="
OFFICIAL = "v1:lballqjHjlR1Q/SM:UXAWdw5yBYKfuuHNKMxSuP9DO1YkSDdXe28iyyqt9g=="


@pytest.fixture
def manager() -> SecretsManager:
    return SecretsManager(SALT, (Passphrase("the test", "contract"),))


def test_opens_what_the_official_cli_sealed(manager: SecretsManager) -> None:
    assert manager.decrypt(OFFICIAL) == '"hush-canary-1"'


def test_seals_under_a_fresh_nonce(manager: SecretsManager) -> None:
    sealed = {manager.encrypt("hush") for _ in range(3)}
    assert len(sealed) == 3
    assert {manager.decrypt(item) for item in sealed} == {"hush"}
    assert not any("hush" in item for item in sealed)


def test_derives_the_key_once_and_only_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []
    derive = hashlib.pbkdf2_hmac

    def count(name: str, password: bytes, salt: bytes, iterations: int, length: int) -> bytes:
        rounds.append(iterations)
        return derive(name, password, salt, 1, length)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", count)
    fresh = SecretsManager(None, (Passphrase("the test", "something else"),))
    assert fresh.salt is None
    assert not rounds
    sealed = [fresh.encrypt("a"), fresh.encrypt("b")]
    again = SecretsManager(fresh.salt, (Passphrase("the test", "something else"),))
    assert [again.decrypt(item) for item in sealed] == ["a", "b"]
    assert rounds == [1_000_000]


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [
        ("v2:AAAA:AAAA", "not of the form"),
        ("v1:AAAA", "not of the form"),
        ("v1:AAAA:AAAA", "nonce has 3 bytes"),
        ("v1:!:AAAA", "not base64"),
        (OFFICIAL[:-4] + "AA==", "damaged, or was sealed with another key"),
    ],
)
def test_says_what_is_wrong_with_a_ciphertext(manager: SecretsManager, damaged: str, problem: str) -> None:
    with pytest.raises(CiphertextError, match=problem):
        manager.decrypt(damaged)


def test_missing_passphrase_says_what_to_set() -> None:
    with pytest.raises(PassphraseMissingError, match="set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE"):
        SecretsManager(None, ()).encrypt("x")


def test_environment_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.write_text("from a file\n")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(held))
    assert known_passphrases() == (Passphrase(str(held), "from a file"),)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    assert known_passphrases() == (Passphrase("PULUMI_CONFIG_PASSPHRASE", ""),)
    assert not (tmp_path / "default").exists()
    assert known_passphrases(tmp_path / "default") == (Passphrase("PULUMI_CONFIG_PASSPHRASE", ""),)
    assert not (tmp_path / "default").exists()


def test_unreadable_passphrase_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(PassphraseMissingError, match="nowhere cannot be read"):
        known_passphrases()


def test_default_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / ".lab" / "passphrase"
    with ThreadPoolExecutor(8) as pool:
        made = {future.result() for future in [pool.submit(known_passphrases, path) for _ in range(16)]}
    assert len(made) == 1
    ((only,),) = made
    assert len(only.text) >= 40
    assert only.text not in repr(only)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["passphrase"]


def test_without_a_default_nothing_is_made() -> None:
    assert known_passphrases() == ()


def test_state_of_the_default_stays_readable_under_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    before = SecretsManager(None, known_passphrases(path))
    sealed = before.encrypt("kept")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "a real one")
    after = SecretsManager(before.salt, known_passphrases(path))
    assert after.decrypt(sealed) == "kept"
    assert after.superseded
    assert not before.superseded
    path.unlink()
    with pytest.raises(WrongPassphraseError, match=r"that of PULUMI_CONFIG_PASSPHRASE$"):
        SecretsManager(before.salt, known_passphrases(path)).decrypt(sealed)


@pytest.mark.parametrize(
    "text",
    ["", "config:\n  a:b: 1 # why\n", "encryptionsalt: v1:old:v1:x:y\nconfig: {}\n", "config:\n  x:encryptionsalt: 1"],
)
def test_salt_goes_into_the_stack_file_and_nothing_else_changes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(text)
    write_salt(path, SALT)
    assert read_salt(path) == SALT
    kept = [line for line in path.read_text().splitlines() if not line.startswith("encryptionsalt:")]
    assert kept == [line for line in text.splitlines() if not line.startswith("encryptionsalt:")]


def test_no_stack_file_has_no_salt(tmp_path: Path) -> None:
    assert read_salt(tmp_path / "Pulumi.none.yaml") is None
