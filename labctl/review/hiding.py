"""Values as a comment may show them: secrets never, whatever form they have in a preview.

A preview seals what the program said is a secret. The rest of this module is the second line of defence: what a
provider or a key's name says is one, and passwords in addresses. A comment is read by more people than a state.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from labctl.graph.rules.sources import UNKNOWN_TEXTS
from labctl.graph.values import REDACTED, RESOURCE_SIGNATURE, SECRET_SIGNATURE, SIGNATURE_KEY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from labctl.graph.values import Plain

__all__ = ["HIDDEN", "shown_properties", "without_secrets"]

HIDDEN: Final = "[hidden]"
"""What stands for a value that nobody sealed and that is named like a secret."""
NOT_KNOWN: Final = "[unknown]"
"""What stands for a value that only a real run has."""
SECRET_TYPE: Final = re.compile(r"^kubernetes:core/v1:Secret(?:Patch|List)?$")
"""Type whose content is secret by its nature."""
SECRET_CONTENT: Final = frozenset({"data", "stringData", "items"})
"""Where that content is."""
SECRET_NAME: Final = re.compile(
    r"(?:password|passwd|passphrase|private_?key|access_?key|secret_?key|api_?key|api_?token|auth_?token|secret_?token"
    r"|bearer_?token|client_?secret|cookie_?secret|crypt_?keys?|credentials?)(?:_?pem|_?text|_?value)?$",
    re.IGNORECASE,
)
"""Ends of names under which a text would be a secret."""
CREDENTIALS: Final = re.compile(r"(://)[^/\s@'\"]+@")
"""Name and password in an address (RFC 3986, userinfo)."""
PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN (?P<what>[A-Z ]*PRIVATE KEY)-----.*?(?:-----END (?P=what)-----|\Z)", re.DOTALL
)
"""A private key in PEM (RFC 7468), in any text."""
TOKEN: Final = re.compile(
    r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{40,}|glpat-[\w-]{20,}|xox[abposr]-[\w-]{10,}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})"
)
"""Tokens known by their look: of AWS, GitHub, GitLab and Slack, JSON Web Tokens (the forms their makers document)."""


def shown_properties(properties: Mapping[str, Plain], type_: str, sealed: Collection[str] = ()) -> dict[str, Plain]:
    """Return `properties` with nothing secret in them; what an engine keeps for itself (``__...``) is left out.

    Parameters
    ----------
    properties
        Inputs or outputs as a state has them: secrets sealed, or ``[secret]`` already.
    type_
        Type token of their resource.
    sealed
        Properties that are secret as a whole (``additionalSecretOutputs``).
    """
    shown: dict[str, Plain] = {}
    for key, value in properties.items():
        if key.startswith("__"):
            continue
        content = SECRET_TYPE.match(type_) is not None and key in SECRET_CONTENT
        shown[key] = _blank(value) if content else REDACTED if key in sealed else _shown(key, value)
    return shown


def _shown(key: str, value: Plain) -> Plain:
    if isinstance(value, dict):
        signature = value.get(SIGNATURE_KEY)
        if signature is not None:
            return _special(value)
        return {name: _shown(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shown(key, item) for item in value]
    if isinstance(value, str):
        return _text(key, value)
    return value


def _special(value: Mapping[str, Plain]) -> Plain:
    """Return what stands for a value with a signature: a secret, a reference to a resource, an asset."""
    signature = value[SIGNATURE_KEY]
    if signature == RESOURCE_SIGNATURE:
        return value.get("id") or value.get("urn")
    return REDACTED if signature == SECRET_SIGNATURE else HIDDEN


def _text(key: str, text: str) -> str:
    if text in (REDACTED, ""):
        return text
    if text in UNKNOWN_TEXTS:
        return NOT_KNOWN
    if SECRET_NAME.search(key):
        return HIDDEN
    return without_secrets(text)


def without_secrets(text: str) -> str:
    """Return `text` without what looks like a secret in it: keys, tokens, passwords in addresses."""
    text = PRIVATE_KEY.sub(HIDDEN, CREDENTIALS.sub(rf"\1{HIDDEN}@", text))
    return TOKEN.sub(HIDDEN, text)


def _blank(value: Plain) -> Plain:
    """Return the keys of a secret's content, without any of it."""
    if isinstance(value, dict) and SIGNATURE_KEY not in value:
        return {key: _blank(item) for key, item in value.items()}
    return REDACTED
