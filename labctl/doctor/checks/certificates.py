"""cert-manager's Certificates, and what the gateway shows. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from labctl.doctor.facts.fact import Inapplicable, Known, MissingFactError, Unknown, value_of
from labctl.doctor.findings import Verdict, problem, unknown, warning

from .cluster import cluster_of
from .expiry import days, expiry
from .lab import require_lab
from .releases import RELEASE, is_recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from labctl.doctor.declared import Declared
    from labctl.doctor.facts.everything import Facts
    from labctl.doctor.facts.objects import CertificateFacts
    from labctl.doctor.findings import Finding

__all__ = ["certificates", "gateway_certificate"]

CERTIFICATE: Final = "kubernetes:cert-manager.io/v1:Certificate"
ISSUER: Final = "cert-manager"
"""Chart of what issues them."""
LATE: Final = timedelta(days=1)
"""After the time cert-manager meant to renew a certificate: it tries again for hours before anybody need look."""
SOON: Final = timedelta(days=20)
"""Before the end of a certificate that is renewed by itself: of 90 days, it is when 30 are left (cert-manager)."""


def certificates(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge whether the stack's Certificates are there, Ready, and renewed in time."""
    require_lab(facts)
    meant = facts.state.objects(CERTIFICATE)
    if not meant:
        raise MissingFactError(Inapplicable("the stack has no Certificates"))
    there = {(found.namespace, found.name): found for found in value_of(cluster_of(facts).certificates)}
    is_idle = any(is_recorded(state) and _is_issuer(state.name) for state in facts.state.of_type(RELEASE))
    findings: list[Finding] = []
    for namespace, name in meant:
        found = there.get((namespace, name))
        if found is None:
            subject = f"Certificate {namespace}/{name}"
            findings.append(problem(subject, "it is in the state and not in the cluster", declared.refresh))
        elif not (is_idle and found.is_ready is None and found.not_after is None):
            findings += _certificate(found, declared, now)
    if is_idle:
        said = f"{len(meant)} are declared; nobody issues them, since {ISSUER} is recorded only"
    else:
        said = f"{len(meant)} are Ready"
    return Verdict(said=said, findings=tuple(findings))


def gateway_certificate(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge what the gateway shows to somebody who comes for each published name."""
    require_lab(facts)
    findings: list[Finding] = []
    shown = value_of(facts.gateway_certificates)
    left: list[timedelta] = []
    remedy = declared.kubectl("describe gateways -A") + ", and see the check `certificates`"
    for name, fact in shown.items():
        if not isinstance(fact, Known):
            why, what_to_do = fact.why, fact.remedy if isinstance(fact, Unknown) else remedy
            is_down = isinstance(fact, Unknown) and fact.is_down
            findings.append((problem if is_down else unknown)(name, why, what_to_do))
            continue
        left.append(fact.value.not_after - now)
        findings += expiry(name, fact.value.not_after, now, remedy, soon=SOON)
        if not fact.value.is_for(name):
            names = ", ".join(fact.value.names) or "no name"
            findings.append(problem(name, f"the certificate shown there is for {names}", remedy))
    words = f", {days(min(left))} left" if left else ""
    return Verdict(said=f"{len(left)} published names have theirs{words}", findings=tuple(findings))


def _certificate(found: CertificateFacts, declared: Declared, now: datetime) -> Iterator[Finding]:
    subject = f"Certificate {found.namespace}/{found.name}"
    look = declared.kubectl(f"describe certificate -n {found.namespace} {found.name}")
    if found.is_ready is None:
        yield warning(subject, "nobody has said yet whether it is issued", look)
    elif not found.is_ready:
        yield problem(subject, f"it is not Ready: {found.reason or 'nobody says why'}", look)
    if found.not_after is None:
        return
    late = tuple(expiry(subject, found.not_after, now, look, soon=SOON))
    yield from late
    if not late and found.renewal is not None and now - found.renewal > LATE:
        yield warning(subject, f"it should have been renewed on {found.renewal:%Y-%m-%d}", look)


def _is_issuer(name: str) -> bool:
    return name == ISSUER or name.endswith(f"-{ISSUER}")
