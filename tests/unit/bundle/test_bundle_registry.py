"""Images from a registry that wants a token, as the public ones do: a server of this machine stands for them."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from bundle_samples import PAUSE, SmallBundle, put_blob, put_image

from labctl.bundle.answers import FilePart, Request, answer
from labctl.bundle.downloads import Client, Download
from labctl.bundle.errors import ChecksumError, RegistryRefusedError
from labctl.bundle.images import plan_from_layout, plan_from_registry, store
from labctl.bundle.layout import INDEX_TYPES, Descriptor, ImageLayout
from labctl.bundle.references import parse_reference
from labctl.bundle.registry import Credentials, Registry, docker_credentials

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


class TokenRegistry(ThreadingHTTPServer):
    """The bundle in `folder` as a registry that gives nothing without a token of its own."""

    daemon_threads = True

    def __init__(self, folder: Path, password: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.layout = ImageLayout(folder / "images")
        self.password = password
        self.tokens: list[str] = []
        self.wrong_digest = False

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: TokenRegistry  # pyright: ignore[reportIncompatibleVariableOverride] - it serves no other

    def do_GET(self) -> None:
        registry = self.server
        if self.path.startswith("/token?"):
            given = self.headers.get("Authorization", "")
            login = f"Basic {base64.b64encode(f'ada:{registry.password}'.encode()).decode()}"
            if registry.password is not None and given != login:
                self._send(HTTPStatus.UNAUTHORIZED, {}, b"{}")
                return
            registry.tokens.append(self.path)
            body = json.dumps({"token": f"t{len(registry.tokens)}", "expires_in": 300}).encode()
            self._send(HTTPStatus.OK, {}, body)
            return
        if self.headers.get("Authorization") != f"Bearer t{len(registry.tokens)}":
            challenge = f'Bearer realm="http://{registry.host}/token",service="test",scope="ignored"'
            self._send(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": challenge}, b"{}")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        found = answer(Request("GET", self.path, headers), registry.folder, registry.layout)
        body = found.body
        if isinstance(body, FilePart):
            with body.path.open("rb") as file:
                file.seek(body.part.offset)
                body = file.read(body.part.length)
        extra = dict(found.headers)
        if registry.wrong_digest:
            body = body.replace(b"2", b"3")
        self._send(found.status, extra, body)

    def _send(self, status: HTTPStatus, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name of it
        pass


@contextmanager
def serving(folder: Path, password: str | None = None) -> Generator[TokenRegistry]:
    server = TokenRegistry(folder, password)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def client() -> Generator[Client]:
    found = Client(pause=lambda _seconds: None)
    yield found
    found.close()


def test_an_image_is_copied_with_its_digests_by_one_token(
    small_bundle: SmallBundle, client: Client, tmp_path: Path
) -> None:
    layout = ImageLayout(tmp_path / "copy")
    with serving(small_bundle.folder) as server:
        registry = Registry(client)
        reference = parse_reference(f"{server.host}/{PAUSE}")
        image = small_bundle.pause
        both = plan_from_registry(registry, reference, ("amd64", "arm64"))
        assert {blob.digest for blob in both.blobs} == {
            image.config,
            image.layer,
            image.other_config,
            image.other_layer,
        }
        plan = plan_from_registry(registry, reference, ("amd64",))
        assert {found.descriptor.digest for found in plan.manifests} == {image.manifest, image.other_manifest}
        assert {blob.digest for blob in plan.blobs} == {image.config, image.layer, image.other_config}
        for blob in plan.blobs:
            path = layout.blob(blob.digest)
            assert path is not None
            url = registry.blob_url(reference, blob.digest)
            download = Download(url=url, path=path, sha256=blob.digest.removeprefix("sha256:"), size=blob.size)
            client.fetch(download, headers=lambda: registry.headers(reference))
        store(layout, plan)
    assert server.tokens == ["/token?service=test&scope=repository%3Aregistry.k8s.io%2Fpause%3Apull"]
    assert layout.images()[reference.key].digest == small_bundle.pause.index
    assert layout.media_type(small_bundle.pause.index) == INDEX_TYPES[0]
    assert layout.media_type(small_bundle.pause.manifest) is not None
    again = plan_from_layout(layout, reference, ("amd64",))
    assert again == plan  # a second run asks nobody
    assert plan_from_layout(layout, reference, ("riscv64",)) is None


def test_a_private_registry_gets_the_login_that_docker_wrote_down(
    small_bundle: SmallBundle, client: Client, tmp_path: Path
) -> None:
    with serving(small_bundle.folder, password="s3cret") as server:
        reference = parse_reference(f"{server.host}/{PAUSE}")
        with pytest.raises(RegistryRefusedError, match=r"gives no token \(HTTP 401\); is it private"):
            plan_from_registry(Registry(client), reference, ("amd64",))
        auth = base64.b64encode(b"ada:s3cret").decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {server.host: {"auth": auth}}}))
        credentials = docker_credentials(tmp_path)
        assert credentials == {server.host: Credentials("ada", "s3cret")}
        assert "s3cret" not in repr(credentials)
        plan = plan_from_registry(Registry(client, credentials), reference, ("amd64",))
        assert plan.root.descriptor.digest == small_bundle.pause.index


def test_a_manifest_that_is_not_what_its_digest_says_is_refused(small_bundle: SmallBundle, client: Client) -> None:
    with serving(small_bundle.folder) as server:
        server.wrong_digest = True
        with pytest.raises(ChecksumError, match=r"/manifests/3\.10 is not what is pinned"):
            plan_from_registry(Registry(client), parse_reference(f"{server.host}/{PAUSE}"), ("amd64",))
        pinned = parse_reference(f"{server.host}/{PAUSE}@{small_bundle.pause.index}")
        with pytest.raises(ChecksumError):
            plan_from_registry(Registry(client), pinned, ("amd64",))


def test_what_a_registry_has_not_is_said_in_its_words(small_bundle: SmallBundle, client: Client) -> None:
    with serving(small_bundle.folder) as server:
        absent = parse_reference(f"{server.host}/registry.k8s.io/pause:9")
        with pytest.raises(RegistryRefusedError, match="HTTP 404, MANIFEST_UNKNOWN"):
            plan_from_registry(Registry(client), absent, ("amd64",))
        present = parse_reference(f"{server.host}/{PAUSE}")
        with pytest.raises(RegistryRefusedError, match="there is none for linux/s390x"):
            plan_from_registry(Registry(client), present, ("s390x",))


def test_an_index_that_is_not_understood_is_named(small_bundle: SmallBundle, client: Client) -> None:
    images = small_bundle.folder / "images"
    broken = b'{"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{"size": 1}]}'
    ImageLayout(images).add("quay.io/a/b:1", Descriptor(INDEX_TYPES[0], put_blob(images, broken), len(broken)))
    with serving(small_bundle.folder) as server:
        reference = parse_reference(f"{server.host}/quay.io/a/b:1")
        with pytest.raises(RegistryRefusedError, match=r"there is none for linux/amd64"):
            plan_from_registry(Registry(client), reference, ("amd64",))
        with pytest.raises(RegistryRefusedError, match=r"its manifest is not understood \(KeyError: 'digest'\)"):
            plan_from_registry(Registry(client), reference, ())


def test_no_login_at_all(tmp_path: Path) -> None:
    assert docker_credentials(tmp_path) == {}
    (tmp_path / "config.json").write_text("{not json")
    assert docker_credentials(tmp_path) == {}


def test_a_layout_keeps_every_image_and_takes_a_tag_that_moved(tmp_path: Path) -> None:
    layout = ImageLayout(tmp_path)
    first = put_image(tmp_path, PAUSE, b"one")
    other = put_image(tmp_path, "quay.io/a/b:1", b"two")
    moved = put_blob(tmp_path, b"{}")
    layout.add(PAUSE, Descriptor(INDEX_TYPES[0], moved, 2))
    assert {key: found.digest for key, found in ImageLayout(tmp_path).images().items()} == {
        PAUSE: moved,
        "quay.io/a/b:1": other.index,
    }
    assert first.index != moved
    assert json.loads((tmp_path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
