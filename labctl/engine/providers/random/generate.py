"""Random values, all from the operating system's generator (`secrets`)."""

from __future__ import annotations

import base64
import secrets
import uuid
from dataclasses import dataclass
from typing import Final

import bcrypt
from petname import english  # pyright: ignore[reportMissingTypeStubs] - three lists of words

__all__ = [
    "CharacterClasses",
    "RandomBytes",
    "bcrypt_hash",
    "random_bytes",
    "random_pet",
    "random_string",
    "random_uuid",
]

DIGITS: Final = "0123456789"
LOWER: Final = "abcdefghijklmnopqrstuvwxyz"
UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SPECIAL: Final = "!@#$%&*()-_=+[]{}<>:?"
"""Default of ``overrideSpecial`` (terraform-provider-random, ``internal/random/string.go``)."""
BCRYPT_COST: Final = 10
"""Go's ``bcrypt.DefaultCost``, which the official provider uses; about 50 ms."""
BCRYPT_LIMIT_BYTES: Final = 72
"""What bcrypt looks at; the official provider cuts longer passwords there."""


@dataclass(frozen=True, kw_only=True)
class CharacterClasses:
    """Which characters a random string is made of, and how many of each class at least."""

    length: int
    lower: bool = True
    upper: bool = True
    numeric: bool = True
    special: bool = True
    min_lower: int = 0
    min_upper: int = 0
    min_numeric: int = 0
    min_special: int = 0
    override_special: str = ""


def random_string(wanted: CharacterClasses) -> str:
    """Return ``wanted.length`` characters: the least of each class, the rest from all that are allowed, shuffled."""
    special = wanted.override_special or SPECIAL
    minima = (
        (LOWER, wanted.min_lower),
        (UPPER, wanted.min_upper),
        (DIGITS, wanted.min_numeric),
        (special, wanted.min_special),
    )
    allowed = "".join(
        characters
        for characters, included in (
            (UPPER, wanted.upper),
            (LOWER, wanted.lower),
            (DIGITS, wanted.numeric),
            (special, wanted.special),
        )
        if included
    )
    chosen = [secrets.choice(characters) for characters, count in minima for _ in range(count)]
    chosen += [secrets.choice(allowed) for _ in range(wanted.length - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def bcrypt_hash(password: str) -> str:
    """Return the bcrypt hash of `password`, in Go's ``$2a$`` form."""
    salt = bcrypt.gensalt(BCRYPT_COST, prefix=b"2a")
    return bcrypt.hashpw(password.encode()[:BCRYPT_LIMIT_BYTES], salt).decode()


@dataclass(frozen=True)
class RandomBytes:
    """One random number in the forms RandomId has it."""

    b64_url: str
    b64_std: str
    hex: str
    dec: str


def random_bytes(count: int) -> RandomBytes:
    """Return `count` random bytes; base64 for URLs is not padded, decimal has no leading zeros."""
    value = secrets.token_bytes(count)
    return RandomBytes(
        b64_url=base64.urlsafe_b64encode(value).rstrip(b"=").decode(),
        b64_std=base64.b64encode(value).decode(),
        hex=value.hex(),
        dec=str(int.from_bytes(value, "big")),
    )


def random_pet(words: int, separator: str) -> str:
    """Return adverbs, an adjective and an animal's name, `words` in all (golang-petname, which the lists are from)."""
    chosen = [secrets.choice(_words("names"))]
    if words > 1:
        chosen.insert(0, secrets.choice(_words("adjectives")))
    chosen[:0] = [secrets.choice(_words("adverbs")) for _ in range(words - len(chosen))]
    return separator.join(chosen).lower()


def _words(kind: str) -> list[str]:
    return [str(word) for word in getattr(english, kind)]


def random_uuid() -> str:
    """Return a random UUID (version 4)."""
    return str(uuid.uuid4())
