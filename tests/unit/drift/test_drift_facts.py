"""Facts: the probe run on a file tree that is made up, and its output read, one JSON file per case."""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from components.nodes.steps import FILES
from labctl.drift.facts import parse_facts, warnings

CASES = Path(__file__).parent / "data" / "facts"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize("path", sorted(CASES.glob("*.json")), ids=lambda path: path.stem)
def test_facts_of(path: Path) -> None:
    case = cast("dict[str, object]", json.loads(path.read_text(encoding="utf-8")))
    facts = parse_facts("\n".join(cast("list[str]", case["output"])))
    assert json.loads(json.dumps(asdict(facts), default=str)) == case["facts"]
    assert list(warnings(facts, NOW)) == case["warnings"]


def test_there_are_cases() -> None:
    assert len(list(CASES.glob("*.json"))) >= 6


@settings(deadline=None)
@given(st.text())
def test_no_output_is_too_strange(text: str) -> None:
    parse_facts(text)
    parse_facts(f"disk\t{text}\t1\t2\t3\ncertificate\t/x\t{text}\nbooted\t{text}")


def certificate(days: int) -> bytes:
    """Return a certificate that holds for so many days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


def write(root: Path, path: str, content: bytes) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def probe(root: Path) -> str:
    script = f". {FILES / 'facts.sh'}; facts"
    return subprocess.run(
        ["/bin/bash", "-c", script],
        env={"FACTS_ROOT": str(root), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_probe_on_a_control_plane(tmp_path: Path) -> None:
    write(tmp_path, "proc/stat", b"cpu 1 2\nbtime 1795345918\n")
    write(tmp_path, "etc/os-release", b'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    write(tmp_path, "run/reboot-required", b"*** System restart required ***\n")
    write(tmp_path, "run/reboot-required.pkgs", b"linux-base\nlibc6\nlinux-base\n")
    write(tmp_path, "etc/kubernetes/pki/apiserver.crt", certificate(10))
    write(tmp_path, "etc/kubernetes/pki/etcd/server.crt", certificate(-3))
    write(tmp_path, "etc/kubernetes/pki/broken.crt", b"nonsense")
    inside = base64.b64encode(certificate(300))
    write(tmp_path, "etc/kubernetes/admin.conf", b"users:\n- user:\n    client-certificate-data: " + inside + b"\n")
    write(tmp_path, "etc/kubernetes/kubelet.conf", b"users:\n- user:\n    client-certificate: /var/x.pem\n")
    (tmp_path / "var/lib/etcd").mkdir(parents=True)
    facts = parse_facts(probe(tmp_path))
    assert facts.kernel == subprocess.check_output(["/bin/uname", "-r"], text=True).strip()
    assert facts.booted == datetime.fromtimestamp(1795345918, UTC)
    assert facts.distribution == "Debian GNU/Linux 12 (bookworm)"
    assert facts.reboot_packages == ("libc6", "linux-base")
    assert [item.path for item in facts.certificates] == [
        "/etc/kubernetes/pki/apiserver.crt",
        "/etc/kubernetes/pki/broken.crt",
        "/etc/kubernetes/pki/etcd/server.crt",
        "/etc/kubernetes/admin.conf",
    ]
    assert [item.path for item in facts.disks] == ["/var/lib/etcd"]
    assert facts.disks[0].total_bytes > facts.disks[0].free_bytes > 0
    shown = warnings(facts, datetime.now(UTC))
    assert shown[0] == "needs a reboot for libc6, linux-base"
    assert shown[1] == "/etc/kubernetes/pki/apiserver.crt expires in 9 days"
    assert shown[2] == "/etc/kubernetes/pki/broken.crt holds no certificate that can be read"
    assert shown[3].startswith("/etc/kubernetes/pki/etcd/server.crt expired on ")


def test_the_probe_on_a_bare_machine(tmp_path: Path) -> None:
    write(tmp_path, "proc/stat", b"btime 1\n")
    lines = probe(tmp_path).splitlines()
    assert [line.split("\t")[0] for line in lines] == ["kernel", "booted"]
