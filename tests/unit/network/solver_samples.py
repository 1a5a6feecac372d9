"""A solver of each kind, as a stack file has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value

__all__ = ["CLOUDFLARE", "RFC2136", "ROUTE53", "SOLVERS"]

RFC2136: Mapping[str, Value] = {
    "kind": "rfc2136",
    "nameserver": "2001:db8::53",
    "keyName": "acme",
    "key": {"secret": "dnsUpdateKey"},
}
CLOUDFLARE: Mapping[str, Value] = {"kind": "cloudflare", "token": {"secret": "cloudflareToken"}}
ROUTE53: Mapping[str, Value] = {
    "kind": "route53",
    "accessKeyId": {"secret": "route53KeyId"},
    "secretAccessKey": {"secret": "route53Key"},
    "hostedZone": "Z0123456789",
    "role": "arn:aws:iam::123456789012:role/dns",
}
SOLVERS: Mapping[str, Mapping[str, Value]] = {
    "http01": {"kind": "http01"},
    "rfc2136": RFC2136,
    "cloudflare": CLOUDFLARE,
    "route53": ROUTE53,
}
