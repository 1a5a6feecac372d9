"""Secrets by name: the cluster's object never holds one, it only names the configuration key that does."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from .errors import MalformedValueError, PlainSecretError
from .model import Model

__all__ = ["SecretRef", "plain_secret"]

_KEY_PATTERN = r"^[a-zA-Z][a-zA-Z0-9]*$"

_SIGNATURES = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----"), "a private key"),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{16,}"), "a GitHub token"),
    (re.compile(r"\bgithub_pat_[A-Za-z0-9_]{20,}"), "a GitHub token"),
    (re.compile(r"\bglpat-[A-Za-z0-9_-]{16,}"), "a GitLab token"),
    (re.compile(r"\bGOCSPX-[A-Za-z0-9_-]{16,}"), "a Google OAuth client secret"),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), "an AWS access key"),
    (re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"), "a Slack token"),
    (re.compile(r"\bnvapi-[A-Za-z0-9_-]{16,}"), "an NVIDIA API key"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."), "a JSON web token"),
    (re.compile(r"^[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@"), "a password in a URL"),
    (re.compile(r"^\$2[aby]\$[0-9]{2}\$|^\$[156y]\$"), "a password hash"),
)
"""Texts that only a secret looks like, and what each is. The prefixes are the issuers' own (GitHub, GitLab, Google,
AWS, Slack, NVIDIA), the hashes crypt(5)'s."""

_SECRET_KEYS = re.compile(
    r"(password|passwd|passphrase|token|clientsecret|privatekey|apikey|secretkey)$", re.IGNORECASE
)
"""Keys whose plain text would be a secret whatever it looks like."""


def plain_secret(text: str, key: str = "") -> str | None:
    """Return what kind of secret a plain text looks like, or None.

    Parameters
    ----------
    text
        The text as the stack file has it.
    key
        The key it stands under; some keys hold secrets by their name alone.

    Examples
    --------
    >>> plain_secret("ghp_0123456789abcdefghij")
    'a GitHub token'
    >>> plain_secret("hunter2", key="adminPassword")
    'the value of adminPassword'
    """
    for signature, kind in _SIGNATURES:
        if signature.search(text):
            return kind
    if text and _SECRET_KEYS.search(key):
        return f"the value of {key}"
    return None


def _config_key(text: str) -> str:
    if kind := plain_secret(text):
        raise PlainSecretError(kind=kind)
    if re.match(_KEY_PATTERN[:-1] + r"\Z", text) is None:
        raise MalformedValueError(
            text, "the name of a configuration key", "write letters and digits: oauthClientSecret"
        )
    return text


class SecretRef(Model):
    """The name of a configuration key of its own that holds a secret, set by ``pulumi config set --secret KEY``."""

    secret: Annotated[str, AfterValidator(_config_key), WithJsonSchema({"type": "string", "pattern": _KEY_PATTERN})] = (
        Field(description="Configuration key of the stack, without the project's name, whose secret value is meant.")
    )

    @model_validator(mode="before")
    @classmethod
    def _only_a_name(cls, value: object) -> object:
        if isinstance(value, str):
            raise PlainSecretError(kind="a secret")
        if isinstance(value, dict) and "secure" in value:
            raise PlainSecretError(kind="a sealed secret, which would seal the whole cluster object with it,")
        return value  # pyright: ignore[reportUnknownVariableType] - pydantic judges the rest
