"""``s3://bucket/prefix?region=...``: the URLs that the official CLI takes, read by the same rules.

That CLI opens them with the Go CDK (``gocloud.dev/aws.V2ConfigFromURLParams``, ``blob/s3blob.URLOpener``); a parameter
that neither knows is refused by name there and here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from .exceptions import BackendUrlError

__all__ = ["S3Location", "parse_s3_url"]

SCHEME: Final = "s3://"
BUCKET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""General-purpose buckets (Amazon S3 User Guide, "Bucket naming rules")."""
TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})
"""Go's ``strconv.ParseBool``."""
TEXTS: Final = frozenset({"region", "endpoint", "profile"})
SWITCHES: Final = {
    "s3ForcePathStyle": "path_style",
    "use_path_style": "path_style",
    "hostname_immutable": "path_style",
    "disableSSL": "plain_http",
    "disable_https": "plain_http",
    "dualstack": "dualstack",
    "fips": "fips",
    "accelerate": "accelerate",
}
"""Parameter -> what it switches; of two names for one thing, the older one comes first."""
ENCRYPTIONS: Final = {"aes256": "AES256", "aws:kms": "aws:kms", "aws:kms:dsse": "aws:kms:dsse"}
SET_ASIDE: Final = frozenset(
    {"awssdk", "rate_limiter_capacity", "request_checksum_calculation", "response_checksum_validation"}
)
"""Parameters that tell the official CLI's own client how to work, and say nothing about where the state is."""
ENDPOINT: Final = "endpoint is a URL such as https://s3.example.org or a host name"
REFUSED: Final = {"anonymous": "a state needs an owner: leave it out and give credentials"}


@dataclass(frozen=True, kw_only=True)
class S3Location:
    """A bucket, what of it holds the state, and how it is reached."""

    bucket: str
    prefix: str = ""
    """Of every key; empty, or ends in ``/``."""
    region: str | None = None
    """None: as the profile or ``AWS_REGION`` has it."""
    endpoint: str | None = None
    """URL of a service that speaks S3; None: Amazon's own of the region."""
    profile: str | None = None
    path_style: bool = False
    """Whether the bucket is named in the path and not in the host name."""
    plain_http: bool = False
    dualstack: bool = False
    fips: bool = False
    accelerate: bool = False
    encryption: str | None = None
    """Asked for with each write (``AES256``, ``aws:kms``); None: the bucket's default."""
    kms_key: str | None = None

    @property
    def place(self) -> str:
        """For messages: the bucket and the prefix."""
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")


def parse_s3_url(url: str) -> S3Location:
    """Return where an ``s3://`` URL leads.

    Raises
    ------
    BackendUrlError
        It names no bucket, holds credentials, or has a parameter that is unknown or has no such value; the message
        names the parameter and never its value.
    """
    parts = _parts(url)
    bucket = parts.netloc
    if parts.scheme != "s3" or not BUCKET_NAME.fullmatch(bucket):
        raise BackendUrlError(
            url, f"{bucket!r} is not the name of a bucket: 3 to 63 lower-case letters, digits, - and ."
        )
    if parts.fragment:
        raise BackendUrlError(url, "nothing may follow a #")
    prefix = unquote(parts.path).strip("/")
    texts: dict[str, str] = {}
    switches: dict[str, bool] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in TEXTS or name == "kmskeyid":
            texts[name] = value
        elif name == "ssetype":
            texts[name] = _encryption(url, value)
        elif name in SWITCHES:
            field = SWITCHES[name]
            switches[field] = _switch(url, name, value) or switches.get(field, False)
        elif name in REFUSED:
            raise BackendUrlError(url, f"{name}: {REFUSED[name]}")
        elif name not in SET_ASIDE:
            known = ", ".join(sorted(TEXTS | SWITCHES.keys() | SET_ASIDE | {"ssetype", "kmskeyid"}))
            raise BackendUrlError(url, f"unknown parameter {name!r}; known are {known}")
    return S3Location(
        bucket=bucket,
        prefix=f"{prefix}/" if prefix else "",
        region=texts.get("region") or None,
        endpoint=_endpoint(url, texts.get("endpoint", ""), plain=switches.get("plain_http", False)),
        profile=texts.get("profile") or None,
        encryption=texts.get("ssetype"),
        kms_key=texts.get("kmskeyid") or None,
        **switches,
    )


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that are not those of an IPv6 address; what else it holds is not shown
        raise BackendUrlError(SCHEME, "it is not a URL: no bucket's name has brackets") from None
    if parts.username is not None or parts.password is not None:
        shown = f"{SCHEME}{parts.hostname}"
        raise BackendUrlError(shown, "take the credentials out of the URL (AWS_PROFILE, ...)")
    return parts


def _switch(url: str, name: str, value: str) -> bool:
    if value not in TRUE | FALSE:
        raise BackendUrlError(url, f"{name} is true or false")
    return value in TRUE


def _encryption(url: str, value: str) -> str:
    if value.lower() not in ENCRYPTIONS:
        raise BackendUrlError(url, f"ssetype is one of {', '.join(ENCRYPTIONS.values())}")
    return ENCRYPTIONS[value.lower()]


def _endpoint(url: str, given: str, *, plain: bool) -> str | None:
    """Return the endpoint with its scheme; a host name alone is one too (older Go CDK)."""
    if not given:
        return None
    full = given if "://" in given else f"{'http' if plain else 'https'}://{given}"
    try:
        parts = urlsplit(full)
        usable = parts.port != 0  # reading it fails where it is no number, or too large a one
    except ValueError:
        raise BackendUrlError(url, ENDPOINT) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or not usable:
        raise BackendUrlError(url, ENDPOINT)
    if parts.username is not None or parts.password is not None:
        raise BackendUrlError(url, "take the credentials out of its endpoint (AWS_PROFILE, AWS_ACCESS_KEY_ID, ...)")
    return full
