"""A host empties its node with its kubelet's own credential: what the real API server lets it do, and what it leaves.

Also the lock that upgrades of a control plane take turns under.
"""

import datetime as dt
import os
import subprocess
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster_api import Api, Object, eventually, make_plane
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from components.nodes.steps import COMMON, FILES
from labctl.control_plane import ControlPlane, SimulatedNode, obtain_tool

REFUSED, FAILED = 65, 70
NODES = ("drained", "other")
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/research-compute-upgrade"


@dataclass(frozen=True)
class Member:
    """A folder that stands for a host which is a member of the cluster: the node `drained`."""

    folder: Path
    api: Api

    def run(self, function: str, *, seconds: int = 20, **values: str) -> "subprocess.CompletedProcess[str]":
        """Call a function of ``version.sh`` as the step would."""
        settings: Mapping[str, str] = {
            "KUBERNETES_FOLDER": f"{self.folder}/kubernetes",
            "STATE_FOLDER": f"{self.folder}/state",
            "LOCK_FILE": f"{self.folder}/lock",
            "STEP_HOST": "drained",
            "DRAIN_SECONDS": str(seconds),
            "DRAIN_PAUSE_SECONDS": "0.2",
            "EVICT_UNMANAGED": "false",
            "LAST_STORAGE": "",
            "KUBERNETES_VERSION": "v1.37.0",
            "LEASE_WAIT_SECONDS": "3",
            **values,
        }
        sources = "; ".join(f". {FILES}/{name}.sh" for name in (*COMMON, "kube", "version"))
        begin = "STEP=version; MODE=apply; IGNORE_PREFLIGHT=(); exec {LOCK}>/dev/null {OUTPUT}>/dev/null"
        kubectl = obtain_tool("kubectl", print).parent
        return subprocess.run(
            ["bash", "-c", f"{sources}; {begin}; {function}"],  # noqa: S607 - the machine's bash
            env={**os.environ, "PATH": f"{kubectl}:{os.environ['PATH']}", **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def takes_pods(self) -> bool:
        return not self.api.get("/api/v1/nodes/drained")["spec"].get("unschedulable", False)

    def pods(self, namespace: str) -> dict[str, str]:
        """Return the node of each pod, by name; those that are going are left out."""
        items = self.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
        return {
            pod["metadata"]["name"]: pod["spec"].get("nodeName", "")
            for pod in items
            if "deletionTimestamp" not in pod["metadata"]
        }


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    """A control plane of this module's own, with two nodes."""
    plane = make_plane(tmp_path_factory.mktemp("drain"))
    plane.start()
    capacity = {"cpu": "8", "memory": "16Gi", "pods": "110"}
    plane.reconcile_nodes([SimulatedNode(name=name, address=None, capacity=capacity) for name in NODES])
    yield plane
    plane.wipe()


@pytest.fixture
def member(plane: ControlPlane, tmp_path: Path) -> Member:
    """The node's host, free of marks, with its kubelet's credential and the administrator's beside it."""
    pki = plane.directory / "pki"
    folder = tmp_path / "kubernetes"
    (folder / "pki").mkdir(parents=True)
    (folder / "pki" / "ca.crt").write_bytes((pki / "ca.crt").read_bytes())
    (folder / "admin.conf").write_bytes(plane.kubeconfig.read_bytes())
    (folder / "kubelet.pem").write_bytes(_kubelet_credential(pki, "drained"))
    api = Api(plane)
    (folder / "kubelet.conf").write_text(
        f"""
apiVersion: v1
kind: Config
current-context: kubelet
clusters: [{{name: lab, cluster: {{server: "{api.server}", certificate-authority: {folder}/pki/ca.crt}}}}]
contexts: [{{name: kubelet, context: {{cluster: lab, user: kubelet}}}}]
users: [{{name: kubelet, user: {{client-certificate: {folder}/kubelet.pem, client-key: {folder}/kubelet.pem}}}}]
""",
        encoding="utf-8",
    )
    (tmp_path / "state" / "markers").mkdir(parents=True)
    api.merge("/api/v1/nodes/drained", {"spec": {"unschedulable": None}})
    api.delete(LEASE)
    return Member(tmp_path, api)


@pytest.fixture
def room(member: Member, request: pytest.FixtureRequest) -> Generator[str]:
    """A namespace of the test's own."""
    name = request.node.name.replace("_", "-")[:60].strip("-")
    member.api.namespace(name)
    yield name
    member.api.delete(f"/api/v1/namespaces/{name}")
    eventually(lambda: not member.api.exists(f"/api/v1/namespaces/{name}"))


def _kubelet_credential(pki: Path, node: str) -> bytes:
    """Return certificate and key of a node's kubelet in one file, as kubelets keep theirs."""
    authority = x509.load_pem_x509_certificate((pki / "ca.crt").read_bytes())
    signer = serialization.load_pem_private_key((pki / "ca.key").read_bytes(), password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    names = [(NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, f"system:node:{node}")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(*pair) for pair in names]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM) + pem


def template(app: str, **spec: object) -> Object:
    containers = [{"name": "main", "image": "registry.example/x@sha256:" + "0" * 64}]
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": containers, **spec},
    }


def pod(name: str, node: str = "drained", **metadata: object) -> Object:
    return {**template(name, nodeName=node), "metadata": {"name": name, **metadata}}


def deployment(api: Api, room: str, name: str, replicas: int) -> None:
    """Have pods running, all of them on the node that is going to be drained."""
    api.merge("/api/v1/nodes/other", {"spec": {"unschedulable": True}})
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(name)}
    api.post(f"/apis/apps/v1/namespaces/{room}/deployments", {"metadata": {"name": name}, "spec": spec})
    path = f"/apis/apps/v1/namespaces/{room}/deployments/{name}"
    eventually(lambda: api.get(path)["status"].get("readyReplicas", 0) == replicas)
    api.merge("/api/v1/nodes/other", {"spec": {"unschedulable": None}})


def budget(api: Api, room: str, app: str, least: int) -> None:
    spec = {"minAvailable": least, "selector": {"matchLabels": {"app": app}}}
    path = f"/apis/policy/v1/namespaces/{room}/poddisruptionbudgets"
    api.post(path, {"metadata": {"name": f"{app}-budget"}, "spec": spec})
    eventually(lambda: api.get(f"{path}/{app}-budget").get("status", {}).get("expectedPods", 0) > 0)


def test_pods_move_and_what_belongs_to_the_node_stays(member: Member, room: str) -> None:
    api = member.api
    deployment(api, room, "web", 3)
    budget(api, room, "web", 2)
    api.post(f"/api/v1/namespaces/{room}/pods", pod("static", annotations={"kubernetes.io/config.mirror": "x"}))
    selector = {"matchLabels": {"app": "agent"}}
    api.post(
        f"/apis/apps/v1/namespaces/{room}/daemonsets",
        {"metadata": {"name": "agent"}, "spec": {"selector": selector, "template": template("agent")}},
    )
    eventually(lambda: sum(name.startswith("agent") for name in member.pods(room)) == len(NODES))

    run = member.run("drain", seconds=180)
    assert run.returncode == 0, run.stderr
    assert not member.takes_pods()
    left = {name.split("-")[0] for name, node in member.pods(room).items() if node == "drained"}
    assert left == {"static", "agent"}
    eventually(lambda: list(member.pods(room).values()).count("other") == 4)

    assert member.run("uncordon").returncode == 0
    assert member.takes_pods()


def test_a_budget_stands_in_the_way_and_is_named(member: Member, room: str) -> None:
    deployment(member.api, room, "web", 1)
    budget(member.api, room, "web", 1)
    before = member.pods(room)
    run = member.run("drain", seconds=2)
    assert run.returncode == FAILED
    (name,) = before
    assert f"did not become empty within 2 s, and takes pods again: {room}/{name} (The disruption budget " in run.stderr
    assert "web-budget needs 1 healthy pods and has 1 currently)" in run.stderr
    assert member.pods(room) == before
    assert member.takes_pods()


def test_a_pod_nobody_starts_again_is_not_ended_unless_the_lab_says_so(member: Member, room: str) -> None:
    member.api.post(f"/api/v1/namespaces/{room}/pods", pod("notebook"))
    eventually(lambda: member.api.get(f"/api/v1/namespaces/{room}/pods/notebook")["status"]["phase"] == "Running")
    refusal = member.run("require_drainable")
    assert refusal.returncode == REFUSED
    assert f"1 pods on drained would not be started again anywhere: {room}/notebook; wait" in refusal.stderr
    assert member.takes_pods()

    late = member.run("drain", seconds=1)
    assert late.returncode == FAILED
    assert f"{room}/notebook (nobody starts it again)" in late.stderr
    assert list(member.pods(room)) == ["notebook"]

    assert member.run("require_drainable; drain", EVICT_UNMANAGED="true").returncode == 0
    assert member.pods(room) == {}


def test_who_cordoned_it_lets_it_in_again(member: Member) -> None:
    member.api.merge("/api/v1/nodes/drained", {"spec": {"unschedulable": True}})
    assert member.run("drain; uncordon").returncode == 0
    assert not member.takes_pods()


def test_the_only_storage_is_not_drained(member: Member) -> None:
    run = member.run("require_drainable", LAST_STORAGE="store-1")
    assert run.returncode == REFUSED
    assert "store-1 is the only host with storage" in run.stderr


@pytest.mark.parametrize(
    "attempt",
    [
        "node get pods --all-namespaces",
        "node cordon other",
        "node get pods --all-namespaces --field-selector spec.nodeName=other",
        "evict ROOM POD",
        'node patch node drained --type merge --patch \'{"spec":{"taints":[]}}\'',
    ],
)
def test_its_credential_reaches_no_further(member: Member, attempt: str) -> None:
    member.api.merge("/api/v1/nodes/drained", {"spec": {"taints": [{"key": "a", "effect": "PreferNoSchedule"}]}})
    namespace = "default"
    # A name of its own: whoever plays the kubelets may still be at an earlier pod of the same name.
    name = f"elsewhere-{uuid.uuid4().hex[:8]}"
    eventually(lambda: member.api.exists("/api/v1/namespaces/default/serviceaccounts/default"))
    member.api.post(f"/api/v1/namespaces/{namespace}/pods", pod(name, "other"))
    run = member.run(attempt.replace("ROOM", namespace).replace("POD", name))
    assert run.returncode != 0
    said = run.stdout + run.stderr
    assert any(word in said for word in ("forbidden", "not allowed", "can only", "Forbidden")), said
    assert name in member.pods(namespace)
    member.api.delete(f"/api/v1/namespaces/{namespace}/pods/{name}")
    member.api.merge("/api/v1/nodes/drained", {"spec": {"taints": None}})


# --- taking turns


def held(holder: str, age_seconds: int) -> Object:
    renewed = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age_seconds)
    spec = {"holderIdentity": holder, "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    return {"metadata": {"name": "research-compute-upgrade"}, "spec": spec}


@pytest.mark.parametrize(
    ("lease", "unfinished"),
    [(None, "false"), (held("drained", 1), "true"), (held("other", 3600), "true")],
    ids=["nobody has it", "this host, cut off", "another host, gone"],
)
def test_the_lock_is_taken_and_given_back(member: Member, lease: Object | None, unfinished: str) -> None:
    if lease is not None:
        member.api.post(LEASE.rpartition("/")[0], lease)
    show = "admin -n kube-system get lease research-compute-upgrade -o 'jsonpath={.spec.holderIdentity}'"
    run = member.run(f'take_lease; printf "%s " "$UNFINISHED"; {show}; release_lease')
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{unfinished} drained"
    assert not member.api.exists(LEASE)


def test_a_lock_that_is_held_is_waited_for_and_left(member: Member) -> None:
    member.api.post(LEASE.rpartition("/")[0], held("other", 10))
    run = member.run("take_lease")
    assert run.returncode == FAILED
    assert "other is upgrading its control plane, waited 3 s" in run.stderr
    assert member.api.get(LEASE)["spec"]["holderIdentity"] == "other"


def test_the_lock_is_kept_while_its_holder_lives(member: Member) -> None:
    moment: Callable[[], str] = lambda: member.api.get(LEASE)["spec"]["renewTime"]  # noqa: E731 - a short question
    run = member.run('take_lease; kill -0 "$LEASE_KEEPER"; sleep 3; exit 0', LEASE_SECONDS="6")
    assert run.returncode == 0, run.stderr
    last = moment()
    assert dt.datetime.fromisoformat(last) > dt.datetime.now(dt.UTC) - dt.timedelta(seconds=30)
    eventually(lambda: _still(moment))


def _still(moment: Callable[[], str]) -> bool:
    """Return whether nobody renews the lock any more."""
    before = moment()
    subprocess.run(["sleep", "2.5"], check=True)  # noqa: S607 - twice the time between renewals
    return moment() == before
