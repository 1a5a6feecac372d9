"""No plain secret: what is secret is sealed in the state, and reaches pods by the name of a Secret."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from labctl.graph.values import Secret

from .model import SCHEMAS, Finding, Rule, Severity
from .reading import Node, nodes, path_text, plain_texts, text, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.graph.values import Value

    from .model import RuledResource, Surroundings
    from .reading import Path

__all__ = ["RULES"]

SECRET_FIELDS: Final = ("data", "stringData")
"""What of a Secret is secret."""
SECRET_ENDINGS: Final = (
    ("password",),
    ("passwd",),
    ("passphrase",),
    ("token",),
    ("secret",),
    ("credential",),
    ("credentials",),
    ("api", "key"),
    ("access", "key"),
    ("secret", "key"),
    ("private", "key"),
    ("encryption", "key"),
    ("crypt", "key"),
    ("signing", "key"),
)
"""Last words of a name whose text is a secret itself: ``clientSecret``, ``API_KEY``; ``secretName`` ends otherwise."""
NAMES_ONE: Final = frozenset({"existing", "pull", "tls"})
"""Words of a name whose text is the name of a Secret: ``existingSecret``, ``imagePullSecret``."""
HARMLESS: Final = re.compile(
    r"|true|false|yes|no|none|null|\d+(?:\.\d+)?[a-zA-Z]{0,2}|/.*|\$\{[^}]*\}|\$\([^)]*\)|\{\{.*\}\}", re.DOTALL
)
"""Texts under such a name that are none: a switch, a length, a duration, a path, a reference to fill in."""
ARGUMENT: Final = re.compile(r"--?(?P<name>[A-Za-z][\w.-]*)=(?P<value>\S+)")
"""One argument of a command line that names what it gives."""
SHAPES: Final = {
    "a private key": (("PRIVATE KEY",), r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}"),
    "an access key of AWS": (("AKIA",), r"\bAKIA[0-9A-Z]{16}\b"),
    "a token of GitHub": (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,})\b",
    ),
    "a token of GitLab": (("glpat-",), r"\bglpat-[\w-]{20,}"),
    "a token of Slack": (("xox",), r"\bxox[abposr]-[A-Za-z0-9-]{10,}"),
    "a JSON Web Token": (("eyJ",), r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "the key of a kubeconfig": (("client-key-data",), r"client-key-data\"?:\s*\"?[A-Za-z0-9+/]{20}"),
    "a password in an address": (("://",), r"://[^/\s:@'\"{}$<>]+:[^/\s@'\"{}$<>]+@[\w.\[-]"),
}
"""Secrets that are known by their look, wherever they are: texts of which each holds one, quick to look for, and the
whole form (as their makers document it)."""
REMEDY: Final = "seal it (pulumi.Output.secret, pulumi config set --secret), and let the pod read a Secret by name"


def _check(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield every place where a secret is readable by whoever reads the state, the plan or the object."""
    if resource.is_object and resource.kind == SCHEMAS:
        return
    if resource.is_object and resource.kind == "Secret":
        yield from _unsealed(resource)
        # Its annotations and labels are no more sealed than any other object's.
        rest: Value = {key: value for key, value in resource.inputs.items() if key not in SECRET_FIELDS}
    else:
        rest = resource.inputs
    for node in nodes(rest):
        if not node.sealed:
            yield from _named(node)
    for path, found in plain_texts(rest):
        yield from _shaped(path, found)
        yield from _argument(path, found)


def _unsealed(resource: RuledResource) -> Iterator[Finding]:
    """Yield what of a Secret is not marked as one: a value that is not known yet will be as plain."""
    for field in SECRET_FIELDS:
        for path in _plain_leaves(resource.inputs.get(field), (field,)):
            yield Finding(path=path_text(path), what="this value of a Secret is not sealed", remedy=REMEDY)


def _plain_leaves(value: Value, path: Path) -> Iterator[Path]:
    if isinstance(value, Secret) or value is None or value in ("", {}):
        return
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _plain_leaves(value[key], (*path, key))
    else:
        yield path


def _named(node: Node) -> Iterator[Finding]:
    """Yield a text whose name says that it is a secret: as a key, or as a variable of an environment."""
    is_variable = node.key == "value" and isinstance(node.siblings.get("name"), str)
    name = text(node.siblings["name"]) if is_variable else node.key
    if isinstance(node.value, str) and _is_secret_name(name) and HARMLESS.fullmatch(node.value) is None:
        yield Finding(path=node.place, what=f"{name} is in plain text", remedy=REMEDY)


@lru_cache(maxsize=4096)
def _is_secret_name(name: str) -> bool:
    parts = words(name)
    if NAMES_ONE.intersection(parts):
        return False
    return any(parts[-len(ending) :] == ending for ending in SECRET_ENDINGS)


def _argument(path: Path, found: str) -> Iterator[Finding]:
    """Yield an argument of a command line that gives a secret: ``--password=correct-horse``."""
    match = ARGUMENT.fullmatch(found)
    if match is not None and _is_secret_name(match["name"]) and HARMLESS.fullmatch(match["value"]) is None:
        yield Finding(path=path_text(path), what=f"{match['name']} is in plain text", remedy=REMEDY)


def _shaped(path: Path, found: str) -> Iterator[Finding]:
    """Yield a text that holds a secret of a known look."""
    for what, (marks, form) in SHAPES.items():
        if any(mark in found for mark in marks) and re.search(form, found) is not None:
            yield Finding(path=path_text(path), what=f"{what} is in plain text", remedy=REMEDY)


RULES: Final = (
    Rule(
        name="no-plain-secret",
        description="What a Secret holds is sealed; no setting, environment or script holds a secret in plain text.",
        severity=Severity.MANDATORY,
        check=_check,
    ),
)
