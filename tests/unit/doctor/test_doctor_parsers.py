"""What the API server, Helm and a server's certificate say, read."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from labctl.doctor.facts.fact import Known, Unknown
from labctl.doctor.facts.helm import HelmRelease, newest_releases
from labctl.doctor.facts.objects import (
    certificate_facts,
    claim_facts,
    node_facts,
    pod_facts,
    volume_facts,
    workload_facts,
)
from labctl.doctor.facts.served import ServedCertificate, served_certificate
from labctl.graph.values import Inputs

ENDS = datetime(2027, 3, 1, tzinfo=UTC)
ODD_OBJECTS: tuple[Inputs, ...] = (
    {},
    {"metadata": None, "spec": [], "status": "x"},
    {"status": {"conditions": [1, {}]}},
)


def test_a_node() -> None:
    found = node_facts(
        {
            "metadata": {"name": "gpu-1", "labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"unschedulable": True, "taints": [{"key": "x", "effect": "NoSchedule"}]},
            "status": {
                "conditions": [
                    {"type": "Ready", "status": "False", "message": "it is off"},
                    {"type": "DiskPressure", "status": "True"},
                    {"type": "PIDPressure", "status": "False"},
                ],
                "allocatable": {"cpu": "4", "nvidia.com/gpu": "2k", "nvidia.com/mig-1g.10gb": "0"},
                "nodeInfo": {"kubeletVersion": "v1.36.3"},
            },
        }
    )
    assert (found.ready, found.reason, found.pressures, found.is_cordoned) == (
        "False",
        "it is off",
        ("DiskPressure",),
        True,
    )
    assert found.gpus == {"nvidia.com/gpu": 2000}
    assert found.taints == {("x", "", "NoSchedule")}
    assert found.kubelet == "v1.36.3"


@pytest.mark.parametrize("item", ODD_OBJECTS)
def test_whatever_comes_is_read(item: Inputs) -> None:
    assert node_facts(item).ready == "Unknown"
    assert claim_facts(item).phase == volume_facts(item).phase == ""
    assert pod_facts(item).is_ready is False
    assert certificate_facts(item).is_ready is None
    assert workload_facts("Deployment", item).ready == 0


def test_why_a_pod_is_not_ready() -> None:
    found = pod_facts(
        {
            "metadata": {"namespace": "a", "name": "b", "creationTimestamp": "2026-11-23T10:00:00Z"},
            "status": {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/5 nodes"}
                ],
                "initContainerStatuses": [
                    {"name": "first", "restartCount": 2, "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
                ],
                "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff"}}}],
            },
        }
    )
    assert found.reasons == (
        "Unschedulable: 0/5 nodes",
        "container first ended with Error (status 1)",
        "ImagePullBackOff in container main",
    )
    assert (found.restarts, found.created) == (2, datetime(2026, 11, 23, 10, tzinfo=UTC))


def test_workloads_count_as_their_kind_does() -> None:
    daemon = workload_facts("DaemonSet", {"status": {"desiredNumberScheduled": 4, "numberReady": 3}})
    assert (daemon.wanted, daemon.ready, daemon.release) == (4, 3, None)
    about: Inputs = {"namespace": "n", "annotations": {"meta.helm.sh/release-name": "r"}}
    made = workload_facts("Deployment", {"metadata": about, "spec": {"replicas": 2}, "status": {}})
    assert (made.wanted, made.ready, made.release) == (2, 0, ("n", "r"))
    assert workload_facts("Deployment", {"spec": {}}).wanted == 1, "the API's default"


def secret(name: str, revision: int, status: str, version: str | None) -> Inputs:
    content = {"chart": {"metadata": {"name": "greeter", "version": version}}}
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(content).encode()))).decode()
    labels: Inputs = {"owner": "helm", "name": name, "version": str(revision), "status": status}
    data = packed if version is not None else "bm90aGluZw=="
    return {"metadata": {"namespace": "n", "labels": labels}, "data": {"release": data}}


def test_the_newest_revision_of_each_release() -> None:
    found = newest_releases(
        [secret("a", 9, "superseded", "1.0"), secret("a", 10, "deployed", "1.1"), secret("b", 1, "failed", None), {}]
    )
    assert found == (
        HelmRelease(namespace="n", name="a", revision=10, status="deployed", chart="greeter", version="1.1"),
        HelmRelease(namespace="n", name="b", revision=1, status="failed"),
    )


@contextmanager
def showing(folder: Path, name: str) -> Generator[int]:
    """Yield the port of a server on loopback with a certificate of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(ENDS - timedelta(days=400))
        .not_valid_after(ENDS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    both = key.private_bytes(serialization.Encoding.PEM, *plain)
    (folder / "both.pem").write_bytes(both + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, context.wrap_socket(connection, server_side=True) as encrypted:
                encrypted.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def test_a_certificate_that_is_shown(tmp_path: Path) -> None:
    with showing(tmp_path, "*.lab.example.org") as port:
        found = served_certificate("127.0.0.1", port, "hub.lab.example.org", remedy="look")
    assert isinstance(found, Known)
    assert found.value.not_after == ENDS
    assert found.value.place == f"127.0.0.1:{port} (hub.lab.example.org)"
    assert found.value.is_for("hub.lab.example.org")
    assert found.value.is_for("HUB.lab.example.org")
    assert not found.value.is_for("a.hub.lab.example.org"), "a wildcard is one label"


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = served_certificate("127.0.0.1", port, "127.0.0.1", remedy="start it")
    assert isinstance(found, Unknown)
    assert found.is_down
    assert found.remedy == "start it"
    assert f"127.0.0.1:{port}: Connection refused" in found.why


def test_a_name_that_is_for_nobody() -> None:
    assert not ServedCertificate(place="x", not_after=ENDS, names=()).is_for("hub.lab.example.org")
