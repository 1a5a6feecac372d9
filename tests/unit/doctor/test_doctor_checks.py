"""Every judgement, on the facts of a lab that is well with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from doctor_facts import (
    NOW,
    changed_cluster,
    changed_host,
    changed_node,
    declared,
    judge,
    kubernetes,
    release,
    resource,
    results,
    well,
)

from labctl.doctor.declared import Declared
from labctl.doctor.facts.everything import Facts
from labctl.doctor.facts.fact import Inapplicable, Known, Unknown
from labctl.doctor.facts.helm import HelmRelease
from labctl.doctor.facts.objects import CertificateFacts, ClaimFacts, PodFacts, VolumeFacts, WorkloadFacts
from labctl.doctor.facts.served import ServedCertificate
from labctl.doctor.findings import Finding
from labctl.doctor.vocabulary import CheckId, State
from labctl.drift.facts import BackupRun, Certificate, Clock, Pool
from labctl.drift.findings import Standing, StepFinding, StepState
from labctl.engine.providers.base import Operation
from labctl.engine.state import LockHolder, PendingOperation, Snapshot
from labctl.hub_check import Finding as HubFinding
from labctl.hub_check import Look, Report
from labctl.hub_check import State as HubState
from labctl.restore.copies import Copy, Found, Source

PROD = declared("prod")
Change = Callable[[Facts], Facts]


def test_nothing_is_wrong_with_a_lab_that_is_well() -> None:
    found = results(well(PROD), PROD)
    wrong = {check: result.findings for check, result in found.items() if result.state is not State.OK}
    assert set(wrong) == {CheckId.CERTIFICATES}, wrong
    assert wrong[CheckId.CERTIFICATES][0].state is State.NOT_APPLICABLE


def claim(**changes: object) -> Change:
    made = ClaimFacts(namespace="hub-prod", name="x", phase="Pending", class_name="homes", created=NOW)
    changed = replace(made, **changes)  # pyright: ignore[reportArgumentType] - the test's own changes
    return lambda facts: changed_cluster(facts, claims=Known((changed,)))


def pod(**changes: object) -> Change:
    made = PodFacts(
        namespace="hub-prod",
        name="x",
        phase="Pending",
        is_ready=False,
        reasons=("Unschedulable: 0/9 nodes are available",),
        restarts=0,
        created=NOW - timedelta(minutes=5),
        is_ending=False,
        component="",
    )
    changed = replace(made, **changes)  # pyright: ignore[reportArgumentType] - the test's own changes
    return lambda facts: changed_cluster(facts, pods=Known((changed,)))


def certificate(**changes: object) -> Change:
    made = CertificateFacts(
        namespace="hub-prod",
        name="tls",
        is_ready=True,
        reason="",
        not_after=NOW + timedelta(days=60),
        renewal=NOW + timedelta(days=30),
    )
    changed = replace(made, **changes)  # pyright: ignore[reportArgumentType] - the test's own changes

    def change(facts: Facts) -> Facts:
        held = with_resources(kubernetes("cert-manager.io/v1:Certificate", "tls", "hub-prod"))(facts)
        return changed_cluster(held, certificates=Known((changed,)))

    return change


def with_resources(*more: object, pending: tuple[PendingOperation, ...] = ()) -> Change:
    def change(facts: Facts) -> Facts:
        resources = (*facts.state.snapshot.resources, *more)
        snapshot = Snapshot(resources, pending)  # pyright: ignore[reportArgumentType] - resources, all of them
        return replace(facts, state=replace(facts.state, snapshot=snapshot))

    return change


def helm(**changes: object) -> Change:
    pinned = PROD.pins.charts["jupyterhub"].version
    made = HelmRelease(namespace="hub-prod", name="jupyterhub", revision=3, status="deployed", version=pinned)
    changed = replace(made, **changes)  # pyright: ignore[reportArgumentType] - the test's own changes
    return lambda facts: changed_cluster(facts, releases=Known((changed,)))


def host(name: str, **changes: object) -> Change:
    return lambda facts: changed_host(facts, name, **changes)


def node(name: str, **changes: object) -> Change:
    return lambda facts: changed_node(facts, name, **changes)


def step(name: str, state: StepState, standing: Standing = Standing.APPLIED, **changes: object) -> StepFinding:
    made = StepFinding(step=name, subject="store-1", state=state, standing=standing, differs=("file /etc/x",))
    return replace(made, **changes)  # pyright: ignore[reportArgumentType] - the test's own changes


def shows(days: float, *names: str) -> Known[ServedCertificate]:
    return Known(ServedCertificate(place="192.0.2.9:443", not_after=NOW + timedelta(days=days), names=names))


def holder(pid: int, hours: float, host_name: str = "elsewhere") -> Change:
    held = LockHolder("4711", "ada", host_name, pid, NOW - timedelta(hours=hours))
    return lambda facts: replace(facts, state=replace(facts.state, holders=(held,)))


def copies(local_hours: float | None, repository_hours: float | None, why: str | None = None) -> Change:
    made = [
        Copy(source=source, id=source, time=NOW - timedelta(hours=hours))
        for source, hours in ((Source.LOCAL, local_hours), (Source.REPOSITORY, repository_hours))
        if hours is not None
    ]
    return lambda facts: replace(facts, copies=Known(Found(copies=tuple(made), no_repository=why)))


def looks(look: Look, said: str) -> Change:
    failed = HubFinding(look=look, state=HubState.FAILED, said=said)
    return lambda facts: replace(facts, hub=Known(Report(stack="prod", url="https://hub", findings=(failed,))))


def etcd(hours: float | None, interval: int | None = 3600) -> tuple[BackupRun, ...]:
    succeeded = None if hours is None else NOW - timedelta(hours=hours)
    return (BackupRun(unit="research-compute-etcd-backup", succeeded=succeeded, interval_seconds=interval),)


def everywhere(runs: tuple[BackupRun, ...]) -> Change:
    def change(facts: Facts) -> Facts:
        for name in PROD.cluster.nodes.hosts:
            facts = changed_host(facts, name, backups=runs)
        return facts

    return change


CASES: tuple[tuple[str, CheckId, Change, State, str, str, str], ...] = (
    ("dead lock elsewhere, long", CheckId.LOCK, holder(1, 20), State.WARNING, "lock", "longer than", "labctl unlock"),
    ("a run under way", CheckId.LOCK, holder(1, 0.1), State.OK, "lock", "a run is under way", ""),
    (
        "an operation cut off",
        CheckId.PENDING,
        with_resources(pending=(PendingOperation(operation=Operation.CREATING, resource=resource("x:y:Z", "thing")),)),
        State.PROBLEM,
        "thing",
        "cut off while creating",
        "labctl up --stack prod",
    ),
    (
        "a predecessor that waits",
        CheckId.STATE,
        with_resources(resource("x:y:Z", "thing", delete=True)),
        State.WARNING,
        "thing",
        "waits to be deleted",
        "labctl up",
    ),
    (
        "not Ready",
        CheckId.NODES,
        node("worker-1", ready="Unknown", reason="gone"),
        State.PROBLEM,
        "worker-1",
        "gone",
        "describe",
    ),
    (
        "pressure",
        CheckId.NODES,
        node("worker-1", pressures=("DiskPressure",)),
        State.PROBLEM,
        "worker-1",
        "DiskPressure",
        "describe",
    ),
    ("cordoned", CheckId.NODES, node("worker-1", is_cordoned=True), State.WARNING, "worker-1", "cordoned", "uncordon"),
    (
        "labels",
        CheckId.NODES,
        node("gpu-1", labels={}),
        State.PROBLEM,
        "gpu-1",
        "nvidia.com/mig.config is missing",
        "label node gpu-1 --overwrite",
    ),
    (
        "an automatic taint is said by its condition",
        CheckId.NODES,
        node("worker-1", taints=frozenset({("node.kubernetes.io/unreachable", "", "NoExecute")})),
        State.OK,
        "nodes",
        "as declared",
        "",
    ),
    (
        "slices",
        CheckId.SLICES,
        node("gpu-1", gpus={}),
        State.PROBLEM,
        "gpu-1",
        "it offers nothing, planned",
        "gpu-changes",
    ),
    (
        "the MIG manager failed",
        CheckId.SLICES,
        node("gpu-1", labels={"nvidia.com/mig.config.state": "failed"}),
        State.PROBLEM,
        "gpu-1",
        "could not cut",
        "describe node",
    ),
    (
        "a record that is none",
        CheckId.SLICES,
        node("gpu-1", annotations={"research-compute/reslice": "{"}),
        State.PROBLEM,
        "gpu-1",
        "research-compute/reslice",
        "gpu-changes",
    ),
    ("claim, new", CheckId.STORAGE, claim(), State.WARNING, "PersistentVolumeClaim hub-prod/x", "two minutes", "wait"),
    (
        "claim, old",
        CheckId.STORAGE,
        claim(created=NOW - timedelta(minutes=9)),
        State.PROBLEM,
        "PersistentVolumeClaim hub-prod/x",
        "nobody has bound it",
        "describe pvc",
    ),
    (
        "claim, no class",
        CheckId.STORAGE,
        claim(class_name="y"),
        State.PROBLEM,
        "PersistentVolumeClaim hub-prod/x",
        "no class y",
        "describe",
    ),
    (
        "claim, lost",
        CheckId.STORAGE,
        claim(phase="Lost"),
        State.PROBLEM,
        "PersistentVolumeClaim hub-prod/x",
        "volume is gone",
        "storage.md",
    ),
    (
        "somebody else's claim",
        CheckId.STORAGE,
        claim(namespace="theirs", created=NOW - timedelta(days=9)),
        State.OK,
        "storage",
        "0 claims are bound",
        "",
    ),
    (
        "volume released",
        CheckId.STORAGE,
        lambda facts: changed_cluster(
            facts, volumes=Known((VolumeFacts(name="shared", phase="Released", claim="hub-prod/shared"),))
        ),
        State.PROBLEM,
        "PersistentVolume shared",
        "it is Released",
        "describe pv",
    ),
    (
        "class gone",
        CheckId.STORAGE,
        lambda facts: changed_cluster(facts, classes=Known(())),
        State.PROBLEM,
        "StorageClass homes",
        "not in the cluster",
        "--refresh",
    ),
    (
        "release gone",
        CheckId.RELEASES,
        helm(name="y"),
        State.PROBLEM,
        "release hub-prod/jupyterhub",
        "no record",
        "--refresh",
    ),
    (
        "release failed",
        CheckId.RELEASES,
        helm(status="failed"),
        State.PROBLEM,
        "release hub-prod/jupyterhub",
        "failed",
        "helm history",
    ),
    (
        "another version",
        CheckId.RELEASES,
        helm(version="0.1.0"),
        State.PROBLEM,
        "release hub-prod/jupyterhub",
        "chart 0.1.0",
        "--refresh",
    ),
    (
        "a version that is pinned no more",
        CheckId.RELEASES,
        lambda facts: changed_cluster(
            replace(facts, state=replace(facts.state, snapshot=Snapshot((release("m", "metallb", "0.0.1", "m"),)))),
            releases=Known((HelmRelease(namespace="m", name="m", revision=1, status="deployed", version="0.0.1"),)),
        ),
        State.WARNING,
        "release m/m",
        "0.0.1 was applied",
        "labctl up",
    ),
    (
        "workload",
        CheckId.RELEASES,
        lambda facts: changed_cluster(
            facts,
            workloads=Known(
                (
                    WorkloadFacts(
                        kind="Deployment",
                        namespace="hub-prod",
                        name="proxy",
                        wanted=2,
                        ready=1,
                        release=("hub-prod", "jupyterhub"),
                    ),
                )
            ),
        ),
        State.PROBLEM,
        "release hub-prod/jupyterhub",
        "1 of 2 pods of Deployment proxy",
        "describe deployment",
    ),
    ("pod", CheckId.PODS, pod(), State.PROBLEM, "pod hub-prod/x", "0/9 nodes", "describe pod"),
    ("pod, new", CheckId.PODS, pod(created=NOW), State.OK, "pods", "0 pods are ready", ""),
    (
        "pod, new and hopeless",
        CheckId.PODS,
        pod(created=NOW, reasons=("ImagePullBackOff in container x",)),
        State.PROBLEM,
        "pod hub-prod/x",
        "ImagePullBackOff",
        "describe pod",
    ),
    ("a user's", CheckId.PODS, pod(component="singleuser-server"), State.WARNING, "pod hub-prod/x", "0/9", "describe"),
    ("a placeholder", CheckId.PODS, pod(component="user-placeholder"), State.OK, "pods", "0 pods", ""),
    ("pod, done", CheckId.PODS, pod(phase="Succeeded"), State.OK, "pods", "0 pods", ""),
    ("the system's", CheckId.PODS, pod(namespace="kube-system"), State.PROBLEM, "pod kube-system/x", "0/9", "describe"),
    ("somebody else's", CheckId.PODS, pod(namespace="theirs"), State.OK, "pods", "no pod runs", ""),
    ("certificate", CheckId.CERTIFICATES, certificate(), State.OK, "certificates", "1 are Ready", ""),
    (
        "certificate, refused",
        CheckId.CERTIFICATES,
        certificate(is_ready=False, reason="no issuer"),
        State.PROBLEM,
        "Certificate hub-prod/tls",
        "no issuer",
        "describe certificate",
    ),
    (
        "certificate, over",
        CheckId.CERTIFICATES,
        certificate(not_after=NOW - timedelta(hours=1)),
        State.PROBLEM,
        "Certificate hub-prod/tls",
        "expired on 2026-11-23",
        "describe certificate",
    ),
    (
        "certificate, soon",
        CheckId.CERTIFICATES,
        certificate(not_after=NOW + timedelta(days=12)),
        State.WARNING,
        "Certificate hub-prod/tls",
        "in 12 days",
        "describe certificate",
    ),
    (
        "certificate, late",
        CheckId.CERTIFICATES,
        certificate(renewal=NOW - timedelta(days=3)),
        State.WARNING,
        "Certificate hub-prod/tls",
        "should have been renewed on 2026-11-20",
        "describe certificate",
    ),
    (
        "API server's",
        CheckId.API_CERTIFICATE,
        lambda facts: replace(facts, api_certificate=shows(3)),
        State.PROBLEM,
        "API server",
        "in 3 days",
        "raise nodes.certificates.renewal",
    ),
    (
        "gateway's, of another name",
        CheckId.GATEWAY_CERTIFICATE,
        lambda facts: replace(facts, gateway_certificates=Known({"hub.x.org": shows(80, "*.y.org")})),
        State.PROBLEM,
        "hub.x.org",
        "is for *.y.org",
        "describe gateways",
    ),
    (
        "gateway's, nobody there",
        CheckId.GATEWAY_CERTIFICATE,
        lambda facts: replace(
            facts, gateway_certificates=Known({"hub.x.org": Unknown("nothing there", "see to it", is_down=True)})
        ),
        State.PROBLEM,
        "hub.x.org",
        "nothing there",
        "see to it",
    ),
    (
        "hub",
        CheckId.HUB,
        looks(Look.PROXY, "refused"),
        State.PROBLEM,
        "hub https://hub",
        "proxy does not answer: refused",
        "hub check",
    ),
    (
        "host silent",
        CheckId.HOSTS,
        host("worker-1", reason="cannot be reached"),
        State.UNKNOWN,
        "worker-1",
        "cannot be reached",
        "nodes.hosts.worker-1.lost",
    ),
    (
        "another host",
        CheckId.HOSTS,
        host("worker-1", reason="shows another key", is_other=True),
        State.PROBLEM,
        "worker-1",
        "another key",
        "labctl hosts keys",
    ),
    (
        "kubelet, patch",
        CheckId.HOST_VERSIONS,
        host("worker-1", kubelet="v1.36.0"),
        State.WARNING,
        "worker-1",
        "kubelet is v1.36.0",
        "labctl up",
    ),
    (
        "kubelet, minor",
        CheckId.HOST_VERSIONS,
        host("worker-1", kubelet="v1.30.0"),
        State.PROBLEM,
        "worker-1",
        "v1.30.0",
        "labctl up",
    ),
    (
        "no containerd",
        CheckId.HOST_VERSIONS,
        host("worker-1", containerd=None),
        State.PROBLEM,
        "worker-1",
        "no containerd",
        "labctl up",
    ),
    (
        "storage host",
        CheckId.HOST_VERSIONS,
        host("store-1", kubelet=None, containerd=None),
        State.OK,
        "host-versions",
        "kubelet",
        "",
    ),
    (
        "host's certificate",
        CheckId.HOST_CERTIFICATES,
        host("cp-1", certificates=(Certificate(path="/etc/kubernetes/pki/ca.crt", expires=NOW + timedelta(days=20)),)),
        State.WARNING,
        "cp-1 /etc/kubernetes/pki/ca.crt",
        "20 days",
        "raise nodes.certificates.renewal",
    ),
    (
        "kubelet's certificate",
        CheckId.HOST_CERTIFICATES,
        host("cp-1", certificates=(Certificate(path="/var/lib/kubelet/pki/kubelet-client-current.pem", expires=None),)),
        State.PROBLEM,
        "cp-1 /var/lib/kubelet/pki/kubelet-client-current.pem",
        "no certificate that can be read",
        "restart kubelet",
    ),
    (
        "reboot",
        CheckId.HOST_UPKEEP,
        host("cp-1", is_reboot_required=True),
        State.WARNING,
        "cp-1",
        "needs a reboot",
        "labctl drift",
    ),
    (
        "clock, a little",
        CheckId.CLOCKS,
        host("cp-1", clock_offset_seconds=-4.2),
        State.WARNING,
        "cp-1",
        "4.2 s behind",
        "chronyc",
    ),
    (
        "clock, far",
        CheckId.CLOCKS,
        host("cp-1", clock_offset_seconds=300.0),
        State.PROBLEM,
        "cp-1",
        "300.0 s ahead of",
        "chronyc",
    ),
    (
        "clock, alone",
        CheckId.CLOCKS,
        host("cp-1", clock=Clock(time=NOW, is_synchronised=False)),
        State.WARNING,
        "cp-1",
        "no time server",
        "chronyc",
    ),
    (
        "pool gone",
        CheckId.HOST_STORAGE,
        host("store-1", pools=()),
        State.PROBLEM,
        "store-1 pool tank",
        "not imported",
        "zpool import",
    ),
    (
        "pool degraded",
        CheckId.HOST_STORAGE,
        host("store-1", pools=(Pool(name="tank", health="DEGRADED", used_percent=40),)),
        State.PROBLEM,
        "store-1 pool tank",
        "DEGRADED",
        "zpool status tank",
    ),
    (
        "pool nearly full",
        CheckId.HOST_STORAGE,
        host("store-1", pools=(Pool(name="tank", health="ONLINE", used_percent=83),)),
        State.WARNING,
        "store-1 pool tank",
        "83 % full",
        "storage.zfs.pools.tank",
    ),
    (
        "exports differ",
        CheckId.HOST_STORAGE,
        host("store-1", steps=(step("exports", StepState.DIFFERS),)),
        State.PROBLEM,
        "store-1 exports",
        "file /etc/x",
        "reconverge",
    ),
    (
        "etcd, late",
        CheckId.BACKUPS,
        everywhere(etcd(9)),
        State.PROBLEM,
        "backup of etcd",
        "9 hours old",
        "systemctl start",
    ),
    (
        "etcd, never",
        CheckId.BACKUPS,
        everywhere(etcd(None)),
        State.PROBLEM,
        "backup of etcd",
        "none has succeeded",
        "systemctl start",
    ),
    ("etcd, unsaid schedule", CheckId.BACKUPS, everywhere(etcd(9, None)), State.OK, "backups", "etcd: 9 hours", ""),
    ("snapshots, late", CheckId.BACKUPS, copies(30, 9), State.PROBLEM, "snapshots of homes", "1 day old", "sanoid"),
    (
        "snapshots, none",
        CheckId.BACKUPS,
        copies(None, 9),
        State.PROBLEM,
        "snapshots of homes",
        "there is none",
        "sanoid",
    ),
    (
        "copies, late",
        CheckId.BACKUPS,
        copies(0.5, 80),
        State.PROBLEM,
        "backup of homes and folders",
        "3 days old",
        "systemctl start",
    ),
    (
        "copies, one missed",
        CheckId.BACKUPS,
        copies(0.5, 30),
        State.WARNING,
        "backup of homes and folders",
        "one was missed",
        "systemctl start",
    ),
    (
        "no repository",
        CheckId.BACKUPS,
        copies(0.5, None, "it does not open"),
        State.PROBLEM,
        "backup of homes and folders",
        "does not open",
        "systemctl",
    ),
    (
        "copies not told",
        CheckId.BACKUPS,
        lambda facts: replace(facts, copies=Unknown("store-1 is silent", "look")),
        State.UNKNOWN,
        "copies on store-1",
        "silent",
        "look",
    ),
    (
        "drift",
        CheckId.DRIFT,
        host("cp-1", steps=(step("system", StepState.DIFFERS), step("exports", StepState.DIFFERS))),
        State.PROBLEM,
        "cp-1 system",
        "file /etc/x",
        "raise nodes.hosts.cp-1.reconverge",
    ),
    (
        "drift, not applied",
        CheckId.DRIFT,
        host("cp-1", steps=(step("system", StepState.DIFFERS, Standing.CHANGED),)),
        State.WARNING,
        "cp-1 system",
        "not applied yet",
        "labctl up",
    ),
    (
        "drift, not told",
        CheckId.DRIFT,
        host("cp-1", steps=(step("system", StepState.FAILED, reason="refused: no"),)),
        State.UNKNOWN,
        "cp-1 system",
        "refused: no",
        "labctl drift",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[f"{case[1]}: {case[0]}" for case in CASES])
def test_one_thing(case: tuple[str, CheckId, Change, State, str, str, str]) -> None:
    _, check, change, state, subject, words, remedy = case
    result = judge(check, change(well(PROD)), PROD)
    found = {finding.subject: finding for finding in result.findings if finding.state is state}
    assert subject in found, result.findings
    assert words in found[subject].what
    assert remedy in found[subject].remedy
    assert result.state is state
    if state in {State.PROBLEM, State.WARNING, State.UNKNOWN}:
        assert found[subject].remedy, "every finding says what to do"
        assert "\n" not in found[subject].what + found[subject].remedy, "in a line"


def test_what_somebody_else_cut_the_lock_of_a_dead_process_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LockHolder, "dead", property(lambda _: True))
    result = judge(CheckId.LOCK, holder(1, 0.1)(well(PROD)), PROD)
    assert result.state is State.PROBLEM
    assert result.findings[0].remedy == "labctl unlock 4711 --stack prod"


def test_without_an_api_server_its_own_check_is_a_problem_and_the_others_do_not_know() -> None:
    down = replace(well(PROD), cluster=Unknown("it does not answer", "labctl up --stack prod", is_down=True))
    assert judge(CheckId.API_SERVER, down, PROD).state is State.PROBLEM
    for check in (CheckId.NODES, CheckId.STORAGE, CheckId.SLICES, CheckId.PODS, CheckId.RELEASES):
        result = judge(check, down, PROD)
        assert result.state is State.UNKNOWN
        assert result.findings[0].remedy == "see the check `api-server`"


def test_a_list_that_was_refused_leaves_only_its_own_checks_unknown() -> None:
    refused = changed_cluster(well(PROD), pods=Unknown("forbidden", "use another kubeconfig"))
    found = results(refused, PROD)
    assert {check for check, result in found.items() if result.state is State.UNKNOWN} == {CheckId.PODS}
    assert found[CheckId.PODS].findings[0] == Finding(
        subject="pods", state=State.UNKNOWN, what="forbidden", remedy="use another kubeconfig"
    )


@pytest.mark.parametrize(
    ("version", "state"), [("v1.36.3", State.OK), ("v1.36.1", State.WARNING), ("v1.35.3", State.PROBLEM)]
)
def test_the_version_of_the_api_server(version: str, state: State) -> None:
    meant = replace(PROD, pins=PROD.pins.model_copy(update={"kubernetes": "v1.36.3"}))
    assert judge(CheckId.API_SERVER, changed_cluster(well(meant), version=version), meant).state is state


@pytest.mark.parametrize(
    ("failure", "is_closed", "state"), [("no passphrase", True, State.UNKNOWN), ("damaged", False, State.PROBLEM)]
)
def test_a_state_that_cannot_be_read(failure: str, is_closed: bool, state: State) -> None:  # noqa: FBT001 - a parameter of the table
    facts = well(PROD)
    facts.state = replace(facts.state, snapshot=Snapshot(()), failure=failure, is_closed=is_closed)
    found = results(facts, PROD)
    assert found[CheckId.STATE].state is state
    assert found[CheckId.NODES].state is State.UNKNOWN


def test_a_lab_that_was_never_brought_up() -> None:
    facts = well(PROD)
    facts.state = replace(facts.state, snapshot=Snapshot(()))
    found = results(facts, PROD)
    assert found[CheckId.STATE].findings[0].remedy == "labctl up --stack prod"
    applied = {found[check].state for check in (CheckId.NODES, CheckId.STORAGE, CheckId.PODS, CheckId.HUB)}
    assert applied == {State.NOT_APPLICABLE}


def test_a_simulated_lab_has_nothing_to_ask_hosts_about() -> None:
    dev: Declared = declared("dev")
    facts = replace(well(PROD), hosts=Inapplicable("they are simulated"))
    for check in (CheckId.HOSTS, CheckId.CLOCKS, CheckId.DRIFT, CheckId.BACKUPS):
        assert judge(check, facts, dev).state is State.NOT_APPLICABLE


def test_a_release_that_was_only_recorded_is_one_thing_here_and_another_there() -> None:
    recorded = replace(release("x", "metallb", "1.0.0"), outputs={"__labSimulated": True})
    facts = with_resources(recorded)(well(PROD))
    assert judge(CheckId.RELEASES, facts, PROD).state is State.PROBLEM
    assert judge(CheckId.RELEASES, facts, declared("dev")).findings[-1].subject != "release x"
