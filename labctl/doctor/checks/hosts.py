"""The hosts: reached, in pinned versions, their certificates, disks and clocks, and how they differ from the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.doctor.facts.fact import Inapplicable, Known, MissingFactError, Unknown, value_of
from labctl.doctor.findings import Verdict, problem, unknown, warning
from labctl.drift.facts import upkeep_warnings
from labctl.drift.findings import Standing, StepState

from .expiry import expiry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from datetime import datetime

    from labctl.doctor.declared import Declared
    from labctl.doctor.facts.everything import Facts
    from labctl.doctor.findings import Finding
    from labctl.drift.facts import HostFacts
    from labctl.drift.findings import HostFinding, StepFinding

__all__ = [
    "answered",
    "clocks",
    "drift",
    "each_told",
    "host_certificates",
    "host_upkeep",
    "host_versions",
    "hosts",
    "steps",
]

STORAGE_STEPS: Final = frozenset({"zfs", "datasets", "exports", "scratch", "homes"})
"""Steps of a storage host that the check `host-storage` tells of."""
BACKUP_STEPS: Final = frozenset({"backup", "data-backup", "snapshots", "replica", "replica-key", "replica-access"})
"""Steps that the check `backups` tells of."""
CLOCK_WARNING_SECONDS: Final = 2.0
"""etcd warns of a second between its members (``rafthttp``, "clock difference"); a slow answer is not to be blamed."""
CLOCK_PROBLEM_SECONDS: Final = 60.0
"""Tokens and certificates that were made a minute ago are not valid yet; Kerberos refuses from five minutes on."""


def hosts(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge whether every host answers by SSH with the pinned key."""
    del now
    findings: list[Finding] = []
    known = value_of(facts.hosts)
    for name, fact in known.items():
        if isinstance(fact, Unknown):
            findings.append(unknown(name, fact.why, fact.remedy))
        elif isinstance(fact, Known) and fact.value.is_other:
            remedy = f"labctl hosts keys --stack {declared.stack} --host {name}; correct nodes.hosts.{name}.hostKey"
            findings.append(problem(name, fact.value.reason or "another key than the pinned one", remedy))
        elif isinstance(fact, Known) and fact.value.reason is not None:
            remedy = f"see to the host, or set nodes.hosts.{name}.lost if it is gone for good"
            findings.append(unknown(name, fact.value.reason, remedy))
    return Verdict(said=f"{len(known)} hosts answer, with the pinned keys", findings=tuple(findings))


def host_versions(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge whether the programs on the hosts are those that are pinned."""
    del now
    members = declared.nodes()
    pins = {
        name: declared.pins.host_files[name].version for name in ("kubelet", "containerd") if name in _pins(declared)
    }
    findings: list[Finding] = []
    systems: set[str] = set()
    told = answered(facts)
    for name, host in told.items():
        systems |= {f"{host.distribution}, kernel {host.kernel}"} if host.distribution else set()
        if name in members:
            running = {"kubelet": host.kubelet, "containerd": host.containerd}
            findings += _versions(name, {key: (running[key], pin) for key, pin in pins.items()}, declared)
    words = ", ".join(f"{name} {version}" for name, version in pins.items())
    said = f"{len(told)} hosts: {words}; {'; '.join(sorted(systems)) or 'no system told'}"
    return Verdict(said=said, findings=tuple(findings))


def host_certificates(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge how long kubeadm's and the kubelet's certificates still hold on each host."""
    renew = f"raise nodes.certificates.renewal by one and run {declared.up}"

    def judge(name: str, host: HostFacts) -> Iterator[Finding]:
        for held in host.certificates:
            subject = f"{name} {held.path}"
            is_kubelets = held.path.startswith("/var/lib/kubelet/")
            remedy = f"on {name}: systemctl restart kubelet, which renews its own" if is_kubelets else renew
            if held.expires is None:
                yield problem(subject, "it holds no certificate that can be read", remedy)
            else:
                yield from expiry(subject, held.expires, now, remedy)

    told = answered(facts)
    count = sum(len(host.certificates) for host in told.values())
    return Verdict(said=f"{count} certificates hold", findings=tuple(each_told(told, judge)))


def host_upkeep(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge what hosts say of themselves: reboots they wait for, disks that fill up, GPUs in need."""
    del now

    def judge(name: str, host: HostFacts) -> Iterator[Finding]:
        for said in upkeep_warnings(host):
            yield warning(
                name, said, f"labctl drift --stack {declared.stack} --host {name} has the facts; see docs/hosts.md"
            )

    told = answered(facts)
    return Verdict(said=f"{len(told)} hosts want nothing", findings=tuple(each_told(told, judge)))


def clocks(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge how far the hosts' clocks are from the one here, and whether they follow a time server."""
    del now
    findings: list[Finding] = []
    largest = 0.0
    for name, found in _heard(facts).items():
        offset, clock = found.clock_offset_seconds, None if found.facts is None else found.facts.clock
        remedy = f"on {name}: chronyc sources; then labctl drift --stack {declared.stack} --host {name}"
        if offset is not None:
            largest = max(largest, abs(offset))
            where = f"{abs(offset):.1f} s {'ahead of' if offset > 0 else 'behind'} the one here"
            if abs(offset) >= CLOCK_PROBLEM_SECONDS:
                findings.append(problem(name, f"its clock is {where}", remedy))
            elif abs(offset) >= CLOCK_WARNING_SECONDS:
                findings.append(warning(name, f"its clock is {where}", remedy))
        if clock is not None and clock.is_synchronised is False:
            findings.append(warning(name, "its clock follows no time server", remedy))
    return Verdict(said=f"none is further off than {largest:.1f} s", findings=tuple(findings))


def drift(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge what differs between hosts and their plan, apart from what other checks tell."""
    del now
    elsewhere = STORAGE_STEPS | BACKUP_STEPS
    heard = _heard(facts)
    names = {step.step for found in heard.values() for step in found.steps} - elsewhere
    findings = tuple(finding for found in heard.values() for finding in steps(found, names, declared))
    return Verdict(said=f"{len(heard)} hosts are as the plan has them", findings=findings)


def steps(found: HostFinding, names: Collection[str], declared: Declared) -> Iterator[Finding]:
    """Yield what came of a host's steps of these names, but for those that are as planned."""
    for step in found.steps:
        if step.step in names:
            yield from _step(found.host, step, declared)


def answered(facts: Facts) -> dict[str, HostFacts]:
    """Return what the hosts that have answered say of themselves.

    Raises
    ------
    MissingFactError
        There are none, or none has answered.
    """
    told = {name: found.facts for name, found in _heard(facts).items() if found.facts is not None}
    if not told:
        why = "no host has said anything of itself"
        raise MissingFactError(Unknown(why, "see the check `hosts`"))
    return told


def each_told(told: Mapping[str, HostFacts], judge: Callable[[str, HostFacts], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what is found on each host."""
    for name, host in told.items():
        yield from judge(name, host)


def _heard(facts: Facts) -> dict[str, HostFinding]:
    """Return the hosts that have answered anything."""
    known = value_of(facts.hosts)
    if not known:
        raise MissingFactError(Inapplicable("the stack has no hosts that can be asked"))
    heard = {
        name: fact.value
        for name, fact in known.items()
        if isinstance(fact, Known) and (fact.value.reason is None or fact.value.facts is not None)
    }
    if not heard:
        why = "no host answers"
        raise MissingFactError(Unknown(why, "see the check `hosts`"))
    return heard


def _pins(declared: Declared) -> Collection[str]:
    return declared.pins.host_files


def _versions(name: str, programs: Mapping[str, tuple[str | None, str]], declared: Declared) -> Iterator[Finding]:
    for program, (running, pinned) in programs.items():
        if running is None:
            yield problem(name, f"it has no {program}, and {pinned} is pinned", declared.up)
        elif _bare(running) != _bare(pinned):
            is_far = _minor(running) != _minor(pinned) and program == "kubelet"
            make = problem if is_far else warning
            yield make(name, f"its {program} is {running}, and {pinned} is pinned", declared.up)


def _step(host: str, step: StepFinding, declared: Declared) -> Iterator[Finding]:
    subject = f"{host} {step.step}"
    look = f"labctl drift --stack {declared.stack} --host {host}"
    if step.state is StepState.DIFFERS:
        what = ", ".join(step.differs) or "it differs"
        if step.standing is Standing.APPLIED:
            yield problem(subject, what, f"raise nodes.hosts.{host}.reconverge by one and run {declared.up}")
        else:
            yield warning(subject, f"not applied yet: {what}", declared.up)
    elif step.state is StepState.WAITING:
        yield warning(subject, f"not applied yet: {step.reason}", declared.up)
    elif step.state in {StepState.FAILED, StepState.UNANSWERED}:
        yield unknown(subject, step.reason or "it was not answered", look)


def _bare(version: str) -> str:
    return version.removeprefix("v")


def _minor(version: str) -> str:
    return _bare(version).rpartition(".")[0]
