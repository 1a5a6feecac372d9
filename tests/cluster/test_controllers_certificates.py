"""Certificates that the real cert-manager issues, from an authority of its own and from the lab's."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cluster_api import Object, eventually
from controllers_bed import SETTLED_SECONDS
from controllers_lab import CERT_MANAGER, ControllersLab, controllers_lab, needs_controllers
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from components.network.config import NetworkConfig
from components.network.parts import CustomResourcePlan
from components.network.plan import network_plan
from labctl.control_plane import obtain_tool

pytestmark = needs_controllers

NAMESPACE, GATEWAY = "cert-manager-dev", "gateway-dev"
CERTIFICATES = f"/apis/cert-manager.io/v1/namespaces/{GATEWAY}/certificates"
HOSTNAME, RENAMED = "hub.dev.lab.example.org", "notebooks.dev.lab.example.org"
MONITORING = "metrics.dev.lab.example.org"
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """A lab's own authority, as its administrators have it."""

    certificate: str
    key: str


def lab_authority() -> Authority:
    """Return a new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lab authority")])
    now = dt.datetime.now(dt.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - DAY, now + 3650 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Authority(certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return lab_authority()


@pytest.fixture(scope="module", params=["self-signed", "lab-ca"])
def issued(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Generator[ControllersLab]:
    """A lab with two published names, its certificates of one kind and then of the other."""
    own = {"kind": "lab-ca", "certificate": authority.certificate, "privateKey": {"secret": "labCaKey"}}

    def certificates(config: Object) -> None:
        config["network"]["certificates"] = own if request.param == "lab-ca" else {"kind": "self-signed"}
        config["network"]["hostnames"] = {"hub": HOSTNAME, "metrics": MONITORING}

    folder = tmp_path_factory.mktemp(request.param)
    with controllers_lab(folder, [CERT_MANAGER], certificates, labCaKey=authority.key) as made:
        pod = made.runner.pod(NAMESPACE, "app.kubernetes.io/component=controller")
        own_arguments = ["--cluster-resource-namespace=$(POD_NAMESPACE)"]
        made.runner.start(pod, obtain_tool("cert-manager-controller", print), arguments=own_arguments)
        yield made


def secret(lab: ControllersLab, name: str, namespace: str = GATEWAY) -> dict[str, bytes]:
    """Return the content of a Secret."""
    data = lab.api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")["data"]
    return {key: base64.b64decode(value) for key, value in data.items()}


def trusted(lab: ControllersLab) -> x509.Certificate:
    """Return the certificate of the authority that signs in this lab."""
    return x509.load_pem_x509_certificate(secret(lab, "lab-ca", NAMESPACE)["tls.crt"])


def verified(content: dict[str, bytes], root: x509.Certificate, hostname: str) -> x509.Certificate:
    """Return the server's certificate, verified as a browser that trusts `root` does on the way to `hostname`."""
    leaf, *chain = x509.load_pem_x509_certificates(content["tls.crt"])
    verifier = PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName(hostname))
    verifier.verify(leaf, chain)
    return leaf


@pytest.mark.parametrize(("service", "hostname"), [("hub", HOSTNAME), ("metrics", MONITORING)])
def test_every_published_name_gets_a_certificate_of_the_labs_authority(
    issued: ControllersLab, service: str, hostname: str
) -> None:
    issued.settled("/apis/cert-manager.io/v1/clusterissuers/lab-dev", {"Ready": "True"})
    issued.settled(f"{CERTIFICATES}/{service}-tls", {"Ready": "True"})
    content = secret(issued, f"{service}-tls")
    leaf = verified(content, trusted(issued), hostname)
    with pytest.raises(VerificationError):
        verified(content, trusted(issued), "elsewhere.lab.example.org")
    with pytest.raises(VerificationError):
        verified(content, x509.load_pem_x509_certificate(lab_authority().certificate.encode()), hostname)
    key = serialization.load_pem_private_key(content["tls.key"], None)
    assert key.public_key() == leaf.public_key()


def test_the_authority_is_the_one_the_stack_file_names(issued: ControllersLab, authority: Authority) -> None:
    issued.settled("/apis/cert-manager.io/v1/clusterissuers/lab-dev", {"Ready": "True"})
    root = trusted(issued)
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints.ca
    kind = issued.lab.file.read_text(encoding="utf-8").count("kind: lab-ca")
    given = x509.load_pem_x509_certificate(authority.certificate.encode())
    assert (root == given) is bool(kind)
    if not kind:
        left = root.not_valid_after_utc - dt.datetime.now(dt.UTC)
        assert left > 3640 * DAY


def test_a_changed_name_renews_that_certificate_and_no_other(issued: ControllersLab) -> None:
    for service in ("hub", "metrics"):
        issued.settled(f"{CERTIFICATES}/{service}-tls", {"Ready": "True"})
    before, other = secret(issued, "hub-tls"), secret(issued, "metrics-tls")

    def rename(network: Object) -> None:
        network["hostnames"]["hub"] = RENAMED

    issued.edit(rename)
    eventually(lambda: secret(issued, "hub-tls")["tls.crt"] != before["tls.crt"], SETTLED_SECONDS)
    # Ready it was before, too.
    eventually(lambda: issued.api.get(f"{CERTIFICATES}/hub-tls")["status"].get("revision", 0) >= 2, SETTLED_SECONDS)
    certificate = issued.settled(f"{CERTIFICATES}/hub-tls", {"Ready": "True"})
    after = secret(issued, "hub-tls")
    # Once; or twice, where its controller had not seen its own first request yet.
    assert certificate["status"]["revision"] in {2, 3}
    verified(after, trusted(issued), RENAMED)
    with pytest.raises(VerificationError):
        verified(after, trusted(issued), HOSTNAME)
    assert after["tls.key"] != before["tls.key"], "a new certificate has a new key"
    assert secret(issued, "metrics-tls") == other


DATA = Path(__file__).parents[1] / "unit" / "data" / "config"
ACME = sorted(path for path in DATA.glob("*.happy.yaml") if "kind: acme" in path.read_text(encoding="utf-8"))
"""Stack files whose names an ACME server has proved, in every way there is."""


@pytest.mark.parametrize("path", ACME, ids=[path.name.removesuffix(".happy.yaml") for path in ACME])
def test_the_real_kinds_take_every_way_to_prove_a_name(issued: ControllersLab, path: Path) -> None:
    section = yaml.safe_load(path.read_text(encoding="utf-8"))["config"]["research-compute:cluster"]["network"]
    network = NetworkConfig.model_validate(section, by_alias=True, by_name=False)
    steps = [step for _, step in network_plan(network, "dev").steps() if isinstance(step, CustomResourcePlan)]
    kinds = {"ClusterIssuer": "clusterissuers", "Certificate": f"namespaces/{GATEWAY}/certificates"}
    asked = [step for step in steps if step.kind in kinds]
    assert {step.kind for step in asked} == set(kinds)
    for step in asked:
        body = {"apiVersion": step.api_version, "kind": step.kind, "metadata": {"name": "as-planned"}}
        collection = f"/apis/{step.api_version}/{kinds[step.kind]}"
        issued.api.post(f"{collection}?dryRun=All&fieldValidation=Strict", {**body, "spec": step.spec})
