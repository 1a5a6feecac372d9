"""Facts of a lab that is well, for tests to change one thing of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.nodes.control_plane_config import BackupConfig
from components.nodes.plan import node_labels, node_taints
from components.secrets import SecretRef
from labctl.doctor.checks.check import judged
from labctl.doctor.checks.registry import CHECKS
from labctl.doctor.declared import Declared
from labctl.doctor.facts.cluster import ClusterFacts
from labctl.doctor.facts.everything import Facts
from labctl.doctor.facts.fact import Fact, Known
from labctl.doctor.facts.helm import HelmRelease
from labctl.doctor.facts.objects import ClassFacts, NodeFacts, VolumeFacts
from labctl.doctor.facts.served import ServedCertificate
from labctl.doctor.facts.state import StateFacts
from labctl.doctor.findings import CheckResult
from labctl.doctor.vocabulary import CheckId
from labctl.drift.facts import BackupRun, Certificate, Clock, HostFacts, Pool
from labctl.drift.findings import HostFinding, Standing, StepFinding, StepState
from labctl.engine.state import ResourceState, Snapshot
from labctl.graph.values import Inputs
from labctl.hub_check import Finding, Look, Report, State
from labctl.restore.copies import Copy, Found, Source
from stacks.environments import EnvironmentName
from stacks.loading import load_cluster, load_stack_file
from stacks.pins import load_pins

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]


def declared(stack: str) -> Declared:
    """What one of the project's own stacks says, with backups of etcd beside."""
    cluster = load_cluster(load_stack_file(ROOT / f"Pulumi.{stack}.yaml"))
    backup = BackupConfig(repository="/mnt/backup", password=SecretRef(secret="backupPassword"))
    plane = cluster.nodes.control_plane.model_copy(update={"backup": backup})
    nodes = cluster.nodes.model_copy(update={"control_plane": plane})
    cluster = cluster.model_copy(update={"nodes": nodes})
    return Declared(stack=stack, cluster=cluster, pins=load_pins(EnvironmentName(stack)))


def resource(type_: str, name: str, inputs: Inputs | None = None, **changes: bool) -> ResourceState:
    """A resource in the state."""
    state = ResourceState(
        urn=f"urn:pulumi:prod::research-compute::{type_}::{name}",
        type=type_,
        custom=True,
        id=name,
        inputs=inputs or {},
        outputs=inputs or {},
    )
    return replace(state, **changes)


def kubernetes(kind: str, name: str, namespace: str = "") -> ResourceState:
    """A Kubernetes object in the state."""
    metadata: Inputs = {"name": name, **({"namespace": namespace} if namespace else {})}
    return resource(f"kubernetes:{kind}", f"{kind.rpartition(':')[2]}-{name}", {"metadata": metadata})


def release(name: str, chart: str, version: str, namespace: str = "hub-prod") -> ResourceState:
    """A release in the state."""
    inputs: Inputs = {"name": name, "namespace": namespace, "chart": chart, "version": version}
    return resource("kubernetes:helm.sh/v3:Release", name, inputs)


def node(name: str, meant: Declared) -> NodeFacts:
    """A node just as the stack file has it."""
    config = meant.nodes()[name]
    plan = meant.slices().get(name)
    return NodeFacts(
        name=name,
        ready="True",
        reason="",
        pressures=(),
        is_cordoned=False,
        labels={**node_labels(config), **({} if plan is None else plan.labels)},
        taints=frozenset((taint.key, taint.value or "", taint.effect.value) for taint in node_taints(config)),
        annotations={},
        gpus={} if plan is None else {key: count for key, count in plan.allocatable.items() if count},
        kubelet=meant.pins.kubernetes,
    )


def well(meant: Declared) -> Facts:
    """Facts of that stack's lab, in which nothing is wrong."""
    pin = meant.pins.charts["jupyterhub"]
    resources = (
        kubernetes("core/v1:Namespace", "hub-prod"),
        kubernetes("storage.k8s.io/v1:StorageClass", "homes"),
        kubernetes("core/v1:PersistentVolume", "shared"),
        release("jupyterhub", pin.chart, pin.version),
    )
    nodes = tuple(node(name, meant) for name in meant.nodes())
    cluster = ClusterFacts(
        server="https://192.0.2.1:6443",
        version=meant.pins.kubernetes,
        nodes=Known(nodes),
        classes=Known((ClassFacts(name="homes", waits_for_pods=False),)),
        claims=Known(()),
        volumes=Known((VolumeFacts(name="shared", phase="Bound", claim="hub-prod/shared"),)),
        pods=Known(()),
        workloads=Known(()),
        releases=Known(
            (HelmRelease(namespace="hub-prod", name="jupyterhub", revision=3, status="deployed", version=pin.version),)
        ),
        certificates=Known(()),
    )
    shown = ServedCertificate(place="192.0.2.1:6443", not_after=NOW + timedelta(days=200), names=("*.lab.example.org",))
    looks = tuple(
        Finding(look=look, state=State.WELL if look in {Look.PROXY, Look.HUB, Look.DATABASE} else State.SKIPPED)
        for look in Look
    )
    copies = (
        Copy(source=Source.LOCAL, id="tank/homes@autosnap_1", time=NOW - timedelta(minutes=40)),
        Copy(source=Source.REPOSITORY, id="a1b2c3d4", time=NOW - timedelta(hours=9), host="store-1"),
    )
    return Facts(
        state=StateFacts(snapshot=Snapshot(resources)),
        cluster=Known(cluster),
        api_certificate=Known(shown),
        gateway_certificates=Known({"hub.lab.example.org": Known(shown)}),
        hub=Known(Report(stack=meant.stack, url="https://hub.lab.example.org", findings=looks)),
        hosts=Known({name: Known(host(name, meant)) for name in meant.cluster.nodes.hosts}),
        copies=Known(Found(copies=copies, own="store-1", is_there=True)),
    )


def host(name: str, meant: Declared) -> HostFinding:
    """A host in which nothing is wrong."""
    storage = meant.cluster.storage
    pools = storage.zfs.pools if storage is not None and storage.zfs is not None else {}
    steps = ("system", "exports", "data-backup")
    return HostFinding(
        host=name,
        address=f"root@{name}",
        seconds=0.5,
        clock_offset_seconds=-0.02,
        steps=tuple(
            StepFinding(step=step, subject=name, state=StepState.CONVERGED, standing=Standing.APPLIED) for step in steps
        ),
        facts=HostFacts(
            kernel="6.12.1",
            distribution="Debian GNU/Linux 13",
            kubelet=meant.pins.host_files["kubelet"].version,
            containerd=meant.pins.host_files["containerd"].version,
            certificates=(
                Certificate(path="/etc/kubernetes/pki/apiserver.crt", expires=NOW + timedelta(days=200)),
                Certificate(path="/var/lib/kubelet/pki/kubelet-client-current.pem", expires=NOW + timedelta(days=200)),
            ),
            clock=Clock(time=NOW, is_synchronised=True),
            pools=tuple(
                Pool(name=pool, health="ONLINE", used_percent=40) for pool, owner in pools.items() if owner.host == name
            ),
            backups=(
                BackupRun(
                    unit="research-compute-etcd-backup", succeeded=NOW - timedelta(minutes=50), interval_seconds=3600
                ),
                BackupRun(
                    unit="research-compute-data-backup", succeeded=NOW - timedelta(hours=9), interval_seconds=86_400
                ),
            ),
        ),
    )


def judge(check: CheckId, facts: Facts, meant: Declared) -> CheckResult:
    """What one check makes of the facts."""
    return next(judged(known, facts, meant, NOW) for known in CHECKS if known.id is check)


def results(facts: Facts, meant: Declared) -> Mapping[CheckId, CheckResult]:
    """What every check makes of them."""
    return {check.id: judged(check, facts, meant, NOW) for check in CHECKS}


def changed_cluster(facts: Facts, **changes: object) -> Facts:
    """The same facts with another cluster."""
    assert isinstance(facts.cluster, Known)
    return replace(facts, cluster=Known(replace(facts.cluster.value, **changes)))  # pyright: ignore[reportArgumentType] - the test's own changes


def changed_node(facts: Facts, name: str, **changes: object) -> Facts:
    """The same facts with one node changed."""
    assert isinstance(facts.cluster, Known)
    nodes = facts.cluster.value.nodes
    assert isinstance(nodes, Known)
    changed = tuple(
        replace(found, **changes) if found.name == name else found  # pyright: ignore[reportArgumentType] - likewise
        for found in nodes.value
    )
    return changed_cluster(facts, nodes=Known(changed))


def changed_host(facts: Facts, name: str, **changes: object) -> Facts:
    """The same facts with what one host says changed: fields of its finding, or of its facts."""
    hosts = facts.hosts
    assert isinstance(hosts, Known)
    found: dict[str, Fact[HostFinding]] = dict(hosts.value)
    before = found[name]
    assert isinstance(before, Known)
    assert before.value.facts is not None
    own = {key: value for key, value in changes.items() if hasattr(before.value, key)}
    told = {key: value for key, value in changes.items() if key not in own}
    inner = replace(before.value.facts, **told)  # pyright: ignore[reportArgumentType] - likewise
    after = replace(before.value, **{"facts": inner, **own})  # pyright: ignore[reportArgumentType] - likewise
    found[name] = Known(after)
    return replace(facts, hosts=Known(found))
