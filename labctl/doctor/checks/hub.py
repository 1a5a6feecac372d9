"""The hub, as its users come to it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.doctor.facts.fact import value_of
from labctl.doctor.findings import Verdict, problem, unknown
from labctl.hub_check import Look, State

from .lab import require_lab

if TYPE_CHECKING:
    from datetime import datetime

    from labctl.doctor.declared import Declared
    from labctl.doctor.facts.everything import Facts

__all__ = ["hub"]

WORDS: Final = {
    Look.PROXY: "the proxy does not answer",
    Look.HUB: "the hub does not answer",
    Look.DATABASE: "it does not read its database",
    Look.START: "the test user's server does not start",
    Look.SERVER: "the test user's server does not answer",
    Look.STOP: "the test user's server does not stop",
}


def hub(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge what came of the looks at the hub."""
    del now
    require_lab(facts)
    report = value_of(facts.hub)
    remedy = f"{declared.up}, which starts it" if declared.simulated else f"labctl hub check --stack {declared.stack}"
    findings = tuple(
        problem(f"hub {report.url}", f"{WORDS[found.look]}: {found.said}", remedy)
        for found in report.findings
        if found.state is State.FAILED
    )
    if report.is_interrupted:
        findings += (unknown(f"hub {report.url}", "the look at it was interrupted", "run labctl doctor again"),)
    well = [found for found in report.findings if found.state is State.WELL]
    versions = ", ".join(found.said for found in well if found.look in {Look.HUB, Look.SERVER} and found.said)
    has_started = any(found.look is Look.START for found in well)
    spawned = ", and the test user's server started and stopped" if has_started else ""
    return Verdict(said=f"{report.url} answers{spawned}" + (f" ({versions})" if versions else ""), findings=findings)
