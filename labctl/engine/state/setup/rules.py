"""How a bucket that holds a state should be, as pure functions of how it is.

Sources: Amazon S3 User Guide, "Security best practices for Amazon S3" (public access, ownership, versioning,
encryption, ``aws:SecureTransport``) and "Lifecycle configuration elements". A state holds every host, network and
account of a lab; its secrets are sealed, the rest is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from labctl.graph.values import Plain

from .findings import Check, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "BLOCKED",
    "BucketSettings",
    "findings_of",
    "mended_lifecycle",
    "mended_policy",
    "tls_statement",
]

Statement = dict[str, Plain]
"""Of a bucket's policy, or a rule of its lifecycle, as the API has it."""

OLD_VERSION_DAYS: Final = 90
"""How long what was overwritten or deleted can be had back: longer than anybody's holidays, shorter than for ever."""
INCOMPLETE_DAYS: Final = 7
"""After which an upload in parts that was cut off is thrown away (the guide's own example)."""
BLOCKED: Final = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
OWNER_ENFORCED: Final = "BucketOwnerEnforced"
TLS_SID: Final = "LabStateTlsOnly"
OLD_VERSIONS_ID: Final = "lab-state-old-versions"
META: Final = b"version: 1"


@dataclass(frozen=True, kw_only=True)
class BucketSettings:
    """What was read of a bucket."""

    versioning: str
    """``Enabled``, ``Suspended`` or empty."""
    encryption: str
    """Algorithm of the default encryption, empty when there is none."""
    blocked: Mapping[str, bool]
    ownership: str
    statements: Sequence[Statement]
    rules: Sequence[Statement]
    meta: bytes | None
    """``.pulumi/meta.yaml``."""
    legacy: Sequence[str]
    """Stacks in the layout from before 2023, which has no projects."""
    unsupported: frozenset[Check] = frozenset()


def findings_of(settings: BucketSettings, *, arn: str, prefix: str, plain_http: bool) -> tuple[Finding, ...]:
    """Return one finding per setting; `arn` is the bucket's, `prefix` that of the state's keys.

    `plain_http` says that this process itself speaks to the bucket without TLS, which a policy would keep it from.
    """
    found = [
        _simple(
            Check.VERSIONING, settings.versioning, "Enabled", "turn versioning on: a state overwritten is then not lost"
        ),
        _encryption(settings),
        _public_access(settings),
        _simple(Check.OWNERSHIP, settings.ownership, OWNER_ENFORCED, f"{OWNER_ENFORCED}: access lists count no more"),
        _tls_only(settings, arn, plain_http=plain_http),
        _statements(settings),
        *_lifecycle(settings, prefix),
        _layout(settings),
    ]
    return tuple(
        Finding(check=item.check, verdict=Verdict.UNSUPPORTED, found="this service has no such setting")
        if item.check in settings.unsupported
        else item
        for item in found
    )


def _simple(check: Check, found: str, right: str, remedy: str) -> Finding:
    good = found == right
    verdict = Verdict.GOOD if good else Verdict.DIFFERS
    return Finding(check=check, verdict=verdict, found=found or "not set", remedy="" if good else remedy)


def _encryption(settings: BucketSettings) -> Finding:
    if settings.encryption:
        return Finding(check=Check.ENCRYPTION, verdict=Verdict.GOOD, found=settings.encryption)
    remedy = "encrypt by default (AES256)"
    return Finding(check=Check.ENCRYPTION, verdict=Verdict.DIFFERS, found="none", remedy=remedy)


def _public_access(settings: BucketSettings) -> Finding:
    open_ = [name for name in BLOCKED if not settings.blocked.get(name)]
    if not open_:
        return Finding(check=Check.PUBLIC_ACCESS, verdict=Verdict.GOOD, found="blocked")
    found = f"not set: {', '.join(open_)}"
    return Finding(check=Check.PUBLIC_ACCESS, verdict=Verdict.DIFFERS, found=found, remedy="block all public access")


def tls_statement(arn: str) -> Statement:
    """Return the statement of a policy that keeps everybody out who comes without TLS."""
    return {
        "Sid": TLS_SID,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _tls_only(settings: BucketSettings, arn: str, *, plain_http: bool) -> Finding:
    if any(_is_tls_only(statement, arn) for statement in settings.statements):
        return Finding(check=Check.TLS_ONLY, verdict=Verdict.GOOD, found="requests without TLS are denied")
    if plain_http:
        remedy = "the backend's URL says http: give the service a certificate and the URL https, then a policy"
        return Finding(check=Check.TLS_ONLY, verdict=Verdict.BY_HAND, found="states travel in the clear", remedy=remedy)
    remedy = "add a statement that denies requests without TLS"
    return Finding(check=Check.TLS_ONLY, verdict=Verdict.DIFFERS, found="requests without TLS are taken", remedy=remedy)


def _is_tls_only(statement: Statement, arn: str) -> bool:
    condition = statement.get("Condition")
    transport = _values(condition.get("Bool")) if isinstance(condition, dict) and len(condition) == 1 else {}
    return (
        statement.get("Effect") == "Deny"
        and _everybody(statement)
        and bool({"s3:*", "*"} & set(_texts(statement.get("Action"))))
        and (
            {"*"} <= set(_texts(statement.get("Resource")))
            or {arn, f"{arn}/*"} <= set(_texts(statement.get("Resource")))
        )
        and list(transport) == ["aws:SecureTransport"]
        and [text.lower() for text in _texts(transport["aws:SecureTransport"])] == ["false"]
    )


def _statements(settings: BucketSettings) -> Finding:
    open_ = [
        str(statement.get("Sid") or f"number {number}")
        for number, statement in enumerate(settings.statements, start=1)
        if statement.get("Effect") == "Allow" and _everybody(statement) and not statement.get("Condition")
    ]
    if not open_:
        return Finding(check=Check.STATEMENTS, verdict=Verdict.GOOD, found="none allows everybody")
    remedy = "take out of the bucket's policy, or restrict, what allows everybody"
    found = f"allow everybody: {', '.join(open_)}"
    return Finding(check=Check.STATEMENTS, verdict=Verdict.BY_HAND, found=found, remedy=remedy)


def _everybody(statement: Statement) -> bool:
    principal = statement.get("Principal")
    return "*" in _texts(principal) or (isinstance(principal, dict) and "*" in _texts(principal.get("AWS")))


def _lifecycle(settings: BucketSettings, prefix: str) -> list[Finding]:
    covering = [rule for rule in settings.rules if rule.get("Status") == "Enabled" and _covers(rule, prefix)]
    old = any(_values(rule.get("NoncurrentVersionExpiration")).get("NoncurrentDays") for rule in covering)
    incomplete = any(rule.get("AbortIncompleteMultipartUpload") for rule in covering)
    return [
        Finding(
            check=Check.OLD_VERSIONS,
            verdict=Verdict.GOOD if old else Verdict.DIFFERS,
            found="expire" if old else "are kept for ever",
            remedy="" if old else f"let old versions of the state's objects expire after {OLD_VERSION_DAYS} days",
        ),
        Finding(
            check=Check.INCOMPLETE_UPLOADS,
            verdict=Verdict.GOOD if incomplete else Verdict.DIFFERS,
            found="are thrown away" if incomplete else "are kept for ever",
            remedy="" if incomplete else f"throw away incomplete uploads after {INCOMPLETE_DAYS} days",
        ),
        _expiration([rule for rule in settings.rules if rule.get("Status") == "Enabled"], prefix),
    ]


def _expiration(rules: Iterable[Statement], prefix: str) -> Finding:
    deadly = [
        str(rule.get("ID") or "without an ID")
        for rule in rules
        if {"Days", "Date"} & _values(rule.get("Expiration")).keys() and _meets(rule, prefix)
    ]
    if not deadly:
        return Finding(check=Check.EXPIRATION, verdict=Verdict.GOOD, found="no rule deletes what is current")
    remedy = (
        "take the rule out, or restrict it to what is not the state: it deletes the state itself when that gets old"
    )
    found = f"deleted by age: {', '.join(deadly)}"
    return Finding(check=Check.EXPIRATION, verdict=Verdict.BY_HAND, found=found, remedy=remedy)


def _layout(settings: BucketSettings) -> Finding:
    if settings.legacy:
        stacks = ", ".join(settings.legacy)
        remedy = "`pulumi state upgrade` gives them the layout with projects, the only one read here"
        found = f"stacks without a project: {stacks}"
        return Finding(check=Check.LAYOUT, verdict=Verdict.BY_HAND, found=found, remedy=remedy)
    if settings.meta is None:
        remedy = "write .pulumi/meta.yaml"
        return Finding(check=Check.LAYOUT, verdict=Verdict.DIFFERS, found="no .pulumi/meta.yaml", remedy=remedy)
    if settings.meta.strip() != META:
        remedy = "only `version: 1` is known here; see which CLI writes there"
        return Finding(check=Check.LAYOUT, verdict=Verdict.BY_HAND, found="another version", remedy=remedy)
    return Finding(check=Check.LAYOUT, verdict=Verdict.GOOD, found="version 1, stacks by project")


def mended_policy(statements: Sequence[Statement], arn: str) -> list[Statement]:
    """Return a policy's statements with the one about TLS after those that are there; an ID is never used twice."""
    ours = tls_statement(arn)
    taken = {str(statement.get("Sid")) for statement in statements}
    ours["Sid"] = next(sid for sid in (TLS_SID, *(f"{TLS_SID}{count}" for count in range(2, 99))) if sid not in taken)
    return [*statements, ours]


def mended_lifecycle(rules: Sequence[Statement], prefix: str) -> list[Statement]:
    """Return a lifecycle's rules with one about the state's objects after those that are there.

    Rules may overlap: where two say when a version goes, the earlier day counts. A delete marker goes with the last
    version that it hides. Those from before 2016 say ``Prefix`` where later ones have a ``Filter``, and S3 takes no mix
    ("Filter element can only be used in Lifecycle V2"): they are told the later way, and mean the same.
    """
    taken = {str(rule.get("ID")) for rule in rules}
    names = (OLD_VERSIONS_ID, *(f"{OLD_VERSIONS_ID}-{count}" for count in range(2, 99)))
    ours: Statement = {
        "ID": next(name for name in names if name not in taken),
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "NoncurrentVersionExpiration": {"NoncurrentDays": OLD_VERSION_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": INCOMPLETE_DAYS},
    }
    return [*map(_with_filter, rules), ours]


def _with_filter(rule: Statement) -> Statement:
    if "Prefix" not in rule or "Filter" in rule:
        return rule
    where: Statement = {"Filter": {"Prefix": rule["Prefix"]}}
    return {key: value for key, value in rule.items() if key != "Prefix"} | where


def _prefix_of(rule: Statement) -> str | None:
    """Return the prefix a rule is for; None when it is for objects of certain tags or sizes only."""
    filter_ = rule.get("Filter")
    if isinstance(filter_, dict) and filter_.keys() - {"Prefix"}:
        return None
    where = filter_ if isinstance(filter_, dict) else rule
    return str(where.get("Prefix") or "")


def _covers(rule: Statement, prefix: str) -> bool:
    """Tell whether a rule is for every object of the state."""
    own = _prefix_of(rule)
    return own is not None and prefix.startswith(own)


def _meets(rule: Statement, prefix: str) -> bool:
    """Tell whether a rule may be for some object of the state."""
    own = _prefix_of(rule)
    return own is None or prefix.startswith(own) or own.startswith(prefix)


def _texts(value: Plain) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return [value] if isinstance(value, str) else []


def _values(value: Plain) -> dict[str, Plain]:
    return cast("dict[str, Plain]", value) if isinstance(value, dict) else {}
