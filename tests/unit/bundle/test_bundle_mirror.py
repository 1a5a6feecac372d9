"""The mirror, asked over real sockets as containerd, apt and curl ask."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3
from bundle_samples import PAUSE, SmallBundle, put_image
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from labctl.bundle.errors import ListenError, NoBundleError
from labctl.bundle.mirror import Fault, Mirror, TlsFiles, parse_listen

PROGRAM = "/files/dl.example.org/release/v1.2/kubelet%2B1~rc"


def test_serves_files_whole_in_parts_and_by_their_headers(
    mirror: Mirror, small_bundle: SmallBundle, http: urllib3.PoolManager
) -> None:
    content = (small_bundle.folder / "files/dl.example.org/release/v1.2/kubelet+1~rc").read_bytes()
    whole = http.request("GET", mirror.url + PROGRAM)
    assert (whole.status, whole.data, whole.headers["Accept-Ranges"]) == (200, content, "bytes")
    head = http.request("HEAD", mirror.url + PROGRAM)
    assert (head.status, head.headers["Content-Length"], head.data) == (200, "1024", b"")
    part = http.request("GET", mirror.url + PROGRAM, headers={"Range": "bytes=1000-"})
    assert (part.status, part.headers["Content-Range"], part.data) == (206, "bytes 1000-1023/1024", content[1000:])
    beyond = http.request("GET", mirror.url + PROGRAM, headers={"Range": "bytes=1024-"})
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, "bytes */1024")


def test_a_resumed_download_of_a_file_that_changed_gets_all_of_it(mirror: Mirror, http: urllib3.PoolManager) -> None:
    modified = http.request("HEAD", mirror.url + PROGRAM).headers["Last-Modified"]
    same = http.request("GET", mirror.url + PROGRAM, headers={"Range": "bytes=5-", "If-Range": modified})
    other = http.request(
        "GET", mirror.url + PROGRAM, headers={"Range": "bytes=5-", "If-Range": "Thu, 01 Jan 1970 00:00:00 GMT"}
    )
    unchanged = http.request("GET", mirror.url + PROGRAM, headers={"If-Modified-Since": modified})
    assert (same.status, other.status, unchanged.status) == (206, 200, 304)
    assert unchanged.data == b""


@pytest.mark.parametrize(
    "path",
    [
        "/files/../bundle.lock.json",
        "/files/%2e%2e/.signing/key",
        "/.signing/key",
        "/files/../.signing/key",
        "/images/index.json",
        "/files/dl.example.org",
        "/files//etc/passwd",
        "/",
        "/files/link",
    ],
)
def test_nothing_else_of_the_machine_is_served(mirror: Mirror, small_bundle: SmallBundle, path: str) -> None:
    (small_bundle.folder / "files" / "link").symlink_to("/etc/passwd")
    with socket.create_connection((mirror.host, mirror.port), timeout=5) as raw:  # no client tidies the path up
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n".encode())
        reply = b"".join(iter(lambda: raw.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 404 ")
    assert b"private" not in reply


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("pause", "?ns=registry.k8s.io"),  # containerd, told of the mirror in hosts.toml
        ("registry.k8s.io/pause", ""),  # a person, or an imageRepository of ours
        ("pause", ""),  # clear, because there is only one
    ],
)
def test_a_manifest_by_tag_and_then_by_digest(
    mirror: Mirror, small_bundle: SmallBundle, http: urllib3.PoolManager, name: str, query: str
) -> None:
    image = small_bundle.pause
    base = f"{mirror.url}/v2/{name}"
    head = http.request("HEAD", f"{base}/manifests/3.10{query}")
    assert (head.status, head.headers["Docker-Content-Digest"]) == (200, image.index)
    assert head.headers["Content-Type"] == "application/vnd.oci.image.index.v1+json"
    index = http.request("GET", f"{base}/manifests/{image.index}{query}")
    assert f"sha256:{hashlib.sha256(index.data).hexdigest()}" == image.index
    assert int(head.headers["Content-Length"]) == len(index.data)
    manifest = http.request("GET", f"{base}/manifests/{index.json()['manifests'][0]['digest']}{query}")
    assert manifest.headers["Content-Type"] == "application/vnd.oci.image.manifest.v1+json"
    layer = http.request(
        "GET", f"{base}/blobs/{manifest.json()['layers'][0]['digest']}{query}", headers={"Range": "bytes=4990-"}
    )
    assert (layer.status, layer.data) == (206, image.layer_bytes[4990:])


def test_an_image_of_docker_hub_under_every_name_of_that(
    mirror: Mirror, small_bundle: SmallBundle, http: urllib3.PoolManager
) -> None:
    for namespace in ("docker.io", "registry-1.docker.io"):
        found = http.request("HEAD", f"{mirror.url}/v2/library/busybox/manifests/1.37?ns={namespace}")
        assert (found.status, found.headers["Docker-Content-Digest"]) == (200, small_bundle.busybox.index)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("pause/manifests/3.99?ns=registry.k8s.io", 404, "MANIFEST_UNKNOWN"),
        ("pause/manifests/3.10?ns=quay.io", 404, "MANIFEST_UNKNOWN"),
        (f"pause/manifests/sha256:{'0' * 64}?ns=registry.k8s.io", 404, "MANIFEST_UNKNOWN"),
        (f"pause/blobs/sha256:{'0' * 64}?ns=registry.k8s.io", 404, "BLOB_UNKNOWN"),
        ("pause/blobs/latest?ns=registry.k8s.io", 400, "DIGEST_INVALID"),
        ("other/tags/list?ns=registry.k8s.io", 404, "NAME_UNKNOWN"),
        ("pause", 404, "NAME_UNKNOWN"),
    ],
)
def test_what_is_not_there_is_said_as_the_specification_has_it(
    mirror: Mirror, http: urllib3.PoolManager, path: str, status: int, code: str
) -> None:
    found = http.request("GET", f"{mirror.url}/v2/{path}")
    assert (found.status, found.json()["errors"][0]["code"]) == (status, code)


def test_a_layer_is_not_passed_off_as_a_manifest(
    mirror: Mirror, small_bundle: SmallBundle, http: urllib3.PoolManager
) -> None:
    for digest in (small_bundle.pause.layer, small_bundle.pause.config):
        found = http.request("GET", f"{mirror.url}/v2/pause/manifests/{digest}?ns=registry.k8s.io")
        assert found.status == 404


def test_the_registry_lists_itself_and_takes_nothing(mirror: Mirror, http: urllib3.PoolManager) -> None:
    assert http.request("GET", f"{mirror.url}/v2/").status == 200
    assert http.request("GET", f"{mirror.url}/v2/_catalog").json() == {
        "repositories": ["docker.io/library/busybox", "registry.k8s.io/pause"]
    }
    tags = http.request("GET", f"{mirror.url}/v2/pause/tags/list?ns=registry.k8s.io")
    assert tags.json() == {"name": "pause", "tags": ["3.10"]}
    refused = http.request("POST", f"{mirror.url}/v2/pause/blobs/uploads/", body=b"x" * 10)
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


def test_an_image_added_while_it_runs_is_there(
    mirror: Mirror, small_bundle: SmallBundle, http: urllib3.PoolManager
) -> None:
    url = f"{mirror.url}/v2/pause/manifests/3.11?ns=registry.k8s.io"
    assert http.request("HEAD", url).status == 404
    put_image(small_bundle.folder / "images", PAUSE.replace("3.10", "3.11"), b"newer")
    assert http.request("HEAD", url).status == 200


def test_many_large_downloads_at_once_without_taking_them_into_memory(
    mirror: Mirror, small_bundle: SmallBundle
) -> None:
    size, clients = 100 * 1024 * 1024, 12
    with (small_bundle.folder / "files" / "large").open("wb") as file:
        file.truncate(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def download(_client: int) -> int:
        received, buffer = 0, memoryview(bytearray(1 << 20))
        with socket.create_connection((mirror.host, mirror.port), timeout=60) as raw:
            raw.sendall(b"GET /files/large HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n")
            while count := raw.recv_into(buffer):
                received += count
        return received

    with ThreadPoolExecutor(clients) as pool:
        received = list(pool.map(download, range(clients)))
    assert all(size < count < size + 1024 for count in received)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # KiB
    assert grown < 64 * 1024


def test_a_fault_fails_stalls_or_cuts_what_it_names_and_nothing_else(mirror: Mirror, http: urllib3.PoolManager) -> None:
    faults = {"/v2/": Fault(status=500), PROGRAM: Fault(cut_after_bytes=100)}
    mirror.fault = lambda _method, target: faults.get(target)
    assert http.request("GET", f"{mirror.url}/v2/").status == 500
    with pytest.raises(urllib3.exceptions.HTTPError):
        http.request("GET", mirror.url + PROGRAM)
    assert http.request("GET", f"{mirror.url}/v2/_catalog").status == 200
    mirror.fault = lambda _method, _target: Fault(stall_seconds=30)
    with pytest.raises(urllib3.exceptions.TimeoutError):
        http.request("GET", mirror.url + PROGRAM, timeout=0.2)


def test_stopping_cuts_off_who_is_still_being_served(small_bundle: SmallBundle) -> None:
    lines: list[str] = []
    mirror = Mirror(small_bundle.folder, log=lines.append).start()
    mirror.fault = lambda _method, _target: Fault(stall_seconds=300)
    with socket.create_connection((mirror.host, mirror.port), timeout=10) as raw:
        raw.sendall(b"GET /v2/ HTTP/1.1\r\nHost: mirror\r\n\r\n")
        time.sleep(0.1)
        began = time.monotonic()
        mirror.stop()
        assert time.monotonic() - began < 4
        assert raw.recv(100) == b""
    assert not [thread for thread in threading.enumerate() if thread.name == "bundle-mirror"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((mirror.host, mirror.port), timeout=2)
    mirror.stop()  # harmless


def test_every_answer_is_a_line_of_the_log(mirror: Mirror, http: urllib3.PoolManager) -> None:
    lines: list[str] = []
    mirror.log = lines.append
    http.request("GET", mirror.url + PROGRAM)
    http.request("HEAD", f"{mirror.url}/v2/nothing")
    mirror.stop()  # a line is written once its answer is sent
    assert [line.rsplit(" ", 1)[0] for line in lines] == [
        f"127.0.0.1 GET {PROGRAM} 200 1024",
        "127.0.0.1 HEAD /v2/nothing 404 0",
    ]


def _certificate(folder: Path) -> TlsFiles:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mirror")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = TlsFiles(certificate=folder / "tls.crt", key=folder / "tls.key")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def test_serves_tls_and_a_silent_client_keeps_nobody_waiting(small_bundle: SmallBundle, tmp_path: Path) -> None:
    tls = _certificate(tmp_path)
    with (
        Mirror(small_bundle.folder, tls=tls) as mirror,
        socket.create_connection((mirror.host, mirror.port), timeout=10),  # never begins its handshake
        urllib3.PoolManager(ca_certs=str(tls.certificate), timeout=10, retries=False) as trusting,
    ):
        assert mirror.url.startswith("https://127.0.0.1:")
        part = trusting.request("GET", mirror.url + PROGRAM, headers={"Range": "bytes=-4"})
        assert (part.status, part.data) == (206, bytes((252, 253, 254, 255)))


def test_what_cannot_be_served_is_said(small_bundle: SmallBundle, tmp_path: Path) -> None:
    with pytest.raises(NoBundleError, match="labctl bundle --stack"):
        Mirror(tmp_path / "absent").start()
    with Mirror(small_bundle.folder) as first, pytest.raises(ListenError, match="in use"):
        Mirror(small_bundle.folder, listen=(first.host, first.port)).start()


def test_where_to_listen() -> None:
    assert parse_listen("[::1]:80") == ("::1", 80)
    assert parse_listen("192.0.2.1:8443") == ("192.0.2.1", 8443)
    for wrong in ("8080", "::1:80", "host:http", ":80"):
        with pytest.raises(ListenError):
            parse_listen(wrong)
